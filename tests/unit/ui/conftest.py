"""A server of `mindlift ui` on made-up runs, asked by HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mindlift.ui import server
from tests.support import synthetic_runs
from tests.support.pages_asked import Asked


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two runs of different learning rates, one of which goes on, and an old one."""
    base = tmp_path_factory.mktemp("served")
    synthetic_runs.classification(base / "sweep/20260921-140640", steps=90)
    synthetic_runs.classification(base / "sweep/20260921-151200", lr=0.02, seed=2, steps=90, ends=False)
    synthetic_runs.old(base / "old/20250101-000000")
    return base


@pytest.fixture
def serve(tmp_path) -> Iterator:
    """Starts servers of folders; they end with the test."""
    found: list[server.Server] = []

    def start(folder: Path, providers: tuple[str, ...] = ()) -> Asked:
        (tmp_path / "scratch").mkdir(exist_ok=True)
        found.append(server.make(folder, 0, list(providers), tmp_path / "scratch"))
        threading.Thread(target=found[-1].serve_forever, daemon=True).start()
        return Asked(found[-1].server_port, found[-1].token)

    yield start
    for each in found:
        each.shutdown()
        each.server_close()
