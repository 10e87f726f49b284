"""scripts/ascend_check.sh as somebody with a card runs it, here with --device_target CPU."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment

SKIPPED = {"sink": "CPU has no queue", "profile": "msprof is not on PATH"}


def command(folder: Path, *arguments: str) -> list[str]:
    words = ["bash", str(ROOT / "scripts/ascend_check.sh"), "--device_target", "CPU", "--output", str(folder)]
    return [*words, *arguments]


def env() -> dict[str, str]:
    return environment(PYTHON=sys.executable, SECRET_ACCESS_KEY="do-not-send-this-key")


def sent(folder: Path) -> dict[str, dict]:
    (file,) = folder.glob("ascend_check_cpu_*.tar.gz")
    with tarfile.open(file) as archive:
        files = {
            entry.name.partition("/")[2]: archive.extractfile(entry).read().decode() for entry in archive
        }
    assert "do-not-send-this-key" not in "".join(files.values())
    return {part["name"]: part for part in json.loads(files["result.json"])["parts"]}


def checked(folder: Path, *arguments: str, timeout: float = 500) -> dict[str, dict]:
    done = subprocess.run(
        command(folder, *arguments),
        cwd=folder,
        env=env(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "result: " in done.stdout.splitlines()[-1]
    return sent(folder)


@pytest.mark.heavy
def test_some_parts(tmp_path):
    found = checked(tmp_path, "--only", "versions,device,step-densenet-O3,resume,sink")
    assert found["versions"]["figures"]["mindspore"]
    assert found["device"]["figures"]["target"] == "CPU"
    assert len(found["step-densenet-O3"]["figures"]["losses"]) == 3
    assert found["resume"]["figures"]["whole_and_resumed"]["largest_difference"] == 0
    assert (found["sink"]["state"], found["sink"]["says"]) == ("skipped", SKIPPED["sink"])


def test_one_that_is_ended_leaves_what_there_is_and_nobody_behind(tmp_path):
    running = subprocess.Popen(
        command(tmp_path, "--only", "versions,cards-1"),
        cwd=tmp_path,
        env=env(),
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in running.stdout:
        if "cards-1" in line:
            break
    time.sleep(2)
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 143, out
    found = sent(tmp_path)
    assert (found["versions"]["state"], found["cards-1"]["says"]) == ("ok", "interrupted")
    trainings = subprocess.run(
        ["pgrep", "-f", "mindlift-check-.*cards-1"], capture_output=True, text=True, check=False
    )
    assert not trainings.stdout


@pytest.mark.heavy
@pytest.mark.timeout(4000)
def test_all_parts(tmp_path):
    found = checked(tmp_path, timeout=3900)
    assert len(found) == 35
    assert {name for name, part in found.items() if part["state"] != "ok"} <= set(SKIPPED)
