"""scripts/ascend_check.sh as somebody with a card runs it, here with --device_target CPU."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment

SKIPPED = {"sink": "CPU has no queue", "profile": "msprof is not on PATH"}


def checked(folder: Path, *arguments: str, timeout: float = 500) -> dict[str, dict]:
    command = [
        "bash",
        str(ROOT / "scripts/ascend_check.sh"),
        "--device_target",
        "CPU",
        "--output",
        str(folder),
    ]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment(PYTHON=sys.executable), capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.tar.gz")
    assert f"send back {file}" in done.stdout
    with tarfile.open(file) as archive:
        return json.loads(archive.extractfile("summary.json").read())


def test_some_parts(tmp_path):
    found = checked(tmp_path, "--only", "versions,densenet-O3,resume,sink")
    assert found["versions"]["figures"]["mindspore"]
    assert len(found["densenet-O3"]["figures"]["losses"]) == 3
    assert found["resume"]["figures"]["largest_difference"] == 0
    assert 5 <= found["resume"]["figures"]["killed_after_step"] <= 12
    assert (found["sink"]["status"], found["sink"]["says"]) == ("skipped", SKIPPED["sink"])


@pytest.mark.heavy
@pytest.mark.timeout(4000)
def test_all_parts(tmp_path):
    found = checked(tmp_path, timeout=3900)
    assert len(found) == 29
    assert {name for name, part in found.items() if part["status"] != "ok"} <= set(SKIPPED)
