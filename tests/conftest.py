"""Shared by all tests: a small digits data set, object stores, and real runs of train.py and eval.py."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_proxy import FaultProxy
from tests.servers import LEAST_PART, MB, Minio, Moto, RunningStore, Store, find_minio, s3_client
from tests.servers import free_port as free_port

ROOT = Path(__file__).resolve().parents[1]
if threading.current_thread() is threading.main_thread():
    # a shell's background job ignores Ctrl-C, and so would the programs that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
TINY = ["--net", "densenet22", "--dataset", "digits", "--run_eval", "false"]


class Finished:
    """A finished process; `result` is the JSON line that train.py ends with."""

    def __init__(self, process: subprocess.CompletedProcess):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    @property
    def result(self) -> dict:
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def error(self) -> str:
        """The one line that a failed run prints; fails the test if there are more or a traceback."""
        assert "Traceback" not in self.err + self.out, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a user's shell: none of the rank variables of this process."""
    private = ("RANK", "MS_", "DEVICE_", "OMPI_", "MA_", "VC_", "DLS_", "BATCH_")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(private) and key != "OMP_NUM_THREADS"
    }
    return {**kept, "GLOG_v": "3", **extra}


def run_program(
    program: str, *arguments: object, cwd: Path = ROOT, timeout: float = 300, **extra: str
) -> Finished:
    command = [sys.executable, str(ROOT / program), *map(str, arguments)]
    process = subprocess.run(
        command,
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(process)


def run_ranks(count: int, program: str, *arguments: object, timeout: float = 300, **extra: str) -> Finished:
    """Run a program as `count` real processes through the launch script."""
    command = [
        "bash",
        str(ROOT / "scripts/local_ranks.sh"),
        str(count),
        str(ROOT / program),
        *map(str, arguments),
    ]
    process = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**{"PYTHON": sys.executable, **extra}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Finished(process)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole embedded data set: 1,440 train and 357 test images."""
    from mindlift.data.embedded import digits as demo

    return demo.build(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def few_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 train and 83 test images of it: quick, and no batch size divides 83."""
    from mindlift.data.classification import cifar10

    root = tmp_path_factory.mktemp("few")
    for name, count in (("data_batch_1.bin", 200), ("test_batch.bin", 83)):
        images, labels = cifar10.read_batch(digits / cifar10.FOLDER / name)
        cifar10.write_batch(root / name, images[:count], labels[:count])
    return root


@pytest.fixture(scope="session")
def minio() -> Iterator[Store]:
    """The store that MINIO_ENDPOINT names, or else a MinIO of our own."""
    if endpoint := os.environ.get("MINIO_ENDPOINT"):
        yield RunningStore(endpoint, os.environ["MINIO_ACCESS_KEY"], os.environ["MINIO_SECRET_KEY"])
        return
    if not find_minio():
        give_up = pytest.fail if os.environ.get("MINDLIFT_NEED_MINIO") == "1" else pytest.skip
        give_up("no MinIO server; install it with scripts/minio.sh")
    with Minio() as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that is on PATH, as Debian's package installs it."""
    path = shutil.which("chromium")
    if not path:
        give_up = pytest.fail if os.environ.get("MINDLIFT_NEED_CHROMIUM") == "1" else pytest.skip
        give_up("no chromium on PATH; install it (Debian: apt install chromium)")
    return path


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture
def bucket(minio: Store) -> Iterator[str]:
    """A new bucket, removed with what it holds."""
    client, name = s3_client(minio), f"t-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield name

    def with_content(params: dict, **_: object) -> None:
        params["headers"]["x-minio-force-delete"] = "true"

    client.meta.events.register("before-call.s3.DeleteBucket", with_content)
    client.delete_bucket(Bucket=name)


@pytest.fixture
def fault_proxy(minio: Store) -> Iterator[FaultProxy]:
    with FaultProxy(minio.endpoint) as proxy:
        yield proxy


@pytest.fixture
def cut(monkeypatch) -> None:
    """Objects from 1 MB on are large, in ranges of 1 MB and the smallest parts that MinIO takes."""
    from mindlift.storage.copying import download, engine, upload

    for module, names, value in (
        (engine, ["SMALL"], MB),
        (download, ["SMALL", "RANGE"], MB),
        (upload, ["MULTIPART_FROM", "LEAST_PART"], LEAST_PART),
    ):
        for name in names:
            monkeypatch.setattr(module, name, value)
