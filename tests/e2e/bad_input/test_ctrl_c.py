"""Ctrl-C while MindSpore is imported, in an evaluation, in a training."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from mindlift.runs import manifest as checkpoint_manifest
from tests.support.interrupted import interrupted
from tests.support.programs import EVAL, TINY, TRAIN


def test_ctrl_c_while_mindspore_is_imported(few_digits, tmp_path):
    done = interrupted(
        TRAIN,
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        when=lambda process: "libmindspore" in Path(f"/proc/{process.pid}/maps").read_text(),
    )
    assert (done.code, done.err) == (130, "error: interrupted\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [
        (signal.SIGINT, 130, "error: interrupted"),
        pytest.param(signal.SIGTERM, 143, "error: interrupted by SIGTERM", marks=pytest.mark.heavy),
    ],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_ctrl_c_in_an_evaluation(place, number, code, says):
    """The graph is being compiled then; an exception there would bring mindspore's view of it along."""
    done = interrupted(
        EVAL,
        *TINY[:4],
        "--data_dir",
        place / "good",
        "--pretrained",
        place / "run",
        "--per_batch_size",
        1,
        "--progress",
        "true",
        when=lambda process: b"evaluate" in os.read(process.stderr.fileno(), 1000),
        number=number,
    )
    assert done.code == code, done.err
    assert done.error == says
    assert done.err.splitlines()[-1] == done.error
    assert "# In file" not in done.err


def test_ctrl_c_in_the_training_saves(few_digits, tmp_path):
    done = interrupted(
        TRAIN,
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        400,
        "--ckpt_interval",
        9999,
        "--log_interval",
        1,
        when=lambda process: process.stdout.readline().startswith("epoch "),
    )
    assert done.code == 130, done.err
    assert done.err == done.error + "\n"
    saved = checkpoint_manifest.latest(next(tmp_path.iterdir()) / "checkpoints")
    assert f"after step {saved.step}; the same command continues from" in done.error
    assert saved.file in done.error
