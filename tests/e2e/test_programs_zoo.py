"""A program in the style of the model zoo: moxing, lock files below /tmp, /cache in its options."""

from __future__ import annotations

import pytest

from tests.support.gallery import PROGRAMS, Rehearsal, images, names

pytestmark = pytest.mark.heavy
ZOO = PROGRAMS / "zoo"


def test_qizhi_adds_arguments_that_its_strict_parser_refuses(home, tmp_path):
    """What would have cost a place in a queue: 启智 passes more than --data_url and --train_url."""
    data = f"data_url={images(tmp_path / 'images')}"
    job = Rehearsal(
        home, "zoo/job.yaml", "train_url", "--platform", "openi-qizhi", "--cards", "1", "--inputs", data
    )
    assert job.end() == "failed"
    assert job.says("error: unrecognized arguments: --multi_data_url=")


def test_its_own_adapter_loses_what_a_kill_finds(home, tmp_path):
    """It uploads at the end alone. Killed before, it leaves nothing, and the next job sees no lock of this one."""
    data = f"data_url={images(tmp_path / 'images')}"
    job = Rehearsal(
        home, "zoo/job.yaml", "train_url", "--inputs", data, "--", "--enable_modelarts=True", "--pause=2"
    )
    job.kill_when("epoch 2")
    assert job.end() == "failed"
    assert not [key for key in home.keys("run/") if key.endswith(".ckpt")]
    again = Rehearsal(home, "zoo/job.yaml", "train_url", "--inputs", data)
    assert again.end() == "succeeded", again.log()
    assert again.log().count("to /cache/data") == 1


def test_with_keep_it_continues(home, tmp_path):
    """The same program on its own adapter's paths: `mindlift run` fills /cache/data and keeps /cache/train."""
    data = f"data={images(tmp_path / 'images')}"
    flags = [
        "--inputs",
        data,
        "--keep",
        "true",
        "--access",
        "none",
        "--retries",
        "1",
        "--restart",
        "reschedule",
    ]
    paths = ["--paths", "data=/cache/data", "train=/cache/train"]
    file = tmp_path / "keep.yaml"
    file.write_text(
        "provider: local\nplatform: modelarts-v1\ncards: 2\nprogram: {code: ZOO, boot_file: train.py}\n".replace(
            "ZOO", str(ZOO)
        )
    )
    job = Rehearsal(home, str(file), "train", *flags, *paths, "--", "--pause=3", "--epoch_size=5")
    job.kill_when("rank 0 of 2, epoch 3", stored="ckpt_0/small-1.ckpt")
    assert job.end() == "succeeded", job.log()
    assert job.says("rank 0 continues after epoch")
    assert job.says("rank 1 continues after epoch")
    assert len(names(job.fetch(), "ckpt_*/*.ckpt")) == 10
