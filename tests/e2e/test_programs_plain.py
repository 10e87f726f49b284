"""A script that knows of no platform: `mindlift run` brings its data, and it continues after kill -9 in a new container."""

from __future__ import annotations

import pytest

from tests.support.gallery import PROGRAMS, Rehearsal, images, names

SECOND = ["--code", PROGRAMS / "plain", "--boot_file", "train.py"]


def test_an_input_that_is_not_in_the_bucket(home):
    done = home.run("submit", *SECOND, "--inputs", f"data_dir=obs://{home.bucket}/none/", "--outputs", "out=")
    assert done.code == 2
    assert f"data_dir: there is nothing at obs://{home.bucket}/none/" in done.error
    assert home.keys("") == []


@pytest.mark.parametrize("platform", ["modelarts-v2", pytest.param("modelarts-v1", marks=pytest.mark.heavy)])
def test_a_plain_script_is_killed_and_continues(home, tmp_path, platform):
    data = f"data_dir={images(tmp_path / 'images')}"
    args = ["--platform", platform, "--", "--epochs=4", "--pause=1.5"]
    job = Rehearsal(home, "plain/job.yaml", "out", "--inputs", data, *args)
    refused = home.run("submit", *SECOND, "--outputs", f"result=obs://{home.bucket}/run/")
    assert refused.code == 2
    assert f"result: obs://{home.bucket}/run/ is in use by {job.handle}" in refused.error
    job.kill_when("epoch 2 loss", stored="epoch-1.ckpt")
    assert job.end() == "succeeded", job.log()
    assert home.status(job.handle)["restarts"] == 1
    assert job.says("continuing after epoch")
    assert job.log().count("epoch 1 loss") == 1, "nothing is done again"
    assert names(job.fetch(), "*.ckpt") == [f"epoch-{n}.ckpt" for n in range(1, 5)]


@pytest.mark.heavy
def test_what_the_platform_copies_is_fetched_after_a_kill(home, tmp_path):
    """Without keep, ModelArts brings data and results; a killed job leaves what it had published."""
    data = f"data_dir={images(tmp_path / 'images')}"
    flags = ["--inputs", data, "--keep", "false", "--retries", "0"]
    job = Rehearsal(home, "plain/job.yaml", "out", *flags, "--", "--epochs=9", "--pause=3")
    job.kill_when("epoch 2 loss", stored="epoch-1.ckpt")
    assert job.end() == "failed"
    assert home.status(job.handle)["reason"] == "rank 0 was ended by SIGKILL"
    assert "epoch-1.ckpt" in names(job.fetch(), "*.ckpt")
    again = Rehearsal(
        home, "plain/job.yaml", "out", *flags, "--resume", "before=out", "--access", "env", "--", "--epochs=1"
    )
    assert again.end() == "failed", "a script that is told nothing asks for its arguments"
