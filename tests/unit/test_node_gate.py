from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mindlift.errors import PeerError, StageError, StorageError
from mindlift.model_utils.staging import node_gate
from mindlift.model_utils.staging.node_gate import Marker, NodeGate, Process, job_token, start_ticks

ROOT = Path(__file__).resolve().parents[2]
RANK = """
import json, os, sys, time
from pathlib import Path
from mindlift.model_utils.staging.node_gate import NodeGate, job_token

folder, rank, peers, timeout_s, work = sys.argv[1:]
gate = NodeGate(Path(folder), job_token({"JOB_ID": "j"}), int(rank), int(peers), rank == "0", float(timeout_s))

def copy():
    Path(folder, f"copied-by-{rank}").touch()
    return eval(work)

try:
    print(json.dumps([gate.run("download obs://b/d", copy), gate.run("unpack d.zip", lambda: rank)]))
except Exception as err:
    print(type(err).__name__, err)
"""


class Rank:
    """A real process that goes through two gates; `end` is the line it ends with."""

    def __init__(self, folder: Path, rank: int, peers: int, work: str = "'w'", timeout_s: float = 60):
        command = [sys.executable, "-c", RANK, str(folder), str(rank), str(peers), str(timeout_s), work]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    @property
    def end(self) -> str:
        return self.process.communicate(timeout=30)[0].strip()


def start(folder: Path, peers: int, work: str, timeout_s: float = 60) -> list[Rank]:
    """Rank 0, which copies, is started last: the others must be waiting when it fails at once."""
    ranks = [Rank(folder, rank, peers, work, timeout_s) for rank in reversed(range(peers))]
    return ranks[::-1]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def put(path: Path, state: str, owner: int, at_s: float = 0, **extra: Any) -> None:
    """A marker as an earlier process would have left it; 0 is a process that has ended."""
    gone = Process(999_999_999, 1, Process.of(1).host, Process.of(1).boot)
    process = gone if not owner else Process.of(owner)
    record = {"state": state, "subject": "old", "rank": 0, "at_s": at_s, **extra}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**record, "owner": vars(process), "launcher": vars(process)}))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.naps = 100.0, []  # type: ignore[var-annotated]

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def gate(folder: Path, copies: bool, timeout_s: float = 60, **extra: Any) -> NodeGate:
    """A gate of this process, the copier's or a waiter's."""
    return NodeGate(folder, "job", 0 if copies else 1, 2, copies, timeout_s, **extra)


@pytest.mark.parametrize("peers", [3, 8])
def test_one_copies_and_all_get_its_results(tmp_path: Path, peers: int) -> None:
    ranks = start(tmp_path, peers, "[{'path': '/数据', 'size': 1.5}, None]")
    expected = [[{"path": "/数据", "size": 1.5}, None], "0"]
    assert [json.loads(rank.end) for rank in ranks] == [expected] * peers
    assert [path.name for path in tmp_path.glob("copied-*")] == ["copied-by-0"]
    (job,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert sorted(path.name for path in job.iterdir()) == ["0-download-obs-b-d.json", "1-unpack-d-zip.json"]


@pytest.mark.parametrize(
    ("work", "own", "reason"),
    [
        ("open('/nowhere')", "FileNotFoundError [Errno 2]", "FileNotFoundError: [Errno 2] No such file"),
        ("exec('raise KeyboardInterrupt')", "", "interrupted"),
        ("exec('raise SystemExit(3)')", "", "SystemExit: 3"),
        ("Path('x')", "TypeError Object of type", "TypeError: Object of type"),
    ],
)
def test_a_failure_reaches_the_peers_with_its_reason(
    tmp_path: Path, work: str, own: str, reason: str
) -> None:
    copier, *waiters = start(tmp_path, 3, work)
    assert copier.end.startswith(own)
    for rank in waiters:
        assert rank.end.startswith(f"StageError rank 0 could not download obs://b/d: {reason}")


def test_a_killed_copier_ends_its_peers(tmp_path: Path) -> None:
    copier, *waiters = start(tmp_path, 3, "time.sleep(60)")
    wait_for(tmp_path / "copied-by-0")
    killed = time.monotonic()
    copier.process.send_signal(signal.SIGKILL)  # nobody waits for it yet: a zombie counts as gone
    for rank in waiters:
        pid = copier.process.pid
        assert rank.end.startswith(
            f"PeerError rank 0 (process {pid}) ended before it could download obs://b/d"
        )
    assert time.monotonic() - killed < 10
    assert copier.process.wait() == -signal.SIGKILL


def test_what_an_earlier_program_of_the_same_launcher_left_is_ignored(tmp_path: Path) -> None:
    token = job_token({"JOB_ID": "j"}, parent=os.getpid())
    marker = tmp_path / token / "0-download-obs-b-d.json"
    for state, later in (("done", "1-unpack-d-zip"), ("failed", "5-more"), ("running", "7-more")):
        put(marker, state, owner=0, result="stale", reason="stale")
        put(marker.with_name(f"{later}.json"), "done", owner=0, result="stale")
        waiter = Rank(tmp_path, 1, 2)
        time.sleep(0.5)
        assert waiter.process.poll() is None
        copier = Rank(tmp_path, 0, 2, "'new'")
        assert [json.loads(copier.end), json.loads(waiter.end)] == [["new", "0"]] * 2
        assert len(list(marker.parent.iterdir())) == 2


def test_markers_of_another_attempt_are_ignored(tmp_path: Path) -> None:
    put(tmp_path / "j-1-1-0" / "0-download-obs-b-d.json", "done", owner=0, result="stale")
    put(tmp_path / "j-1-1-0" / "1-unpack-d-zip.json", "done", owner=0, result="stale")
    assert [json.loads(rank.end) for rank in start(tmp_path, 2, "'new'")] == [["new", "0"]] * 2


def test_one_rank_needs_no_files(tmp_path: Path) -> None:
    alone = NodeGate(tmp_path / "markers", "job", 0, 1, False, 0)
    assert alone.run("copy", lambda: Path("as it is")) == Path("as it is")
    assert not list(tmp_path.iterdir())


def test_the_deadline_names_the_absent_marker(tmp_path: Path) -> None:
    lines: list[str] = []
    fake = Time()
    waiter = gate(tmp_path, False, timeout_s=600, clock=fake.clock, sleep=fake.sleep, say=lines.append)
    marker = tmp_path / "job" / "0-download-obs-b-d.json"
    with pytest.raises(PeerError) as caught:
        waiter.run("download obs://b/d", lambda: pytest.fail("a waiter does not work"))
    assert str(caught.value) == (
        "gave up after 600s waiting for the copying rank of this node to download obs://b/d "
        f"(marker {marker} absent)"
    )
    assert 700 <= fake.now <= 700.5
    assert (fake.naps[0], fake.naps[-1]) == (0.1, 0.5)
    assert fake.naps == sorted(fake.naps)
    assert lines == []


def test_the_deadline_names_a_copier_at_work_after_a_line_every_ten_seconds(tmp_path: Path) -> None:
    lines: list[str] = []
    fake = Time()
    waiter = gate(tmp_path, False, timeout_s=35, clock=fake.clock, sleep=fake.sleep, say=lines.append)
    with pytest.raises(
        PeerError,
        match=rf"^gave up after 35s waiting for rank 0 to copy \(marker .*/0-copy.json "
        rf"says running, process {os.getpid()} on ",
    ):
        gate(tmp_path, True).run("copy", lambda: waiter.run("copy", lambda: None))
    assert lines == [f"waiting for rank 0 to copy: {seconds}s so far" for seconds in (10, 20, 30)]


def test_the_deadline_names_an_old_marker(tmp_path: Path) -> None:
    put(tmp_path / "job" / "0-copy.json", "done", owner=0, result="stale")
    with pytest.raises(PeerError, match="gave up after 0s .* is an old one, of process 999999999"):
        gate(tmp_path, False, timeout_s=0).run("copy", lambda: None)


def test_a_copier_on_another_host_is_not_taken_for_dead(tmp_path: Path) -> None:
    marker = tmp_path / "job" / "0-copy.json"
    put(marker, "running", owner=0)
    edit(marker, owner={**vars(Process.of(os.getpid())), "pid": 999_999_999, "host": "elsewhere"})
    with pytest.raises(PeerError, match="says running, process 999999999 on elsewhere"):
        gate(tmp_path, False, timeout_s=0).run("copy", lambda: None)


def test_a_copier_whose_number_was_given_to_another_process_is_gone(tmp_path: Path) -> None:
    marker = tmp_path / "job" / "0-copy.json"
    put(marker, "running", owner=os.getpid(), at_s=1e12)
    me = Process.of(os.getpid())
    edit(marker, owner={**vars(me), "start": me.start + 1})
    with pytest.raises(PeerError, match=rf"rank 0 \(process {os.getpid()}\) ended before it could old"):
        gate(tmp_path, False).run("copy", lambda: None)


def test_the_last_word_of_a_copier_that_ended_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "job" / "0-copy.json"
    put(marker, "running", owner=0, at_s=1e12)
    ask = Process.is_gone

    def finish_and_ask(process: Process) -> bool:
        put(marker, "done", owner=0, at_s=1e12, result="just in time")
        return ask(process)

    monkeypatch.setattr(Process, "is_gone", finish_and_ask)
    assert gate(tmp_path, False).run("copy", lambda: None) == "just in time"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"owner": {}, "launcher": {}}'])
def test_a_file_that_is_no_marker_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "marker.json").write_text(text)
    assert Marker.read(tmp_path / "marker.json") is None


def test_a_copier_that_can_not_say_how_it_went_keeps_its_own_error(tmp_path: Path) -> None:
    def lose_the_folder() -> None:
        (marker,) = (tmp_path / "job").iterdir()
        marker.unlink()
        marker.parent.rmdir()
        raise StageError("the real reason")

    with pytest.raises(StageError, match="the real reason"):
        gate(tmp_path, True).run("copy", lose_the_folder)


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't use .*file/job for markers: Not a directory"):
        gate(tmp_path / "file", True).run("copy", lambda: None)


def test_folders_of_dead_jobs_are_swept_after_a_day(tmp_path: Path) -> None:
    for name, owner, days in (
        ("dead", 0, 2),
        ("launched", 0, 2),
        ("young", 0, 0.5),
        ("alive", os.getpid(), 2),
    ):
        put(tmp_path / name / "0-copy.json", "done", owner=owner)
        os.utime(tmp_path / name, (0, time.time() - days * 24 * 3600))
    launched = json.loads((tmp_path / "alive" / "0-copy.json").read_text())["launcher"]
    edit(tmp_path / "launched" / "0-copy.json", launcher=launched)
    os.utime(tmp_path / "launched", (0, 0))
    for name in ("users.json", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "users.json" / "precious.json").write_text("{}")
    for name in ("users.json", "empty"):
        os.utime(tmp_path / name, (0, 0))
    gate(tmp_path, True).run("copy", lambda: None)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"young", "alive", "launched", "users.json", "empty", "job"}
    assert (tmp_path / "users.json" / "precious.json").exists()


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "local"),
        ({"MA_VJ_NAME": "ma-job-1", "JOB_ID": "x"}, "ma-job-1"),
        ({"MA_VJ_NAME": " ", "MA_CURRENT_INSTANCE_NAME": "modelarts-job-7f-worker-1"}, "modelarts-job-7f"),
        ({"BATCH_JOB_ID": "job/../b:1"}, "job-b-1"),
        ({"DLS_JOB_ID": "d" * 300}, "d" * 80),
        ({"JOB_ID": "任务"}, "-"),
    ],
)
def test_the_token_begins_with_the_name_of_the_job(env: dict[str, str], name: str) -> None:
    token = job_token(env)
    assert token.startswith(f"{name}-{os.getppid()}-")
    assert Path(token).name == token


def test_the_token_is_of_the_launcher_and_its_attempt() -> None:
    code = "import os; from mindlift.model_utils.staging.node_gate import job_token; print(job_token({'JOB_ID': 'j'}))"
    command = f'for i in 1 2; do env A=$i "{sys.executable}" -c "{code}"; done'
    runs = [
        subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (a, b), (c, d) = (run.stdout.split() for run in runs)
    assert (a, c) == (b, d)
    assert a != c


def test_processes_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(node_gate, "PROC", tmp_path)
    assert start_ticks(os.getpid()) == 0
    assert start_ticks(999_999_999) is None
    assert not Process.of(os.getpid()).is_gone()
    assert Process(999_999_999, 0, Process.of(1).host, "0").is_gone()
    assert job_token({}, parent=5) == "local-5-0-0"
