"""What a process that was killed leaves behind goes with the next run, and what a living one writes stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mindlift.files import sweep_parts, temporary_folder
from mindlift.runs import choose
from tests.support.programs import ROOT

SAVES = """
import sys, time
from pathlib import Path
from mindlift.files import atomic_path
with atomic_path(Path(sys.argv[1])) as part:
    part.write_bytes(bytes(1 << 20))
    print("ready", flush=True)
    time.sleep(600)
"""
MAKES = """
import sys, time
from pathlib import Path
from mindlift.files import temporary_folder
kept = temporary_folder("leaving", Path(sys.argv[1]) if sys.argv[1:] else None)
Path(kept.name, "object").write_bytes(bytes(1 << 20))
print("ready", flush=True)
time.sleep(600)
"""


def begun(code: str, *words: object) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that can be continued, by this machine."""
    choice, lock = choose.choose(tmp_path, "mark", True)
    root = tmp_path / choose.folder_name(*choice[:3])
    (root / "run.json").write_text(json.dumps({"fingerprint": "mark"}))
    (root / "checkpoints" / "rank_1").mkdir(parents=True)
    (root / "checkpoints" / "a.ckpt").write_bytes(b"1")
    line = {"file": "a.ckpt", "epoch": 0, "step": 1, "steps_per_epoch": 2, "seed": 1, "size_bytes": 1}
    line.update(sha256="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", saved_at=1.0)
    (root / "checkpoints" / "manifest.jsonl").write_text(json.dumps(line) + "\n")
    lock.close()
    return root


def parts(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.rglob("*.part"))


def test_half_saved_checkpoints_of_a_killed_run_go(run):
    for folder in ("checkpoints", "checkpoints/rank_1"):
        kill(begun(SAVES, run / folder / "net-1_2.ckpt"))
    living = begun(SAVES, run / "checkpoints/rank_1/net-1_4.ckpt")  # a rank that outlived its launcher
    (run / "config.yaml.part").write_bytes(b"")
    try:
        assert parts(run) == [run.name, "checkpoints", "rank_1", "rank_1"]
        choice, lock = choose.choose(run.parent, "mark", True)
        assert (choose.folder_name(*choice[:3]), choice.step) == (run.name, 1)
        assert parts(run) == ["rank_1"]
        assert (run / "checkpoints" / "a.ckpt").is_file()
        lock.close()
    finally:
        kill(living)
    sweep_parts(run / "checkpoints/rank_1", is_proven=False)
    assert parts(run) == []


def test_what_another_machine_was_writing_stays(run):
    """Numbers of processes mean nothing there."""
    kill(begun(SAVES, run / "checkpoints/rank_1/net-1_2.ckpt"))
    (run / ".lock").write_text("process 1 on another-machine\n")
    choose.choose(run.parent, "mark", True)
    assert parts(run) == ["rank_1"]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


@pytest.mark.parametrize("is_beside", [False, True])
def test_temporary_folders_of_killed_processes_go(temporary, is_beside):
    words = [temporary] if is_beside else []
    kill(begun(MAKES, *words))
    (killed,) = temporary.iterdir()
    another = killed.with_name(killed.name.replace("mindlift-leaving-", "mindlift-leaving-9"))  # container
    another.mkdir()
    living = begun(MAKES, *words)
    try:
        with temporary_folder("leaving", *words) as mine:
            left = {path.name for path in temporary.iterdir()}
            assert len(left) == 3
            assert {another.name, Path(mine).name} < left
            assert any(f"-{living.pid}-" in name for name in left)
    finally:
        kill(living)


def test_the_launch_script_names_and_sweeps_them_alike(temporary):
    kill(begun(MAKES))
    script = f'source {ROOT}/scripts/common.sh; new_leaving; echo "ready $$ $LEAVING"; sleep 600 & wait'
    process = subprocess.Popen(
        ["bash", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    _, pid, folder = process.stdout.readline().split()
    assert [path for path in temporary.iterdir() if "leaving" in path.name] == [Path(folder)]
    with temporary_folder("leaving") as mine:
        assert Path(folder).is_dir()
        prefix = Path(mine).name.partition(f"-{os.getpid()}-")[0]
        assert Path(folder).name.startswith(f"{prefix}-{pid}-")
    os.killpg(process.pid, 9)
    process.communicate()
    with temporary_folder("leaving"):
        assert not Path(folder).exists()
