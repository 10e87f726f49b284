"""`python -m tests.chaos`: accidents at random points of a run's life, and a table of how the runs ended; `make chaos`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.pages import write_between

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "storage.md"
BEGIN, END = "<!-- chaos -->", "<!-- end of chaos -->"
COLUMNS = ("at once", "line", "lost")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=24, help="what the points are drawn from")
    parser.add_argument(
        "--only", default="", help="points whose name contains this, such as two_ranks or two_ranks-3"
    )
    parser.add_argument("--processes", default="2", help="points at a time")
    parser.add_argument("--write", action="store_true", help="put the table into docs/storage.md")
    return parser.parse_args()


class Outcomes:
    """A plugin of pytest that counts how points ended."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = dict(report.user_properties)
        if report.when == "call" and "scenario" in found:
            outcome = found.get("outcome", "lost")
            self.counts.setdefault(str(found["scenario"]), Counter())[str(outcome)] += 1
            if report.failed:
                print(f"\n{report.nodeid}: {report.capstdout}\n{report.longreprtext}", flush=True)

    def table(self) -> str:
        from tests.chaos.test_chaos import SCENARIOS

        rows = [(name, self.counts[name]) for name in SCENARIOS if name in self.counts]
        rows.append(("all", sum(self.counts.values(), Counter())))
        lines = [
            "| accidents | points | identical at once | identical after one line | lost |",
            "|---|---|---|---|---|",
        ]
        for name, counts in rows:
            cells = [str(counts.total()), *(str(counts[column]) for column in COLUMNS)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def main() -> int:
    args = parsed()
    os.environ["MINDLIFT_CHAOS_SEED"] = str(args.seed)
    outcomes = Outcomes()
    words = [
        str(ROOT / "tests/chaos/test_chaos.py"),
        "-v",
        "--rootdir",
        str(ROOT),
        "--durations=10",
        "--tb=short",
    ]
    words += ["-n", args.processes, "--dist", "worksteal"] if args.processes != "1" else []
    code = pytest.main([*words, "-k", args.only] if args.only else words, plugins=[outcomes])
    print(f"\nseed {args.seed}\n\n{outcomes.table()}")
    if args.write:
        write_between(PAGE, BEGIN, END, outcomes.table())
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
