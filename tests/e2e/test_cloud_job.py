"""Jobs whose data and results are in a bucket: real processes against a real MinIO."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mindlift.runs import manifest as checkpoint_manifest
from tests.support.faults import Fault
from tests.support.programs import ROOT, TINY, environment, run_program, run_ranks, wait_for
from tests.support.servers import s3_client

EPOCHS = ("--max_epoch", 3, "--ckpt_interval", 2, "--log_interval", 4)


class Cloud:
    """A bucket with data in data/, and what a job needs to reach it. `cache` is the job's disk."""

    def __init__(self, store, bucket: str, cache: Path, endpoint: str = ""):
        self.client, self.bucket, self.cache = s3_client(store), bucket, cache
        self.env = {
            "S3_ENDPOINT": endpoint or store.endpoint,
            "ACCESS_KEY_ID": store.access_key,
            "SECRET_ACCESS_KEY": store.secret_key,
            "MINDLIFT_CACHE": str(cache),
        }
        self.command = [
            *TINY,
            "--enable_modelarts",
            "True",
            "--data_url",
            f"obs://{bucket}/data/",
            "--train_url",
            f"obs://{bucket}/run/",
        ]

    def upload(self, folder: Path, prefix: str) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.client.upload_file(
                    str(path), self.bucket, f"{prefix}{path.relative_to(folder).as_posix()}"
                )

    def keys(self, prefix: str = "") -> dict[str, int]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"]: item["Size"] for item in found}

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def manifest(self) -> list[checkpoint_manifest.Saved]:
        """The manifest of the only run."""
        found = [key for key in self.keys("run/") if key.endswith("checkpoints/manifest.jsonl")]
        assert len(found) <= 1
        return checkpoint_manifest.parse(self.read(found[0])) if found else []

    def published(self) -> list[checkpoint_manifest.Saved]:
        """The manifest, while nobody writes it; every file that it names must be there, whole."""
        records, keys = self.manifest(), self.keys("run/")
        for saved in records:
            key = next(key for key in keys if key.endswith(f"/checkpoints/{saved.file}"))
            assert hashlib.sha256(self.read(key)).hexdigest() == saved.sha256
        return records

    def start(self, *more: object, ranks: int = 1) -> subprocess.Popen:
        program = (
            [sys.executable] if ranks == 1 else ["bash", str(ROOT / "scripts/local_ranks.sh"), str(ranks)]
        )
        return subprocess.Popen(
            [*program, str(ROOT / "train.py"), *map(str, [*self.command, *more]), "--json", "true"],
            cwd=ROOT,
            env=environment(PYTHON=sys.executable, LOG_DIR=str(self.cache.with_name("logs")), **self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *more: object, ranks: int = 1):
        if ranks == 1:
            return run_program("train.py", *self.command, *more, **self.env)
        return run_ranks(
            ranks, "train.py", *self.command, *more, LOG_DIR=str(self.cache.with_name("logs")), **self.env
        )


@pytest.fixture
def cloud(minio, bucket, few_digits, tmp_path) -> Cloud:
    made = Cloud(minio, bucket, tmp_path / "cache")
    made.upload(few_digits, "data/")
    return made


def kill(process: subprocess.Popen) -> None:
    """SIGKILL to the process and all that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def weights_in(cloud: Cloud, file: str, prefix: str = "run/") -> dict[str, np.ndarray]:
    from mindlift.runs import checkpoint

    key = next(key for key in cloud.keys(prefix) if key.endswith(f"checkpoints/{file}"))
    path = cloud.cache.with_name(f"{prefix.strip('/')}-{file}")
    path.write_bytes(cloud.read(key))
    return {name: value.asnumpy() for name, value in checkpoint.read(path).items()}


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [pytest.param(1, marks=pytest.mark.heavy), 2])
def test_a_killed_job_continues_on_an_empty_disk(cloud, ranks):
    whole = Cloud.__new__(Cloud)
    whole.__dict__ = {**cloud.__dict__, "command": [*cloud.command[:-1], f"obs://{cloud.bucket}/whole/"]}
    done = whole.run(*EPOCHS, ranks=ranks)
    assert done.code == 0, done.err + done.out
    shutil.rmtree(cloud.cache)

    process = cloud.start(*EPOCHS, ranks=ranks)
    wait_for(lambda: any(saved.epoch == 2 for saved in cloud.manifest()), process)
    kill(process)
    before = cloud.published()
    shutil.rmtree(cloud.cache)

    done = cloud.run(*EPOCHS, ranks=ranks)
    assert done.code == 0, done.err + done.out
    assert f"after step {before[-1].step}" in done.out
    final = cloud.published()
    assert final[-1].epoch == 3
    assert {saved.file for saved in before} & {saved.file for saved in final} or len(
        final
    ) == 5, "older ones stay"
    expected, found = weights_in(cloud, final[-1].file, "whole/"), weights_in(cloud, final[-1].file)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert len({key.split("/")[1] for key in cloud.keys("run/")}) == 1, "the same run"
    lines = [json.loads(line) for line in cloud.read(only(cloud, "metrics.jsonl")).splitlines()]
    assert {line["event"] for line in lines if "event" in line} >= {"start", "continued", "ended"}
    steps = [line["step"] for line in lines if "event" not in line]
    assert steps[-1] == final[-1].step
    assert min(steps) <= before[-1].step, "the metrics of the killed attempt are there"
    log = cloud.read(only(cloud, "logs/rank_0.log")).decode()
    assert "continuing from" in log
    assert json.loads(cloud.read(only(cloud, "result.json")))["steps"] == final[-1].step


def only(cloud: Cloud, name: str) -> str:
    return next(key for key in cloud.keys("run/") if key.endswith(name))


def test_the_death_of_the_copying_rank_ends_the_job(cloud, fault_proxy, minio):
    slow = Cloud(minio, cloud.bucket, cloud.cache, fault_proxy.endpoint)
    fault_proxy.add(Fault("trickle", path="data_batch_1.bin", times=None, rate=2000))
    process = slow.start(*EPOCHS, ranks=2)
    wait_for(lambda: any("data_batch_1" in request.target for request in fault_proxy.requests), process)
    wait_for(lambda: list(cloud.cache.glob("gate/*/*.json")), process)
    marker = json.loads(next(cloud.cache.glob("gate/*/*.json")).read_text())
    killed = time.monotonic()
    os.kill(marker["owner"]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - killed < 10
    assert process.returncode != 0
    assert "SIGKILL" in err
    assert not list(cloud.cache.glob("data/*/data_batch_1.bin")), "nothing half-written is visible"


@pytest.mark.heavy
def test_markers_and_files_of_an_earlier_job_change_nothing(cloud):
    done = cloud.run("--max_steps", 2, ranks=2)
    assert done.code == 0, done.err
    markers = list(cloud.cache.glob("gate/*"))
    stale = cloud.cache / "gate" / "local-1-1-0"
    shutil.copytree(markers[0], stale)
    staged = next(cloud.cache.glob("data/*/data_batch_1.bin"))
    content = staged.read_bytes()
    staged.write_bytes(bytes(len(content)))  # the same size, and newer than the object
    done = cloud.run("--max_steps", 2, "--resume", "none", ranks=2)
    assert done.code == 0, done.err
    assert staged.read_bytes() == content


def test_sigterm_publishes_what_it_saves(cloud):
    process = cloud.start("--max_epoch", 400, "--ckpt_interval", 9999, "--log_interval", 1)
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    process.terminate()
    started = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - started < 15
    assert process.returncode == 143
    assert "stopped by SIGTERM after step" in err
    assert f"after step {cloud.published()[-1].step};" in err


@pytest.mark.heavy
def test_a_crash_publishes_what_was_finished(cloud):
    done = cloud.run("--max_epoch", 3, "--ckpt_interval", 1, "--lr", 1e30, "--warmup_epochs", 1)
    assert done.code == 1
    assert "loss is" in done.error
    assert cloud.published()
    assert not [key for key in cloud.keys("run/") if key.endswith("result.json")]


@pytest.mark.heavy
def test_a_store_that_is_away_does_not_stop_the_training(cloud, fault_proxy, minio):
    through = Cloud(minio, cloud.bucket, cloud.cache, fault_proxy.endpoint)
    process = through.start("--max_epoch", 40, "--ckpt_interval", 10, "--log_interval", 1)
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    fault_proxy.down(6)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err + out
    assert cloud.published()[-1].step == json.loads(out.splitlines()[-1])["steps"]


@pytest.mark.heavy
def test_a_store_that_does_not_come_back_is_an_error_that_says_where_the_files_are(cloud, fault_proxy, minio):
    through = Cloud(minio, cloud.bucket, cloud.cache, fault_proxy.endpoint)
    process = through.start("--max_epoch", 4, "--log_interval", 1, "--publish_timeout", 2)
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    fault_proxy.down(600)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    line = err.strip().splitlines()[-1]
    assert line.startswith("error: not everything is published to obs://")
    folder = Path(line.rpartition("it is in ")[2])
    assert checkpoint_manifest.latest(folder / "checkpoints")


@pytest.mark.heavy
def test_eval_takes_checkpoints_by_url(cloud, few_digits):
    done = cloud.run("--max_epoch", 2)
    assert done.code == 0, done.err
    file = cloud.published()[-1].file
    folder = only(cloud, file).rpartition("/checkpoints/")[0]
    by_file = ["--pretrained", f"obs://{cloud.bucket}/{folder}/checkpoints/{file}", "--data_dir", few_digits]
    by_run = ["--pretrained", f"s3://{cloud.bucket}/run/", "--data_dir", few_digits]
    in_cloud = [
        "--enable_modelarts",
        "true",
        "--data_url",
        f"obs://{cloud.bucket}/data/",
        "--ckpt_url",
        f"obs://{cloud.bucket}/{folder}/checkpoints/{file}",
        "--train_url",
        f"obs://{cloud.bucket}/out/",
    ]
    figures = []
    for more in (by_file, by_run, in_cloud):
        done = run_program("eval.py", *TINY[:4], *more, **cloud.env)
        assert done.code == 0, done.err
        figures.append({key: done.result[key] for key in ("top1_correct", "total")})
        assert Path(done.result["checkpoint"]).name == file
    assert figures[0] == figures[1] == figures[2]
    assert figures[0]["total"] == 83
    assert len(list(cloud.cache.glob(f"checkpoints/*/{file}"))) == 1, "kept by ETag"


@pytest.mark.heavy
def test_data_in_a_zip_by_openis_arguments(cloud, few_digits, tmp_path):
    with zipfile.ZipFile(tmp_path / "digits.zip", "w") as archive:
        for path in few_digits.iterdir():
            archive.write(path, f"digits/{path.name}")
    cloud.client.upload_file(str(tmp_path / "digits.zip"), cloud.bucket, "attachment/digits.zip")
    selected = [{"dataset_url": f"s3:///{cloud.bucket}/attachment/digits.zip", "dataset_name": "digits.zip"}]
    done = run_program(
        "train.py",
        *TINY,
        "--enable_modelarts",
        "True",
        "--max_steps",
        2,
        "--multi_data_url",
        json.dumps(selected),
        "--ckpt_url",
        "[]",
        "--pretrain_url",
        "[]",
        "--train_url",
        f"s3:///{cloud.bucket}/run/",
        **cloud.env,
    )
    assert done.code == 0, done.err
    assert cloud.published()[-1].step == 2


BAD = {
    "no such bucket": (["--data_url", "obs://no-such-bucket-here/data/"], {}, 1, ["no-such-bucket-here"]),
    "no such folder": (
        ["--data_url", "obs://{bucket}/nowhere/"],
        {},
        1,
        ["obs://{bucket}/nowhere/", "--data_url"],
    ),
    "wrong key": ([], {"SECRET_ACCESS_KEY": "not-the-secret"}, 2, ["ACCESS_KEY_ID"]),
    "half a key": ([], {"SECRET_ACCESS_KEY": ""}, 2, ["SECRET_ACCESS_KEY is not set"]),
    "bad endpoint": (
        [],
        {"S3_ENDPOINT": "http://127.0.0.1:9/bucket"},
        2,
        ["S3_ENDPOINT", "without a bucket"],
    ),
    "bad json": (["--multi_data_url", "[{{]"], {}, 2, ["multi_data_url", "dataset_url"]),
    "bad url": (["--data_url", "obs://"], {}, 2, ["no bucket name"]),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_one_line(cloud, case):
    arguments, env, code, parts = BAD[case]
    given = [argument.format(bucket=cloud.bucket) for argument in arguments]
    done = run_program("train.py", *cloud.command, *given, **{**cloud.env, **env})
    assert done.code == code, done.err
    for part in parts:
        assert part.format(bucket=cloud.bucket) in done.error
    assert "secret123" not in done.err + done.out
    assert "not-the-secret" not in done.err + done.out
    assert not cloud.keys("run/")
