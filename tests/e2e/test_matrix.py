"""The oldest MindSpore: one environment of `make matrix`, and rehearsals in it. Heavy: pip downloads 300 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix.environments import ENVIRONMENTS, set_up
from tests.support.programs import ROOT

pytestmark = pytest.mark.heavy
OLDEST = next(each for each in ENVIRONMENTS if each.name == "mindspore-2.0.0-python3.9")


@pytest.fixture(scope="module")
def oldest() -> str:
    set_up(OLDEST)
    return str(OLDEST.interpreter)


@pytest.mark.timeout(1800)
def test_the_oldest_mindspore_passes(oldest):
    """A training with its evaluation, the rates of RMSProp, MINDIR, storage, and the line about two ranks."""
    checks = ["training", "resume", "rmsprop", "export", "storage", "two_ranks"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.matrix", "--only", OLDEST.name, "--checks", *checks],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed") == len(checks)


@pytest.mark.parametrize("platform", ["modelarts-v1", "modelarts-v2", "openi-qizhi", "openi-c2net"])
def test_a_rehearsal_with_the_pythons_of_an_image(home, few_digits, oldest, platform):
    words = ["--net", "densenet22", "--dataset", "digits", "--recipe", "max_steps=4", "run_eval=true"]
    place = ["--platform", platform, "--python", oldest, "--data_url", few_digits, "--allow_dirty", "true"]
    done = home.run("--config", "", *home.common, *words, *place, "--wait", "--out", home.folder / platform)
    assert done.code == 0, done.err + done.out
    run = Path(done.out.strip().splitlines()[-1])
    versions = json.loads((run / "versions.json").read_text())
    assert (versions["mindspore"], versions["python"][:4]) == ("2.0.0", "3.9.")
    assert json.loads((run / "result.json").read_text())["total"] > 0
