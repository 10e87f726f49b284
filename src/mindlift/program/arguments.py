"""The command line of `mindlift run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from mindlift.errors import ConfigError
from mindlift.option_parser import ArgumentParser
from mindlift.program.channels import WAYS, Channel, read_channels
from mindlift.program.publishing.completeness import GROWING

DESCRIPTION = """Run any program with its data and results in a bucket.

Inputs are copied to this machine before the program starts, once per machine. Outputs are folders of this machine:
what an earlier run left in the bucket is restored on an empty disk, and files go to the bucket as soon as they are
complete, and at the end, also after SIGTERM and when the program fails. The exit code is the program's, 128 + n if
signal n ended it; 1 if the program ended with 0 and not everything could be published; 2 for mistakes in this
command, before anything is copied.

  mindlift run --input data_dir=obs://bucket/images/ --output ckpt_save_dir=obs://bucket/runs/m1/ \\
      -- python train.py --model=resnet50

runs `python train.py --model=resnet50 --data_dir=... --ckpt_save_dir=...` with local paths."""


@dataclass(frozen=True)
class Request:
    """What is asked for; `words` are the program and its arguments."""

    channels: tuple[Channel, ...]
    words: tuple[str, ...]
    way: str
    unpacks: bool
    first: tuple[str, ...] | None  # None: inputs are copied
    cache_path: str
    settle_s: float
    grace_s: float
    publish_timeout_s: float
    stage_timeout_s: float
    growing: tuple[str, ...]
    debug: bool

    @property
    def inputs(self) -> list[Channel]:
        return [channel for channel in self.channels if not channel.is_output]

    @property
    def outputs(self) -> list[Channel]:
        return [channel for channel in self.channels if channel.is_output]


def parser(prog: str) -> ArgumentParser:
    found = ArgumentParser(
        prog=prog,
        usage=f"{prog} [options] -- PROGRAM [ARGUMENT ...]",
        description=DESCRIPTION,
        is_raw=True,
        allow_abbrev=False,
    )
    add = found.add_argument
    add(
        "--input",
        action="append",
        default=[],
        metavar="NAME=PLACE",
        help="a folder or a file that the program reads: obs://, s3:// or https://, or a local path, which is used"
        " in place; may be given several times",
    )
    add(
        "--output",
        action="append",
        default=[],
        metavar="NAME=PLACE",
        help="a folder that the program writes to, published to obs:// or s3://, or a local path; several times",
    )
    add(
        "--local",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where an input or output is on this machine, for programs with a path written into them, such as"
        " ckpt=/cache/ckpt; not set: below the cache",
    )
    add(
        "--as",
        dest="way",
        choices=WAYS,
        default="args",
        help="how the program is told of the local paths: args (the default) appends --NAME=PATH, env sets the"
        " variable NAME, none does neither; {NAME} in an argument is always replaced",
    )
    add("--unpack", action="store_true", help="unpack inputs that are archives (.zip, .tar, .tar.gz, ...)")
    add(
        "--stage",
        choices=("copy", "stream"),
        default="copy",
        help="stream: the program starts when the files of --first are here, and the others of its inputs arrive while"
        " it runs; a file that is not here yet is none for it",
    )
    add(
        "--first",
        action="append",
        default=[],
        metavar="PREFIX",
        help="with --stage stream: how the names of files begin, below an input's folder, that are here before the program"
        " starts, such as train/; several times",
    )
    add("--cache_path", default="", metavar="DIR", help="where inputs and outputs are kept on this machine")
    add(
        "--settle_seconds",
        type=seconds,
        default=10.0,
        metavar="S",
        help="a file that no process has open is complete when it has not changed for so long (default 10); a renamed"
        " file is at once",
    )
    add(
        "--grows",
        action="append",
        metavar="GLOB",
        help="names of files that are published while they grow; not set: " + " ".join(GROWING),
    )
    add(
        "--grace_seconds",
        type=seconds,
        default=15.0,
        metavar="S",
        help="after SIGTERM or SIGHUP all is over in so long, publishing included (default 15, as on ModelArts)",
    )
    add(
        "--publish_timeout",
        type=seconds,
        default=1800.0,
        metavar="S",
        help="how long the end waits until everything is published (default 1800)",
    )
    add(
        "--stage_timeout",
        type=seconds,
        default=7200.0,
        metavar="S",
        help="how long ranks wait for the one of their machine that copies (default 7200)",
    )
    add("--debug", action="store_true", help="show tracebacks")
    return found


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of seconds, 0 or more")
    return value


def read(argv: Sequence[str], prog: str) -> Request:
    """ConfigError for what can't be meant; SystemExit for --help and unknown options."""
    options, found, words = partition(argv)
    args = parser(prog).parse_args(options)
    if not found or not words:
        raise ConfigError(
            f"no program is named: write it behind --, as in {prog} --input data_dir=obs://bucket/images/ --"
            " python train.py"
        )
    return Request(
        read_channels(args.input, args.output, args.local),
        tuple(words),
        args.way,
        args.unpack,
        first_of(args),
        args.cache_path,
        args.settle_seconds,
        args.grace_seconds,
        args.publish_timeout,
        args.stage_timeout,
        tuple(args.grows) if args.grows else GROWING,
        args.debug,
    )


def first_of(args: argparse.Namespace) -> tuple[str, ...] | None:
    """The prefixes of --first with --stage stream, else None."""
    if args.stage == "copy":
        if args.first:
            raise ConfigError(f"--first {args.first[0]}: only for --stage stream; inputs are copied whole")
        return None
    if not args.first:
        raise ConfigError(
            "--stage stream: name the files that the program needs at its start with --first, such as --first train/"
        )
    return tuple(args.first)


def partition(argv: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """The words before the first `--`, whether there is one, and those behind it."""
    words = list(argv)
    at = words.index("--") if "--" in words else len(words)
    return words[:at], at < len(words), words[at + 1 :]
