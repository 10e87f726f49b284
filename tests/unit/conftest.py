"""Shared by unit tests: a bucket, a cache, and a rank table."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindlift.model_utils.staging.stager import Stager
from mindlift.storage import places
from tests.support.rank_tables import v1


@pytest.fixture
def url(minio, bucket, monkeypatch):
    """A new bucket, reached by variables."""
    for name, value in (
        ("S3_ENDPOINT", minio.endpoint),
        ("ACCESS_KEY_ID", minio.access_key),
        ("SECRET_ACCESS_KEY", minio.secret_key),
    ):
        monkeypatch.setenv(name, value)
    yield f"obs://{bucket}"
    places.SERVICES.forget()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stager(tmp_path, said) -> Stager:
    return Stager(tmp_path / "cache", said.append, show_bar=False)


@pytest.fixture
def upper_cards(tmp_path: Path) -> Path:
    """The rank table of a job on the cards 4 - 7 of a server, as hccl_tools.py --device_num "[4,8)" writes it."""
    path = tmp_path / "hccl_4p_4567.json"
    path.write_text(v1(("10.0.0.1", [(rank, 4 + rank, f"10.0.1.{rank}") for rank in range(4)])))
    return path
