"""`python -m tests.fuzz`: mutated inputs of each kind against what reads them, in little memory and time; seeded.

Prints, for each target, how many were read and how many were refused in one line; ends with 1 and the input's file if
one did anything else.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.mutations import mutated

MEMORY_BYTES = 12 << 30  # of addresses: libraries reserve much more than they use
SECONDS = 20  # for one input


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(targets.TARGETS))
    parser.add_argument("--seed", type=int, default=25)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of inputs")
    args = parser.parse_args()
    unknown = sorted({*args.targets} - {*targets.TARGETS})
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(targets.TARGETS)}")
    return args


def late(*_: object) -> None:
    raise AssertionError(f"it takes more than {SECONDS} s")


def fuzz(name: str, folder: Path, seed: int, share: float) -> Counter[str]:
    """How inputs ended. AssertionError, with the input kept in `folder`, for one that ended in another way."""
    ends: Counter[str] = Counter()
    target = targets.TARGETS[name]
    (folder / "samples").mkdir(parents=True)
    samples = targets.cases(name, folder / "samples", seed)
    others = [data for _, data, _ in samples]
    for sample, data, rng in samples:
        for number in range(max(1, int(share * target.each))):
            content = mutated(data, others, rng) if number else data
            place = folder / "case"
            place.mkdir()
            signal.alarm(SECONDS)
            try:
                target.read(content, sample, place)
                ends["read"] += 1
            except Exception as err:
                try:
                    targets.check(err)
                except AssertionError as why:
                    kept = Path(
                        tempfile.gettempdir(),
                        f"fuzz-{name.replace(' ', '-')}-{seed}-{number}-{Path(sample).name}",
                    )
                    kept.write_bytes(content)
                    raise AssertionError(f"{name}, {sample}, input {number} (kept as {kept}): {why}") from err
                ends["refused"] += 1
            finally:
                signal.alarm(0)
            shutil.rmtree(place)
    return ends


def main() -> int:
    args = parsed()
    signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for name in args.targets:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            ends = fuzz(name, folder / "work", args.seed, args.share)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps({"target": name, "uid": os.getuid(), **ends}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
