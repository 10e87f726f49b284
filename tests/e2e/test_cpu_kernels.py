"""Trainings with the kernels for CPUs and without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mindlift.models.weights.mindspore_files import read
from tests.support.programs import TINY, Finished, run_program

INSTEAD = "norms and convolutions are computed by MindSpore's own kernels: "


def train(root: Path, *arguments: object) -> Finished:
    places = ("--ckpt_path", root, "--cache_path", root / "cache")
    return run_program("train.py", *TINY, "--compile_cache", "false", *places, *arguments)


def weights(done: Finished) -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    return {name: tensor.asnumpy() for name, tensor in read(Path(done.result["checkpoint"])).items()}


@pytest.mark.heavy
def test_a_training_that_continues_has_the_same_weights_with_and_without_them(tmp_path):
    """Bit by bit with either. What one step computes is compared in unit/test_cpu_kernels.py: training enlarges rounding."""
    ends = {}
    for wanted in ("true", "false"):
        root = tmp_path / wanted
        whole = weights(train(root / "whole", "--cpu_kernels", wanted, "--max_steps", 4))
        stopped = train(root / "cut", "--cpu_kernels", wanted, "--max_steps", 2)
        (Path(stopped.result["run"]) / "result.json").unlink()
        again = train(root / "cut", "--cpu_kernels", wanted, "--max_steps", 4)
        assert "after step 2" in again.out
        ends[wanted] = weights(again)
        assert all((ends[wanted][name] == whole[name]).all() for name in whole)
        assert len(list(root.glob("*/cache/kernels/kernels-*.so"))) == (2 if wanted == "true" else 0)
    assert ends["true"].keys() == ends["false"].keys()


@pytest.mark.heavy
def test_a_compiler_that_fails_is_a_line_and_an_error_only_where_they_are_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    done = train(tmp_path, "--max_steps", 1)
    assert done.code == 0
    assert done.err.count(INSTEAD) == 1
    done = train(tmp_path, "--max_steps", 1, "--cpu_kernels", "true")
    assert done.code == 2
    assert "--cpu_kernels true: /" in done.err
    assert "false ended with code 1: no reason given; install g++" in done.err
    assert "Traceback" not in done.err
