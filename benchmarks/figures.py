"""What the benchmarks share: options, what is made of rounds, and the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path


def quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile, to three places; of one value that value."""
    found = list(values)
    low, middle, high = statistics.quantiles(found if len(found) > 2 else found * 2, n=4)
    return round(low, 3), round(middle, 3), round(high, 3)


def spread(values: Iterable[float]) -> dict:
    """The quartiles as they are written to results/."""
    low, middle, high = quartiles(values)
    return {"median": middle, "quartiles": [low, high]}


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """For argparse: names with commas between them, each one of `known`."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown_files = [name for name in names if name not in known]
        if unknown_files:
            raise argparse.ArgumentTypeError(
                f"{', '.join(map(repr, unknown_files))}: expected some of {', '.join(known)}"
            )
        return names

    return parse


def positive(text: str) -> int:
    """For argparse: a number of rounds."""
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def machine(threads: int) -> dict:
    """What results/ says of where a benchmark ran."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": model[0].partition(": ")[2] if model else platform.processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(output: Path | None, about: dict, results: list[dict]) -> None:
    """What was measured, and where, as --output wants it."""
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")
