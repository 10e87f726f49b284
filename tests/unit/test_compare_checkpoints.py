"""Two checkpoints side by side."""

from __future__ import annotations

import json

import mindspore as ms
import numpy as np
import pytest

from mindlift.cli import compare_checkpoints


def saved(path, **tensors: np.ndarray):
    entries = [{"name": name, "data": ms.Tensor(value)} for name, value in tensors.items()]
    ms.save_checkpoint(entries, str(path), append_dict={"step_num": 3})
    return path


@pytest.fixture
def first(tmp_path):
    return saved(tmp_path / "a.ckpt", w=np.array([1.0, -4.0], np.float32), b=np.array([0.5], np.float32))


def test_the_largest_difference_is_named(first, tmp_path, capsys):
    other = saved(tmp_path / "b.ckpt", w=np.array([1.0, -3.0], np.float32), b=np.array([0.25], np.float32))
    assert compare_checkpoints.main([str(first), str(other)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"tensors": 3, "worst": "w", "largest_difference": 1.0, "relative": 0.25}


def test_the_same_is_the_same(first, capsys):
    assert compare_checkpoints.main([str(first), str(first)]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] == 0


def test_other_tensors_are_a_mistake(first, tmp_path, capsys):
    other = saved(tmp_path / "b.ckpt", w=np.array([1.0], np.float32), c=np.array([0.5], np.float32))
    assert compare_checkpoints.main([str(first), str(other)]) == 2
    assert "differ in b, c, w" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_a_mistake(first, tmp_path, capsys):
    assert compare_checkpoints.main([str(first), str(tmp_path / "none.ckpt")]) == 2
    assert "none.ckpt" in capsys.readouterr().err
