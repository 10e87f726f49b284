"""`python -m tests.matrix`: run the checks in the environments and print one table; see docs/versions.md."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.matrix.checks import CHECKS, CheckError, Figures, Programs
from tests.matrix.environments import ENVIRONMENTS, ROOT, Environment, SetUpError, moved, set_up
from tests.support.pages import write_between

PAGE = ROOT / "docs" / "versions.md"
BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"
NOT_MEASURED = "not measured"
FIGURES = "figures.json"  # of earlier runs in this environment: checks can be run one by one


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--only", default="", help="environments whose name contains this")
    parser.add_argument("--checks", nargs="+", choices=CHECKS, default=list(CHECKS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/versions.md")
    return parser.parse_args()


def measured(environment: Environment, checks: list[str]) -> tuple[Figures, list[str]]:
    """What the checks found in this environment, and what failed."""
    figures: Figures = {}
    try:
        before, after = set_up(environment)
    except SetUpError as err:
        return figures, [f"{environment.name}: {err}"]
    changed = moved(before, after)
    failures = [f"{environment.name}: a job moved {', '.join(changed)}"] if changed else []
    kept = environment.folder / FIGURES
    figures.update(json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {})
    figures["packages added, moved"] = f"{len(after) - len(before)}, {len(changed)}"
    programs = Programs(environment)
    for name in checks:
        started = time.monotonic()
        try:
            figures.pop(name, None)
            CHECKS[name](programs, figures)
            verdict = "passed"
        except CheckError as err:
            failures.append(f"{environment.name}, {name}: {err}")
            verdict = f"FAILED: {str(err).splitlines()[0][:300]}"
            figures = {**figures, name: "FAILED"}
        print(f"{environment.name} {name}: {verdict} ({time.monotonic() - started:.0f} s)", flush=True)
        kept.write_text(json.dumps(figures, ensure_ascii=False), encoding="utf-8")
    return figures, failures


def table(found: dict[Environment, Figures]) -> str:
    """A column for each environment, a row for each figure."""
    names = list(dict.fromkeys(name for figures in found.values() for name in figures))
    heads = [f"{environment.mindspore.partition('.dev')[0]}, {environment.python}" for environment in found]
    lines = [f"| MindSpore, Python | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for name in names:
        cells = [figures.get(name, NOT_MEASURED) for figures in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    args = parsed()
    chosen = [each for each in ENVIRONMENTS if args.only in each.name]
    if not chosen:
        print(
            f"no environment is called {args.only}: {', '.join(each.name for each in ENVIRONMENTS)}",
            file=sys.stderr,
        )
        return 2
    found, failures = {}, []
    for environment in chosen:
        found[environment], failed = measured(environment, args.checks)
        failures += failed
    print(table(found))
    print("\n".join(failures), file=sys.stderr)
    if args.write:
        write_between(PAGE, BEGIN, END, table(found))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
