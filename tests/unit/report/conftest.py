"""Made-up runs of every kind, once for all tests of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import synthetic_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("runs")
    return {
        "first": synthetic_runs.classification(base / "20260921-140640"),
        "second": synthetic_runs.classification(base / "20260921-151200", lr=0.02, seed=2, ends=False),
        "segmentation": synthetic_runs.segmentation(base / "seg" / "20260922-090000"),
        "old": synthetic_runs.old(base / "old" / "20250101-000000"),
    }
