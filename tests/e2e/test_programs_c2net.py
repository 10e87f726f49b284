"""A script with OpenI's c2net library from PyPI, unmodified: prepare(), the output path, upload_output()."""

from __future__ import annotations

import pytest

from tests.support.gallery import Rehearsal, images, names

pytestmark = pytest.mark.heavy


def test_c2net_finds_its_data_and_its_output(home, tmp_path):
    job = Rehearsal(home, "c2net/job.yaml", "result", "--inputs", f"images={images(tmp_path / 'images')}")
    assert job.end() == "succeeded", job.log()
    assert job.says("data in /cache/dataset/images results to /cache/output")
    assert names(job.fetch(), "*.ckpt") == [f"epoch-{n}.ckpt" for n in (1, 2, 3)]


def test_a_killed_one_is_told_and_given_again(home, tmp_path):
    """OpenI starts no job again, and gives none an earlier output."""
    data = f"images={images(tmp_path / 'images')}"
    job = Rehearsal(home, "c2net/job.yaml", "result", "--inputs", data, "--", "--epochs=9", "--pause=3")
    job.kill_when("epoch 2, loss")
    assert job.end() == "failed"
    assert home.status(job.handle)["reason"] == "rank 0 was ended by SIGKILL"
    again = Rehearsal(home, "c2net/job.yaml", "result", "--inputs", data)
    assert again.end() == "succeeded", again.log()
    assert names(again.fetch(), "epoch-3.ckpt")
