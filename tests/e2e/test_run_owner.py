"""Two jobs that want one run: in a bucket, and in a folder; and an end that was not published."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mindlift.model_utils.staging import lease
from mindlift.runs import manifest as checkpoint_manifest
from tests.e2e.test_cloud_job import Cloud, kill, only, wait_for
from tests.support.programs import ROOT, TINY, environment, run_program
from tests.support.weights import assert_same

LONG = ("--max_epoch", 400, "--ckpt_interval", 2, "--log_interval", 1)


@pytest.fixture
def cloud(minio, bucket, few_digits, tmp_path) -> Cloud:
    made = Cloud(minio, bucket, tmp_path / "cache")
    made.upload(few_digits, "data/")
    return made


def other_node(cloud: Cloud) -> Cloud:
    """The same job on a machine with an empty disk."""
    made = Cloud.__new__(Cloud)
    made.__dict__ = {**cloud.__dict__, "cache": cloud.cache.with_name("other")}
    made.env = {**cloud.env, "MINDLIFT_CACHE": str(made.cache)}
    return made


@pytest.mark.heavy
def test_a_run_that_is_going_on_has_one_owner(cloud):
    process = cloud.start(*LONG)
    wait_for(lambda: len(cloud.manifest()) >= 2, process)
    done = other_node(cloud).run(*LONG)
    assert done.code == 2
    assert f"is the output of a run that is going on (process {process.pid} on " in done.error
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert not [key for key in cloud.keys("run/") if key.endswith(lease.NAME)], "given back"
    assert len({key.split("/")[1] for key in cloud.keys("run/")}) == 1


@pytest.mark.heavy
def test_a_job_that_comes_back_changes_nothing_of_the_run_that_another_one_continued(cloud):
    """The first node hangs; the platform starts the job elsewhere; the first one wakes up."""
    first = cloud.start(*LONG)
    wait_for(lambda: len(cloud.manifest()) >= 2, first)
    os.killpg(first.pid, signal.SIGSTOP)
    began, steps = time.monotonic(), cloud.manifest()[-1].step
    second = other_node(cloud).start(*LONG)
    wait_for(lambda: cloud.manifest()[-1].step > steps, second)
    print(f"taken over {time.monotonic() - began:.0f} s after the start")
    os.killpg(first.pid, signal.SIGCONT)
    out, err = first.communicate(timeout=90)
    assert first.returncode == 1, err + out
    assert f"has been taken over by process {second.pid} on " in err.strip().splitlines()[-1], err
    seen = cloud.manifest()[-1].step
    wait_for(lambda: cloud.manifest()[-1].step > seen, second)
    second.terminate()
    second.communicate(timeout=60)
    assert cloud.published()[-1].step > seen


@pytest.mark.heavy
def test_a_killed_job_is_followed_at_once_on_its_machine(cloud):
    process = cloud.start(*LONG)
    wait_for(lambda: cloud.manifest(), process)
    kill(process)
    assert [key for key in cloud.keys("run/") if key.endswith(lease.NAME)]
    done = cloud.run("--max_epoch", 2)
    assert done.code == 0, done.err
    assert "waiting up to" not in done.out


def test_what_was_not_published_at_the_end_is_published_by_the_same_command(cloud, fault_proxy, minio):
    """And nothing is trained again."""
    through = Cloud(minio, cloud.bucket, cloud.cache, fault_proxy.endpoint)
    words = ("--max_epoch", 4, "--log_interval", 1, "--publish_timeout", 2)
    process = through.start(*words)
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    fault_proxy.down(600)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    folder = Path(err.strip().splitlines()[-1].rpartition("it is in ")[2])
    result = json.loads((folder / "result.json").read_text())
    done = cloud.run(*words)
    assert done.code == 0, done.err
    assert done.result == result
    assert "has ended; what is not in the bucket yet is published" in done.out
    assert cloud.published()[-1].step == result["steps"]
    assert json.loads(cloud.read(only(cloud, "result.json"))) == result
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    again = cloud.run(*words)
    assert again.code == 0, again.err
    assert again.result["run"] != result["run"], "all of it is published: a new run"


@pytest.mark.heavy
def test_a_node_that_was_left_behind_keeps_nothing_older(cloud):
    """Its own metrics and log end before those of the bucket, whose checkpoint it takes."""
    first = cloud.start(*LONG)
    wait_for(lambda: cloud.manifest(), first)
    kill(first)
    other = other_node(cloud)
    second = other.start(*LONG)
    wait_for(lambda: len(cloud.manifest()) >= 5, second)
    second.terminate()
    second.communicate(timeout=60)
    lines = cloud.read(only(cloud, "metrics.jsonl"))
    log = cloud.read(only(cloud, "logs/rank_0.log"))
    step = cloud.manifest()[-1].step
    done = cloud.run(*LONG, "--max_steps", step + 2)
    assert done.code == 0, done.err
    assert f"after step {step}" in done.out
    assert cloud.read(only(cloud, "metrics.jsonl")).startswith(lines)
    assert cloud.read(only(cloud, "logs/rank_0.log")).startswith(log)


@pytest.mark.heavy
def test_a_second_start_in_a_folder_says_who_is_there(few_digits, tmp_path):
    command = [*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path, *LONG]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, command)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: any(tmp_path.glob("*/checkpoints/*.ckpt")), process)
        done = run_program("train.py", *command)
        assert done.code == 2
        assert f"is in use by process {process.pid} on " in done.error
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        process.kill()
        process.wait()


@pytest.mark.heavy
def test_the_furthest_run_is_continued_whatever_its_name(trained, few_digits, tmp_path):
    """A clock that was set back names a later run as an earlier one."""
    source = Path(trained.result["run"])
    for name, steps in (("20200101-000000", 100), ("20990101-000000", 4)):
        run = tmp_path / name
        shutil.copytree(source, run)
        (run / "result.json").unlink()
        kept = [saved for saved in checkpoint_manifest.listed(run / "checkpoints") if saved.step <= steps]
        (run / "checkpoints" / "manifest.jsonl").write_text(checkpoint_manifest.as_text(kept[:-1]))
    command = [*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path, "--max_epoch", 3]
    done = run_program("train.py", *command)
    assert done.code == 0, done.err
    assert Path(done.result["run"]).name == "20200101-000000"
    assert_same(trained.result["checkpoint"], done.result["checkpoint"])
