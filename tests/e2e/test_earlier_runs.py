"""Runs and checkpoints of earlier versions: evaluated to the same figures, and continued.

tests/golden/run_0.1 was written by the version before the package was called mindlift:
`python train.py --net densenet22 --max_steps 2 --ckpt_path output --run_eval false` with MindSpore 2.8.0.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.programs import ROOT, run_program

RUN = "20261128-133800"


@pytest.fixture
def earlier(tmp_path) -> Path:
    shutil.copytree(ROOT / "tests/golden/run_0.1" / RUN, tmp_path / "output" / RUN)
    return tmp_path / "output" / RUN


def test_it_is_evaluated_as_its_own_version_did(earlier, tmp_path):
    done = run_program("eval.py", "--net", "densenet22", "--pretrained", earlier, cwd=tmp_path)
    assert done.code == 0, done.err
    assert (done.result["top1_correct"], done.result["total"], done.result["loss"]) == (37, 357, 2.300027)


def test_it_is_continued(earlier, tmp_path):
    (earlier / "result.json").unlink()
    words = ["--net", "densenet22", "--max_steps", "3", "--ckpt_path", "output", "--run_eval", "false"]
    done = run_program("train.py", *words, cwd=tmp_path)
    assert done.code == 0, done.err
    assert "continuing from" in done.out
    assert "this run began with version 1 of the augmentation and goes on with version 2" in done.out
    assert (done.result["steps"], Path(done.result["run"]).name) == (3, RUN)
