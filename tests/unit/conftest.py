"""Shared by the unit tests that need a bucket."""

from __future__ import annotations

import pytest

from mindlift.storage import places


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
