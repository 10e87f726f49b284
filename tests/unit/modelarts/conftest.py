"""A ModelArts double for a user without any other keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mindlift.storage.places import SERVICES
from tests.doubles.modelarts import ModelArtsDouble
from tests.doubles.runner import ScriptedRunner
from tests.support.modelarts_jobs import MINE


@pytest.fixture
def env(monkeypatch, tmp_path) -> Iterator[pytest.MonkeyPatch]:
    """A user without keys, with an empty home: the SDK writes there when it is imported."""
    import os

    for name in [name for name in os.environ if MINE.match(name) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield monkeypatch
    SERVICES.forget()


@pytest.fixture
def double(env) -> Iterator[ModelArtsDouble]:
    with ModelArtsDouble(ScriptedRunner()) as running:
        env.setenv("HUAWEICLOUD_SDK_AK", running.access_key)
        env.setenv("HUAWEICLOUD_SDK_SK", running.secret_key)
        yield running
