"""Shared by all tests: a small digits data set, object stores, a browser."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.servers import LEAST_PART, MB, Minio, Moto, RunningStore, Store, find_minio, s3_client

# how fast examples are drawn is a matter of the machine, and no test here is about time
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

if threading.current_thread() is threading.main_thread():
    # a shell's background job ignores Ctrl-C, and so would the programs that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)


HEAVY = Path(__file__).with_name("heavy_cases.txt")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    heavy = set(HEAVY.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in heavy or item.nodeid.partition("[")[0] in heavy:
            item.add_marker(pytest.mark.heavy)


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
        (download, ["RANGE"], MB),
        (upload, ["MULTIPART_FROM", "LEAST_PART"], LEAST_PART),
    ):
        for name in names:
            monkeypatch.setattr(module, name, value)
