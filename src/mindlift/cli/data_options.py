"""Options of several command lines that prepare data."""

from __future__ import annotations

import argparse
import os

from mindlift.option_parser import ArgumentParser

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def boolean(text: str) -> bool:
    if text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def not_negative(text: str) -> int:
    return 0 if text == "0" else positive(text)


def add_sharding(parser: ArgumentParser) -> None:
    """What shards hold, of rows of any kind."""
    add = parser.add_argument
    add("--num_shards", type=positive, default=8, help="files for each split (8)")
    add(
        "--shuffle",
        type=boolean,
        default=True,
        metavar="true|false",
        help="spread the training images over the shards at random (true); training draws its own order anyway",
    )
    add("--seed", type=not_negative, default=1, help="of the shuffling (1)")
    add(
        "--skip_corrupt",
        type=boolean,
        default=False,
        metavar="true|false",
        help="leave out what can't be decoded, and count it, instead of stopping (false)",
    )


def add_label_values(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--num_classes", type=positive, default=21, help="a label with another value is an error (21)")
    add("--ignore_label", type=not_negative, default=255, help="value that labels may have besides (255)")


def add_running(parser: ArgumentParser, workers: str) -> None:
    """How the work is done; `workers` says what the workers are."""
    add = parser.add_argument
    add("--workers", type=positive, default=len(os.sched_getaffinity(0)), help=f"{workers} (the CPUs)")
    add(
        "--progress",
        type=boolean,
        default=None,
        metavar="true|false",
        help="progress bar; not set: when stderr is a terminal",
    )
    add("--debug", action="store_true", help="show tracebacks")
