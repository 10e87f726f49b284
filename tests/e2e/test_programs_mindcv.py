"""mindcv 0.3.0 from PyPI, unmodified, with /cache in its options, in the contracts of all four platforms."""

from __future__ import annotations

import pytest

from tests.support.gallery import Rehearsal, images, names

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]
CHECKPOINTS = ["mobilenet_v1_025-1_4.ckpt", "mobilenet_v1_025-2_4.ckpt"]


@pytest.mark.parametrize("platform", ["modelarts-v1", "modelarts-v2"])
def test_it_trains_and_is_started_again_after_a_kill(home, tmp_path, platform):
    data = f"data={images(tmp_path / 'images')}"
    job = Rehearsal(home, "mindcv/job.yaml", "ckpt", "--platform", platform, "--inputs", data)
    job.kill_when("Epoch: [1/2], batch: [2/4]")
    assert job.end() == "succeeded", job.log()
    assert home.status(job.handle)["restarts"] == 1
    assert names(job.fetch(), "mobilenet_v1_025-*.ckpt") == CHECKPOINTS


@pytest.mark.parametrize("launcher", ["rank_table", "msrun"])
def test_two_ranks_share_the_images(home, tmp_path, launcher):
    flags = ["--inputs", f"data={images(tmp_path / 'images')}", "--launcher", launcher, "--cards", "2"]
    job = Rehearsal(home, "mindcv/job.yaml", "ckpt", *flags, "--", "--config=small.yaml", "--distribute")
    assert job.end() == "succeeded", job.log()
    assert job.log().count("Epoch: [2/2], batch: [2/2]") == 2
    assert names(job.fetch(), "mobilenet_v1_025-2_*.ckpt") == ["mobilenet_v1_025-2_2.ckpt"]


def test_on_c2net(home, tmp_path):
    data = f"images={images(tmp_path / 'images')}"
    job = Rehearsal(home, "mindcv/openi.yaml", "result", "--inputs", data)
    assert job.end() == "succeeded", job.log()
    assert names(job.fetch(), "ckpt/mobilenet_v1_025-*.ckpt") == [f"ckpt/{name}" for name in CHECKPOINTS]


def test_on_qizhi(home, tmp_path):
    flags = ["--platform", "openi-qizhi", "--inputs", f"images={images(tmp_path / 'images')}"]
    job = Rehearsal(home, "mindcv/openi.yaml", "result", *flags, "--", "--config=small.yaml")
    assert job.end() == "succeeded", job.log()
    assert names(job.fetch(), "mobilenet_v1_025-*.ckpt") == CHECKPOINTS
