"""A bucket that copies reach by variables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mindlift.storage.places import SERVICES, set_auth
from tests.support.spoiled import Spoiled
from tests.support.transfers import Bucket, credentials


@pytest.fixture
def store(minio, bucket, monkeypatch) -> Iterator[Bucket]:
    """A bucket that URLs lead to, here and in worker processes."""
    for name, value in credentials(minio).items():
        monkeypatch.setenv(name, value)
    set_auth(retry_wait=0.01)
    yield Bucket(minio, bucket)
    SERVICES.forget()


@pytest.fixture
def spoiled(minio, bucket, fault_proxy, tmp_path, monkeypatch, cut) -> Iterator[Spoiled]:
    for name, value in credentials(minio, fault_proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    set_auth(retry_wait=0.01)
    yield Spoiled(Bucket(minio, bucket), fault_proxy, tmp_path)
    SERVICES.forget()
