"""One rank of a node does the work, the others wait for its result: before ranks can talk to each other.

They meet at small files in a local folder, <folder>/<job>/<number>-<subject>.json, each replaced as a whole:
"running" when the copier has begun, then "done" with the result or "failed" with the reason. Only the copier
writes. Waiters also look whether its process still lives, so that a kill ends them at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mindlift import json_text
from mindlift.errors import MindLiftError, PeerError, StageError, StorageError
from mindlift.files import is_gone, is_own, remove_file, write_atomic

PROC = Path("/proc")
JOB_VARIABLES = ("MA_VJ_NAME", "MA_CURRENT_INSTANCE_NAME", "BATCH_JOB_ID", "DLS_JOB_ID", "JOB_ID")
INSTANCE = re.compile(r"-worker-\d+$")  # of MA_CURRENT_INSTANCE_NAME=modelarts-job-<id>-worker-1
SAY_EVERY_S, SWEEP_AFTER_S = 10, 24 * 3600


def job_token(env: Mapping[str, str], parent: int | None = None) -> str:
    """A folder name that is equal on all ranks of a node and differs between jobs and attempts.

    It holds the platform's name of the job, if there is one, and the parent process, which the ranks of a
    node share: their launcher. A shell between launcher and rank would make the ranks appear to belong to different jobs.
    """
    job = next((env[name] for name in JOB_VARIABLES if env.get(name, "").strip()), "local")
    launcher = Process.of(os.getppid() if parent is None else parent)
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", INSTANCE.sub("", job.strip()))[:80]
    return f"{kept}-{launcher.pid}-{launcher.start}-{launcher.boot}"


@dataclass(frozen=True)
class Process:
    """A process that no later one with the same number is mistaken for."""

    pid: int
    start: int  # clock ticks after the boot; 0 where the system does not tell
    host: str
    boot: str

    @staticmethod
    def of(pid: int) -> Process:
        boot = PROC / "sys/kernel/random/boot_id"
        boot_id = boot.read_text().strip()[:8] if boot.exists() else "0"
        return Process(pid, start_ticks(pid) or 0, platform.node(), boot_id)

    def is_gone(self) -> bool:
        """False also for a process on another host, of which nothing can be said."""
        if self.host != platform.node():
            return False
        return start_ticks(self.pid) != self.start or Process.of(self.pid).boot != self.boot


def start_ticks(pid: int) -> int | None:
    """When a process started, in ticks after the boot; 0 without /proc, None if it has ended."""
    if not (PROC / "self/stat").exists():
        return None if is_gone(pid) else 0
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and ")"
    return None if state in ("Z", "X") else int(fields[18])


@dataclass(frozen=True)
class Marker:
    """What the copier says about one piece of work."""

    state: str  # running, done, failed
    subject: str
    rank: int
    owner: Process
    launcher: Process
    at_s: float  # seconds after the boot
    result: Any = None
    reason: str = ""

    @staticmethod
    def read(path: Path) -> Marker | None:
        """None if there is none, or one that is not ours; another user's tells nothing."""
        if not is_own(path):
            return None
        try:
            record = json_text.read(path)
            owner, launcher = Process(**record.pop("owner")), Process(**record.pop("launcher"))
            return Marker(owner=owner, launcher=launcher, **record)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def is_stale(self) -> bool:
        """Left by a program that the same launcher ran before: its owner ended, and before we started."""
        born_s = Process.of(os.getpid()).start / os.sysconf("SC_CLK_TCK")
        return self.at_s < born_s and self.owner.is_gone()


class NodeGate:
    """The gate of one process; every rank makes one for its job and calls `run` in the same order.

    `job` is `job_token(os.environ)`, `peers` the number of ranks on this node, `timeout_s` how long a rank
    waits in one `run`, and `say` gets a line for every 10 s of waiting.
    """

    def __init__(
        self,
        folder: Path,
        job: str,
        rank: int,
        peers: int,
        is_copier: bool,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] | None = None,
    ):
        self.folder, self.rank, self.peers, self.is_copier = folder / job, rank, peers, is_copier
        self.timeout_s, self.clock, self.sleep = timeout_s, clock, sleep
        self.say = say or (lambda line: None)
        self.calls = 0

    def run(self, subject: str, work: Callable[[], Any]) -> Any:
        """The result of the copier's `work`, on all ranks, through JSON: tuples arrive as lists.

        `subject` is a verb and an object ("download obs://b/d"), the same on all ranks. Waiters raise
        StageError if `work` failed, PeerError if the copier died or did not finish within `timeout_s`.
        """
        if self.peers == 1:
            return work()
        words = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:60]
        path = self.folder / f"{self.calls}-{words}.json"
        self.calls += 1
        return self._work(path, subject, work) if self.is_copier else self._wait(path, subject)

    def _work(self, path: Path, subject: str, work: Callable[[], Any]) -> Any:
        if self.calls == 1:
            self._clear()
        self._write(path, "running", subject)
        try:
            result = work()
            self._write(path, "done", subject, result=result)
        except BaseException as err:
            with contextlib.suppress(StorageError):  # a full disk must not hide the error
                self._write(path, "failed", subject, reason=_reason(err))
            raise
        return result

    def _write(self, path: Path, state: str, subject: str, result: Any = None, reason: str = "") -> None:
        owner, launcher = Process.of(os.getpid()), Process.of(os.getppid())
        marker = Marker(state, subject, self.rank, owner, launcher, since_boot_s(), result, reason)
        write_atomic(path, json.dumps(asdict(marker)))

    def _clear(self) -> None:
        """An empty folder for this job, and none of jobs that ended more than a day ago."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_markers(self.folder)
            others = [path for path in self.folder.parent.iterdir() if path != self.folder]
        except OSError as err:
            raise StorageError(f"can't use {self.folder} for markers: {err.strerror}") from err
        for folder in others:
            with contextlib.suppress(OSError):  # another user's, or just being swept by another job
                if _is_forgotten(folder):
                    _remove_markers(folder)
                    folder.rmdir()

    def _wait(self, path: Path, subject: str) -> Any:
        began, pause, said = self.clock(), 0.1, 0
        while True:
            marker = _look(path)
            if marker and marker.state == "done":
                return marker.result
            waited = self.clock() - began
            if waited >= self.timeout_s:
                raise PeerError(f"gave up after {waited:.0f}s waiting for {_describe(path, subject)}")
            if marker and waited // SAY_EVERY_S > said:
                said = int(waited // SAY_EVERY_S)
                self.say(f"waiting for rank {marker.rank} to {subject}: {waited:.0f}s so far")
            self.sleep(pause)
            pause = min(pause * 1.5, 0.5)


def _look(path: Path) -> Marker | None:
    """The marker of this job, running or done; raises what a waiter has to raise otherwise."""
    marker = Marker.read(path)
    if marker and marker.is_stale():
        return None
    if marker and marker.state == "running" and marker.owner.is_gone():
        last_word = Marker.read(path)  # it may have been written just before the copier ended
        if last_word == marker:
            raise PeerError(
                f"rank {marker.rank} (process {marker.owner.pid}) ended before it could {marker.subject}; "
                "its log says why"
            )
        marker = last_word
    if marker and marker.state == "failed":
        raise StageError(f"rank {marker.rank} could not {marker.subject}: {marker.reason}")
    return marker


def _describe(path: Path, subject: str) -> str:
    marker = Marker.read(path)
    if not marker:
        return f"the copying rank of this node to {subject} (marker {path} absent)"
    owner = f"process {marker.owner.pid} on {marker.owner.host}"
    if marker.is_stale():
        return f"the copying rank of this node to {subject} (marker {path} is an old one, of {owner})"
    return f"rank {marker.rank} to {subject} (marker {path} says {marker.state}, {owner})"


def _reason(err: BaseException) -> str:
    if isinstance(err, KeyboardInterrupt):
        return "interrupted"
    text = " ".join(str(err).split())
    return text if isinstance(err, MindLiftError) and text else f"{type(err).__name__}: {text}".rstrip(": ")


def _is_forgotten(folder: Path) -> bool:
    """Markers a day old of a job that has ended. Folders with anything else in them are not ours."""
    markers = [Marker.read(path) for path in folder.glob("*.json")] if folder.is_dir() else []
    if not markers or time.time() - folder.stat().st_mtime < SWEEP_AFTER_S:
        return False
    return all(marker and marker.owner.is_gone() and marker.launcher.is_gone() for marker in markers)


def _remove_markers(folder: Path) -> None:
    for path in [*folder.glob("*.json"), *folder.glob("*.json.part")]:
        remove_file(path)


def since_boot_s() -> float:
    """The clock in which the system tells when a process started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else 0.0
