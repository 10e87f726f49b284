"""A small share of the seeded inputs of `python -m tests.fuzz` in the quick suite, all of them in `make test-all`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.fuzz.targets import TARGETS
from tests.support.programs import ROOT, environment

NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]


def run(*words: str, before: Sequence[str] = ()) -> list[dict]:
    done = subprocess.run(
        [*before, sys.executable, "-m", "tests.fuzz", *words],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT / "src")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_share_of_all_targets():
    found = run("--share", "0.02")
    assert [each["target"] for each in found] == list(TARGETS)
    for each in found:
        assert each["target"] == "texts" or each["refused"], "no input was damaged"
        assert each["target"] == "runs" or each["read"] >= 1, "the first of each is whole"


@pytest.mark.heavy
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("user", [[], NOBODY], ids=["this user", "nobody"])
def test_all(target, user):
    if user and subprocess.run([*user, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare can't make another user here")
    (found,) = run(target, before=user)
    assert found["uid"] == (65534 if user else os.getuid())
    assert sum(found.get(end, 0) for end in ("read", "refused")) >= TARGETS[target].each
