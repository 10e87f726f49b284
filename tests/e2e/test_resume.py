"""A training that is killed, stopped or resumed ends with the weights of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mindlift.runs import manifest as checkpoint_manifest
from tests.support.programs import ROOT, TINY, environment, run_program
from tests.support.weights import assert_same, weights


@pytest.mark.heavy
def test_a_killed_run_continues_to_the_same_weights(trained, few_digits, tmp_path):
    command = [
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        3,
        "--ckpt_interval",
        2,
        "--log_interval",
        4,
    ]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, command)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not any(len(checkpoint_manifest.listed(run / "checkpoints")) >= 2 for run in tmp_path.iterdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = run_program("train.py", *command)
    assert done.code == 0, done.err
    assert "continuing from" in done.out
    assert len(list(tmp_path.iterdir())) == 1, "the same run folder"
    assert_same(trained.result["checkpoint"], done.result["checkpoint"])


def test_resume_from_a_step_inside_an_epoch(trained, few_digits, tmp_path):
    middle = Path(trained.result["run"]) / "checkpoints" / "densenet22-2_2.ckpt"
    done = run_program(
        "train.py",
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        3,
        "--resume",
        middle,
    )
    assert done.code == 0, done.err
    assert_same(trained.result["checkpoint"], done.result["checkpoint"])


@pytest.mark.heavy
def test_average_mixing_and_dynamic_scale_survive_a_kill(few_digits, tmp_path):
    """All that the options add to a training's state is in its checkpoints."""
    command = [
        *TINY,
        "--data_dir",
        few_digits,
        "--enable_ema",
        "true",
        "--ema_decay",
        0.9,
        "--mixup_alpha",
        0.5,
        *("--cutmix_alpha", 1, "--mixup_shares", "pair", "--mixup_off_epoch", 1, "--aug_repeats", 2),
        *("--auto_augment", "augmix-m3-w3", "--random_erase", 0.5, "--random_erase_mode", "pixel"),
        *("--vflip", 0.5, "--grayscale", 0.2, "--gaussian_blur", 0.5),
        "--is_dynamic_loss_scale",
        "true",
        "--loss_scale",
        1024,
        "--loss_scale_window",
        4,
        "--enable_clip_norm",
        "true",
        "--gradient_norm",
        0.5,
        "--label_smoothing",
        0.1,
        "--max_steps",
        10,
        "--run_eval",
        "true",
    ]
    whole = run_program("train.py", *command, "--ckpt_interval", 5, "--ckpt_path", tmp_path / "whole")
    assert whole.code == 0, whole.err
    last = weights(whole.result["checkpoint"])
    assert float(last["loss_scale.value"]) == 4096
    shadow, weight = last["ema.classifier.weight"], last["classifier.weight"]
    assert 0 < np.abs(shadow - weight).max() < 0.5 * np.abs(weight).max()
    middle = Path(whole.result["checkpoint"]).parent / "densenet22-1_5.ckpt"
    rest = run_program("train.py", *command, "--ckpt_path", tmp_path / "rest", "--resume", middle)
    assert rest.code == 0, rest.err
    assert_same(whole.result["checkpoint"], rest.result["checkpoint"])
    assert rest.result["top1"] == whole.result["top1"]


def test_sigterm_saves_and_the_same_command_continues(few_digits, tmp_path):
    command = [
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        400,
        "--ckpt_interval",
        9999,
    ]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, command), "--log_interval", "1"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM after step" in err
    step = checkpoint_manifest.listed(next(tmp_path.iterdir()) / "checkpoints")[-1].step
    done = run_program("train.py", *command, "--max_steps", step + 1)
    assert done.code == 0, done.err
    assert f"after step {step}" in done.out
