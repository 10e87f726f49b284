"""Ranks of a node find something once: real processes, one of which may fail or be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mindlift.errors import StageError
from mindlift.model_utils.staging import shared_arrays
from mindlift.model_utils.staging.shared_arrays import MARKER, NodeShare, alone

ROOT = Path(__file__).resolve().parents[2]
RANK = """
import sys
from pathlib import Path
import numpy as np
from mindlift.model_utils.staging.node_gate import job_token
from mindlift.model_utils.staging.shared_arrays import NodeShare

folder, rank, work = sys.argv[1:]
made = Path(folder, f"made-by-{rank}")

def make():
    made.touch()
    exec(work)
    return {"numbers": np.arange(5), "more": np.full((2, 3), 7.5, np.float32)}

share = NodeShare(Path(folder, "cache"), job_token({"JOB_ID": "j"}), int(rank), 30.0, print)
for turn in range(2):
    found = share(f"list the images of /data {turn}", make)
    print({name: (array.dtype.str, array.tolist()) for name, array in found.items()}, flush=True)
input()  # the files stay until all have them
"""
FOUND = str({"numbers": ("<i8", [0, 1, 2, 3, 4]), "more": ("<f4", [[7.5] * 3] * 2)})


def start(folder: Path, rank: int, work: str = "pass") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RANK, str(folder), str(rank), work]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def ends(process: subprocess.Popen[str]) -> list[str]:
    return process.communicate("\n", timeout=60)[0].splitlines()


def test_one_makes_and_all_have_the_same(tmp_path: Path) -> None:
    ranks = [start(tmp_path, rank, "import time; time.sleep(0.3)") for rank in range(3)]
    assert [ends(rank) for rank in ranks] == [[FOUND] * 2] * 3
    assert len(list(tmp_path.glob("made-by-*"))) <= 2, "each of the two subjects once"


def test_after_one_that_fails_or_is_killed_the_next_one_makes_it(tmp_path: Path) -> None:
    for rank, work in enumerate(["raise ValueError('no such folder')", "import os; os.kill(os.getpid(), 9)"]):
        process = start(tmp_path, rank, work)
        assert ends(process) == []
        assert process.returncode
    assert ends(start(tmp_path, 2)) == [FOUND] * 2


def share_of(folder: Path, said: list[str] | None = None, timeout_s: float = 30.0) -> NodeShare:
    return NodeShare(folder, "job-1", 0, timeout_s, (said if said is not None else []).append)


def test_what_is_mapped_outlives_its_files(tmp_path: Path) -> None:
    with share_of(tmp_path) as first:
        first("list a", lambda: {"x": np.arange(3)})
        second = share_of(tmp_path)
        found = second("list a", lambda: pytest.fail("made again"))
    assert not list(tmp_path.glob(f"**/{MARKER}"))
    assert found["x"].tolist() == [0, 1, 2]
    assert not found["x"].flags.writeable


def test_what_an_earlier_program_of_the_launcher_left_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_of(tmp_path)("list a", lambda: {"x": np.arange(3)})
    monkeypatch.setattr(shared_arrays.Marker, "is_stale", lambda marker: True)
    assert share_of(tmp_path)("list a", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]


def test_another_subject_at_the_same_turn_is_made(tmp_path: Path) -> None:
    share_of(tmp_path)("list a", lambda: {"x": np.arange(3)})
    assert share_of(tmp_path)("list a!", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]


def test_a_wait_ends(tmp_path: Path) -> None:
    busy = start(tmp_path, 0, "import time; time.sleep(60)")
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "made-by-0").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        job = next((tmp_path / "cache").iterdir()).name
        share = NodeShare(tmp_path / "cache", job, 1, 0.3, print)
        with pytest.raises(
            StageError, match=r"gave up after \d+ s waiting for .* to list the images of /data 0"
        ):
            share("list the images of /data 0", lambda: {})
    finally:
        busy.kill()
        busy.communicate()


def test_a_full_disk_is_said_and_each_makes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    said: list[str] = []
    assert share_of(tmp_path, said)("list a", lambda: {"x": np.arange(2)})["x"].tolist() == [0, 1]
    assert said == [
        f"warning: can't write {tmp_path / 'job-1' / '0-list-a'} (No space left on device): every rank has to list a itself"
    ]
    assert not list(tmp_path.glob("**/*.part"))


def test_old_folders_are_swept(tmp_path: Path) -> None:
    for name, age_s in (("old", 25 * 3600), ("new", 60)):
        (tmp_path / name / "0-list-a").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    share_of(tmp_path)("list a", lambda: {"x": np.arange(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job-1", "new"]


def test_alone_nothing_is_written() -> None:
    assert alone("list a", lambda: {"x": np.arange(2)})["x"].tolist() == [0, 1]
