"""Check this project on the device that is here: `bash scripts/ascend_check.sh --help`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mindlift import interrupts, sanitize
from mindlift.ascend_check import machine, redaction, report
from mindlift.ascend_check.parts import Part, table
from mindlift.ascend_check.work import Failed, Place, Skipped, Work
from mindlift.checkout import ROOT
from mindlift.errors import ConfigError, MindLiftError
from mindlift.model_utils import device_adapter, devices

CPU_RANKS = 2
MINUTES = 60.0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="scripts/ascend_check.sh",
        description="Run every part of MindLift once on this machine's device, and write one file to send back. It holds"
        " figures and logs, and no names of users and machines, no keys and no environment. Exit code 1: a part failed.",
    )
    found.add_argument(
        "--device_target",
        default="auto",
        choices=["auto", *devices.TARGETS],
        help="auto: the card, else the CPU",
    )
    found.add_argument(
        "--only", default="", metavar="PART,...", help="these parts; step stands for all step-..."
    )
    found.add_argument("--list", action="store_true", help="name the parts and end")
    found.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"for all parts; those left are skipped ({MINUTES:g})"
    )
    found.add_argument(
        "--cards",
        type=int,
        help=f"of the part on several cards (all of this machine, or {CPU_RANKS} CPU ranks)",
    )
    found.add_argument("--rank_table", type=Path, help="table of these cards (made from /etc/hccn.conf)")
    found.add_argument("--output", type=Path, default=Path(), help="folder for the file (the current one)")
    found.add_argument("--keep", action="store_true", help="keep the folder with runs and checkpoints")
    return found


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """ConfigError, in one line, for what can't be used."""
    arguments = parser()
    arguments.error = refused  # type: ignore[method-assign, assignment]
    args = arguments.parse_args(argv)
    if not args.minutes > 0:
        raise ConfigError(f"--minutes {args.minutes:g}: expected a number above 0")
    if args.cards is not None and args.cards < 1:
        raise ConfigError(f"--cards {args.cards}: expected a number from 1 on")
    if args.rank_table and not args.rank_table.is_file():
        raise ConfigError(f"--rank_table {args.rank_table}: there is no such file")
    if not args.output.is_dir() or not os.access(args.output, os.W_OK):
        raise ConfigError(f"--output {args.output}: expected a folder that can be written to")
    return args


def refused(message: str) -> None:
    raise ConfigError(message)


def chosen(only: str) -> list[Part]:
    """The parts of --only in the table's order; ConfigError for a name that is none."""
    parts = table()
    wanted = [name for name in only.split(",") if name]
    for name in wanted:
        if not any(is_meant(part, name) for part in parts):
            raise ConfigError(f"--only {name}: no such part; --list names them")
    return [part for part in parts if not wanted or any(is_meant(part, name) for name in wanted)]


def is_meant(part: Part, name: str) -> bool:
    return part.name == name or part.name.startswith(f"{name}-")


def check(args: argparse.Namespace) -> int:
    parts = chosen(args.only)
    if args.list:
        width = max(len(part.name) for part in parts)
        print("\n".join(f"{part.name:{width}}  {part.about}" for part in parts))
        return 0
    target = device_adapter.choose_device(args.device_target)
    facts = devices.of(target)
    cards = args.cards or (machine.cards() if facts.has_number else CPU_RANKS)
    folder = Path(tempfile.mkdtemp(prefix="mindlift-check-")).resolve()
    places = {"WORK": folder, "PROJECT": ROOT, "PYTHON": Path(sys.prefix)}
    table_file = args.rank_table.resolve() if args.rank_table else None
    place = Place(facts, cards, table_file, folder, redaction.of_this_machine(places), args.keep)
    print(f"{len(parts)} parts on {target}, at most {args.minutes:g} minutes", flush=True)
    try:
        results, interrupt_code = run_all(parts, place, time.monotonic() + 60 * args.minutes)
        path = report.write(results, place, args.output, {"minutes": args.minutes, "only": args.only})
    finally:
        if args.keep:
            print(f"runs and checkpoints are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{report.summary(results)}\n\nresult: {path}")
    return interrupt_code or int(any(result.state == report.FAILED for result in results))


def run_all(parts: Sequence[Part], place: Place, end: float) -> tuple[list[report.Result], int]:
    """All parts in turn; the second value is the exit code of a signal, after which the rest is skipped, or 0."""
    results: list[report.Result] = []
    interrupt_code = 0
    for number, part in enumerate(parts, start=1):
        print(f"[{number}/{len(parts)}] {part.name}: {part.about}", flush=True)
        if interrupt_code or time.monotonic() >= end:
            reason = "interrupted" if interrupt_code else "the time is used up; --minutes gives more"
            result = report.Result(part.name, report.SKIPPED, reason)
        else:
            result, interrupt_code = run_one(part, place, end)
        results.append(result)
        print(
            f"        {result.state}, {result.seconds:.0f} s" + (f": {result.says}" if result.says else ""),
            flush=True,
        )
    return results, interrupt_code


def run_one(part: Part, place: Place, end: float) -> tuple[report.Result, int]:
    folder = place.folder / part.name
    folder.mkdir()
    started = time.monotonic()
    work = Work(place, folder, min(end, started + part.limit_s))
    state, says, interrupt_code = report.OK, "", 0
    try:
        part.body(work)
    except Skipped as err:
        state, says = report.SKIPPED, str(err)
    except Failed as err:
        state, says = report.FAILED, str(err)
    except KeyboardInterrupt as err:
        state, says, interrupt_code = report.FAILED, "interrupted", interrupts.exit_code(err)
    except Exception as err:  # what a part did not expect is a finding too, and the others still run
        state, says = report.FAILED, f"{type(err).__name__}: {err}"
    if not place.keeps:
        for runs in folder.iterdir():
            if runs.is_dir():
                shutil.rmtree(runs, ignore_errors=True)  # checkpoints of 40 parts are gigabytes
    says = place.redact(says)
    seconds = time.monotonic() - started
    found = report.Result(part.name, state, says, seconds, work.commands, work.figures, "".join(work.log))
    return found, interrupt_code


def interrupt(number: int, _frame: object) -> None:
    raise interrupts.Interrupted(number)


def main(argv: Sequence[str] | None = None) -> int:
    with contextlib.suppress(ValueError):  # not in the main thread, as in a test
        signal.signal(signal.SIGTERM, interrupt)
    try:
        return check(parsed(argv))
    except MindLiftError as err:
        print(f"error: {sanitize.error(err)}", file=sys.stderr)
        return err.exit_code
