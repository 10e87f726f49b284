"""Starts the processes of a job as Ascend's launcher does, or MindSpore's msrun, and ends them by its rule.

The rule (davincirun of ModelArts' preset images): when the first process ends with another code than 0, or
the job is stopped, all others get SIGTERM, and after 15 s SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mindlift.cloud import platforms
from mindlift.cloud.platforms.container import (
    Container,
    Rank,
    log_name,
    rank_environment,
    ranks_of,
    working_directory,
)
from mindlift.cloud.platforms.mapping import mapped
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local.servers import free_port
from mindlift.model_utils import rank_table

GRACE_S = 15.0
POLL_S = 0.1
LISTEN = "127.0.0.1"


@dataclass(frozen=True)
class Node:
    """A container with the folder that stands for its file system, and what its log is written with."""

    number: int
    root: Path
    container: Container
    write: Callable[[bytes], None]

    def path(self, platform_path: str) -> Path:
        return Path(f"{self.root}{platform_path}")

    def text(self, platform_text: str) -> str:
        return mapped(str(self.root), platform_text)


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: the code of the first process that failed (128 + signal), and which it was."""

    code: int
    reason: str = ""
    was_stopped: bool = False
    by_signal: bool = False


class Launcher:
    """The processes of one attempt."""

    def __init__(self, request: Request, job_id: str, nodes: list[Node], private: Mapping[str, str]):
        self.request, self.job_id, self.nodes, self.private = request, job_id, nodes, private
        self.python = request.python or sys.executable
        self.processes: dict[str, subprocess.Popen] = {}
        self.scheduler: subprocess.Popen | None = None
        self.readers: list[threading.Thread] = []
        self.port = free_port()
        self.size = len(nodes) * request.cards
        self.leaving = tempfile.TemporaryDirectory(prefix="leaving-")

    def start(self) -> None:
        if self.request.launcher == "msrun":
            for node in self.nodes:
                self.start_msrun(node)
            return
        for node in self.nodes:
            write_tables(node, self.request, self.job_id)
        if self.size > 1:
            self.start_scheduler(self.nodes[0])
        for node in self.nodes:
            for rank in ranks_of(self.request, node.number):
                self.start_rank(node, rank)

    def pids(self) -> list[int]:
        return [
            process.pid
            for process in [*self.processes.values(), *([self.scheduler] if self.scheduler else [])]
        ]

    def wait(self, is_stopped: Callable[[], bool], deadline: float) -> Ended:
        """Until all have ended well, or one has not; the others are ended then."""
        while True:
            codes = {name: process.poll() for name, process in self.processes.items()}
            failed = next(((name, code) for name, code in codes.items() if code), None)
            if failed:
                return self.end(describe(*failed))
            if None not in codes.values():
                return self.end(Ended(0))
            if is_stopped():
                return self.end(Ended(128 + signal.SIGTERM, "stopped on request", was_stopped=True))
            if time.monotonic() > deadline:
                return self.end(
                    Ended(
                        128 + signal.SIGTERM,
                        f"ended after {self.request.max_hours:g} hours (auto_stop)",
                        True,
                    )
                )
            time.sleep(POLL_S)

    def end(self, ended: Ended) -> Ended:
        """End what is left, by the launcher's rule."""
        left = [process for process in self.processes.values() if process.poll() is None]
        for process in left:
            signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while any(process.poll() is None for process in left) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for process in [*self.processes.values(), *([self.scheduler] if self.scheduler else [])]:
            signal_group(process, signal.SIGKILL)
            process.wait()
        for reader in self.readers:
            reader.join(5)
        self.leaving.cleanup()
        return ended

    def start_rank(self, node: Node, rank: Rank) -> None:
        own = rank_environment(node.container, rank, self.job_id)
        own = {name: node.text(value) for name, value in own.items()}
        own.update(
            MINDLIFT_LAUNCHER=f"{self.size}:{self.leaving.name}", MINDLIFT_PEERS_AT=f"{LISTEN}:{self.port}"
        )
        folder = node.path(working_directory(node.container, rank))
        log = node.path(node.container.logs) / log_name(self.job_id, rank)
        process = self.popen(node, self.words(node), folder, own)
        self.processes[f"rank {rank.rank}"] = process
        self.read(process, node, log)

    def start_scheduler(self, node: Node) -> None:
        """What stands in for the cards' own network: the place where ranks on CPUs meet."""
        own = {
            "MS_ROLE": "MS_SCHED",
            "MS_WORKER_NUM": str(self.size),
            "MS_SCHED_HOST": LISTEN,
            "MS_SCHED_PORT": str(self.port),
        }
        folder = node.path(f"{node.container.workspace}/scheduler")
        self.scheduler = self.popen(node, self.words(node), folder, own)
        self.read(self.scheduler, node, node.path(node.container.logs) / "scheduler.log", shows=False)

    def start_msrun(self, node: Node) -> None:
        folder, logs = node.path(f"{node.container.workspace}"), node.path(f"{node.container.logs}/msrun")
        logs.mkdir(parents=True, exist_ok=True)
        command = [
            str(Path(self.python).with_name("msrun")),
            f"--worker_num={self.size}",
            f"--local_worker_num={self.request.cards}",
            f"--master_addr={LISTEN}",
            f"--master_port={self.port}",
            f"--node_rank={node.number}",
            f"--log_dir={logs}",
            "--join=True",
            *self.words(node)[1:],
        ]
        process = self.popen(node, command, folder, {})
        self.processes[f"msrun on node {node.number}"] = process
        self.read(process, node, logs / "msrun.log")

    def words(self, node: Node) -> list[str]:
        return [self.python, *map(node.text, node.container.words(self.python)[1:])]

    def popen(self, node: Node, command: list[str], folder: Path, own: Mapping[str, str]) -> subprocess.Popen:
        folder.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(node, self.python), **self.private, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def read(self, process: subprocess.Popen, node: Node, log: Path, shows: bool = True) -> None:
        """What a process says goes to its own log, and to that of its node."""
        assert process.stdout
        log.parent.mkdir(parents=True, exist_ok=True)
        self.spawn(tee, process.stdout, log, node.write if shows else None)

    def spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self.readers.append(thread)


def environment(node: Node, python: str) -> dict[str, str]:
    """What a process of the job sees: the platform's and the user's variables, nothing of this computer's."""
    kept = {
        name: os.environ[name] for name in ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ") if name in os.environ
    }
    platform = {name: node.text(value) for name, value in node.container.environment.items()}
    path = f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin"
    return {
        **kept,
        "PATH": path,
        "HOME": str(node.path(node.container.home)),
        "TMPDIR": str(node.path("/tmp")),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GLOG_v": "3",
        "MINDLIFT_CACHE": str(node.path("/cache")),
        **platform,
    }


def write_tables(node: Node, request: Request, job_id: str) -> None:
    """The scheduler's table, and what the launcher makes of it."""
    text = platforms.scheduler_table(request, job_id)
    for path, content in (
        (node.container.table, text),
        (node.container.rank_table, rank_table.to_v1(rank_table.parse(text, "the scheduler's rank table"))),
    ):
        node.path(path).parent.mkdir(parents=True, exist_ok=True)
        node.path(path).write_text(content, encoding="utf-8")


def describe(name: str, code: int) -> Ended:
    if code < 0:
        with contextlib.suppress(ValueError):
            return Ended(128 - code, f"{name} was ended by {signal.Signals(-code).name}", by_signal=True)
    return Ended(code if code > 0 else 128 - code, f"{name} ended with exit code {code}")


def signal_group(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def tee(source: IO[bytes], log: Path, write: Callable[[bytes], None] | None) -> None:
    with open(log, "ab") as file:
        for line in source:
            file.write(line)
            file.flush()
            if write:
                write(line)


def clear(folder: Path) -> None:
    """Remove a container's files, also where the platform had made them read-only."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None
