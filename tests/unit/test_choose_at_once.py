"""Two trainings that are started at one moment: each has a folder of its own, or is told who is there."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.runs import choose
from mindlift.runs.manifest import Saved, as_text
from tests.support.programs import ROOT, environment

TRIES = 50
CHOOSES = """
import sys
from pathlib import Path
from mindlift.errors import ConfigError
from mindlift.runs import choose
for _ in range(int(sys.argv[2])):
    base = Path(sys.argv[1], sys.stdin.readline().strip())
    try:
        found, lock = choose.choose(base, "mark", True)
        answer = choose.folder_name(*found[:3])
    except ConfigError as err:
        answer, lock = str(err), None
    print(answer, flush=True)
    sys.stdin.readline()  # until the other one has answered too
    if lock:
        lock.close()
"""


def begun(base: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", CHOOSES, str(base), str(TRIES)],
        env=environment(PYTHONPATH=str(ROOT / "src")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(processes: list[subprocess.Popen], line: str) -> None:
    for process in processes:
        assert process.stdin
        process.stdin.write(f"{line}\n")
        process.stdin.flush()


def with_a_run(base: Path) -> str:
    """A run that can be continued; its name."""
    found, lock = choose.choose(base, "mark", True)
    assert lock
    root = base / choose.folder_name(*found[:3])
    (root / "run.json").write_text(json.dumps({"fingerprint": "mark"}))
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / "a.ckpt").write_bytes(b"weights")
    saved = Saved("a.ckpt", 0, 1, 2, 1, 7, hashlib.sha256(b"weights").hexdigest(), 1.0)
    (root / "checkpoints" / "manifest.jsonl").write_text(as_text([saved]))
    lock.close()
    return root.name


@pytest.mark.parametrize("is_there", [False, True])
def test_two_processes_at_once_never_have_one_folder(tmp_path, is_there):
    processes = [begun(tmp_path) for _ in range(2)]
    try:
        for number in range(TRIES):
            base = tmp_path / f"{number}"
            name = with_a_run(base) if is_there else ""
            told(processes, base.name)
            first, second = sorted(process.stdout.readline().strip() for process in processes)
            told(processes, "go on")
            if is_there:
                assert second == name or first == name
                assert f"{base / name} is in use by process " in first + second
            else:
                assert first != second
                assert {first, second} == {path.name for path in base.iterdir()}
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
