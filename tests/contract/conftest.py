"""The rigs of the providers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.storage import places
from tests.doubles.runner import LocalRunner
from tests.support.rigs import RIGS, Rig


@pytest.fixture
def rig(request, minio, bucket, tmp_path, monkeypatch) -> Iterator[Rig]:
    access = StoreAccess(minio.endpoint, minio.access_key, minio.secret_key, "given")
    for name, value in {
        **access.variables(),
        "HOME": str(tmp_path),
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    runner = LocalRunner(tmp_path / "rehearsals", access)
    yield from RIGS[request.param](f"obs://{bucket}", runner, monkeypatch)
    places.SERVICES.forget()
