"""A user's computer with a bucket and services, as the tests of cloud/submit.py have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doubles.runner import LocalRunner
from tests.support.programs import Finished, run_program


@dataclass
class Desk:
    """A user's computer, a bucket with the digits in data/, and services that run jobs here."""

    url: str
    home: Path
    env: dict[str, str]
    runner: LocalRunner

    def run(self, *words: object, **extra: str) -> Finished:
        return run_program("cloud/submit.py", *words, **{**self.env, **extra})


def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer on which no service knows who its user is."""
    for name in (
        "HUAWEICLOUD_SDK_AK",
        "HUAWEICLOUD_SDK_SK",
        "OPENI_TOKEN",
        "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
