"""A PyTorch program under torchrun, on CPUs, with gloo."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.gallery import Rehearsal, images, names

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def python() -> str:
    """One with PyTorch: this one (the extra `bench`), or that which the variable names."""
    found = os.environ.get("MINDLIFT_TORCH_PYTHON") or sys.executable
    if subprocess.run([found, "-c", "import torch, numpy, PIL"], capture_output=True, check=False).returncode:
        pytest.skip(f"no PyTorch in {found}")
    return found


def test_two_ranks_meet(home, tmp_path, python):
    flags = ["--python", python, "--inputs", f"data_dir={images(tmp_path / 'images')}"]
    job = Rehearsal(home, "torch/job.yaml", "out", *flags)
    assert job.end() == "succeeded", job.log()
    assert job.says("rank 0 of 2, epoch 3")
    assert job.says("rank 1 of 2, epoch 3")
    assert names(job.fetch(), "*.pt") == ["last.pt"]


def test_a_killed_node_continues_with_keep(home, tmp_path, python):
    flags = ["--python", python, "--inputs", f"data_dir={images(tmp_path / 'images')}", "--keep", "true"]
    again = ["--retries", "1", "--restart", "reschedule"]
    job = Rehearsal(home, "torch/job.yaml", "out", *flags, *again, "--", "--epochs=6", "--pause=3")
    job.kill_when("rank 0 of 2, epoch 3", stored="last.pt")
    assert job.end() == "succeeded", job.log()
    assert job.says("rank 0 continues after epoch")
    assert names(job.fetch(), "*.pt") == ["last.pt"]
