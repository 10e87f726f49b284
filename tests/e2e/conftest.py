"""Shared by the tests of whole programs: a user's computer from which jobs are submitted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mindlift.cloud.providers.local.folder import JobFolder
from tests.support.home import Home, wait_for


@pytest.fixture
def home(minio, bucket, tmp_path) -> Iterator[Home]:
    found = Home(minio, bucket, tmp_path)
    yield found
    for state in tmp_path.glob("rehearsals/*/state.json"):
        found.run("cancel", f"local://{state.parent.name}")
        wait_for(lambda state=state: JobFolder(state.parent).state().is_final, 30)
