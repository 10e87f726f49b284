"""Say whether this machine can train: `mindlift doctor --help`. It runs without any of the requirements."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator

from mindlift.cli import ending
from mindlift.doctor import access, machine, software, summary, trial
from mindlift.doctor.finding import PROBLEM, Finding, as_text
from mindlift.language import localized
from mindlift.model_utils import device_adapter
from mindlift.option_parser import ArgumentParser


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift doctor",
        description="Check line by line whether this machine can train, with advice where it can't. Exit code 0: it can."
        " The output holds no keys and may be pasted into an issue.",
    )
    found.add_argument("--json", action="store_true", help="print JSON")
    depth = found.add_mutually_exclusive_group()
    depth.add_argument("--quick", action="store_true", help="do not import mindspore")
    depth.add_argument("--train", action="store_true", help="also train two steps of the smallest network")
    found.add_argument(
        "--deadline", type=float, default=300.0, metavar="S", help="of the import and the training (300)"
    )
    return found


def findings(quick: bool, trains: bool, deadline_s: float) -> Iterator[Finding]:
    """All lines; mindspore is imported at most once, in a process of its own."""
    yield from software.all_findings()
    yield from machine.all_findings()
    yield from access.all_findings()
    if not quick and software.mindspore_folder():
        device = device_adapter.choose_device("auto")
        yield trial.finding(trial.run(device, trains, deadline_s), device, trains, deadline_s)


def examine(args: argparse.Namespace) -> bool:
    """Print the report as it comes; whether this machine can train."""
    found = []
    for item in findings(args.quick, args.train, args.deadline):
        found.append(item)
        if not args.json:
            print(as_text([item], sys.stdout.isatty()), flush=True)
    problems = [item.name for item in found if item.level == PROBLEM]
    if args.json:
        report = {"can_train": not problems, "findings": [vars(item) for item in found]}
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        print(localized(f"\n{summary.conclusion(found, summary.can_submit())}"))
        if not problems:
            own = ["mindlift", "train", "--data_dir", "photos/", "--net", "resnet50"]
            ending.following(own, ["mindlift", "train", "--net", "densenet22"])
    return not problems


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return 0 if examine(args) else 1
    except KeyboardInterrupt:
        print(localized("error: interrupted"), file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 128 + signal.SIGPIPE
