"""Starts the processes of a job as Ascend's launcher does, or msrun, torchrun or the user, and ends them by its rule.

The rule (davincirun of ModelArts' preset images): when the first process ends with another code than 0, or
the job is stopped, all others get SIGTERM, and after 15 s SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mindlift.cloud.platforms.container import (
    Rank,
    log_name,
    rank_environment,
    ranks_of,
    working_directory,
)
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local import commands, file_system, isolation
from mindlift.cloud.providers.local.file_system import Mount
from mindlift.cloud.providers.local.interpreter import Interpreter
from mindlift.cloud.providers.local.node import Node, environment, write_hosts, write_tables
from mindlift.cloud.providers.local.servers import free_port
from mindlift.files import temporary_folder

GRACE_S = 15.0
POLL_S = 0.1


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: the code of the first process that failed (128 + signal), and which it was.

    `is_whole`: all processes have ended well, and what failed came after them.
    """

    code: int
    reason: str = ""
    was_stopped: bool = False
    by_signal: bool = False
    is_whole: bool = False

    @staticmethod
    def on_request() -> Ended:
        return Ended(128 + signal.SIGTERM, "stopped on request", was_stopped=True)


class Launcher:
    """The processes of one attempt."""

    def __init__(
        self,
        request: Request,
        job_id: str,
        nodes: list[Node],
        interpreter: Interpreter,
        private: Mapping[str, str],
    ):
        self.request, self.job_id, self.nodes, self.private = request, job_id, nodes, private
        self.interpreter = interpreter
        self.processes: dict[str, subprocess.Popen] = {}
        self.scheduler: subprocess.Popen | None = None
        self.readers: list[threading.Thread] = []
        self.port = free_port()
        self.size = len(nodes) * request.cards
        self.leaving = temporary_folder("leaving")
        self.mounts = {node.number: self.prepare(node) for node in nodes}

    def prepare(self, node: Node) -> list[Mount]:
        """The node's tables and names, and where its processes will see its files."""
        write_tables(node, self.request, self.job_id)
        if not node.is_isolated:
            return []
        write_hosts(node)
        libraries = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
        environments = [*self.interpreter.places, *libraries]
        shared = [self.leaving.name] if self.request.is_own else []
        mounts = file_system.mounts(str(node.root), node.container, environments, shared)
        for mount in mounts:
            if mount.source.startswith(f"{os.path.realpath(node.root)}/") and mount.is_writable:
                os.makedirs(mount.source, exist_ok=True)
        return mounts

    def start(self) -> None:
        try:
            self.start_all()
        except BaseException:
            self.end(Ended(1))
            raise

    def start_all(self) -> None:
        # a command of the user's starts its ranks by itself
        is_whole = self.request.command and self.request.launcher != "rank_table"
        way = "none" if is_whole else self.request.launcher
        if commands.needs_scheduler(way, self.request, self.interpreter):
            self.start_scheduler(self.nodes[0], commands.meeting_host(way))
        for node in self.nodes:
            if way != "rank_table":
                self.start_node(node, way)
                continue
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
                return self.end(Ended.on_request())
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
        if self.request.is_own:
            own["MINDLIFT_LAUNCHER"] = f"{self.size}:{self.leaving.name}"
            own["MINDLIFT_PEERS_AT"] = f"{commands.HOST}:{self.port}"
        elif self.scheduler:
            own.update(commands.worker(rank.rank, self.size, self.port))
        log = node.path(node.container.logs) / log_name(self.job_id, rank)
        process = self.popen(node, self.words(node), working_directory(node.container, rank), own)
        self.processes[f"rank {rank.rank}"] = process
        self.read(process, node, log)

    def start_scheduler(self, node: Node, host: str) -> None:
        """What stands in for the cards' own network: the place where ranks on CPUs meet."""
        words = self.words(node) if self.request.is_own else [self.interpreter.python, "-c", commands.MEET]
        own = commands.scheduler(self.size, self.port, host)
        self.scheduler = self.popen(node, words, f"{node.container.workspace}/scheduler", own)
        self.read(self.scheduler, node, node.path(node.container.logs) / "scheduler.log", shows=False)

    def start_node(self, node: Node, way: str) -> None:
        """One process, which starts the node's ranks."""
        logs = f"{node.container.logs}/{way}" if way != "none" else node.container.logs
        node.path(logs).mkdir(parents=True, exist_ok=True)
        seen = node.text(logs)
        before = commands.on_node(way, self.request, self.interpreter, node.number, self.port, seen)
        words = self.words(node)
        process = self.popen(node, [*before, *(words[1:] if before else words)], node.container.workspace, {})
        self.processes[f"{way} on node {node.number}" if before else f"node {node.number}"] = process
        self.read(process, node, node.path(logs) / f"{way if before else 'node'}.log")

    def words(self, node: Node) -> list[str]:
        python = self.interpreter.python
        return [word if word == python else node.text(word) for word in node.container.words(python)]

    def popen(self, node: Node, command: list[str], folder: str, own: Mapping[str, str]) -> subprocess.Popen:
        """A process that sees the node's files; `folder` is the platform's name of where it starts."""
        node.path(folder).mkdir(parents=True, exist_ok=True)
        variables = {**environment(node, self.interpreter.commands), **self.private, **own}
        if node.is_isolated:
            libraries = {name: variables.pop(name) for name in [*variables] if name.startswith("LD_")}
            command = isolation.inside(str(node.root), self.mounts[node.number], folder, command, libraries)
            variables.update((name, os.environ[name]) for name in ("LD_LIBRARY_PATH",) if name in os.environ)
        return subprocess.Popen(
            command,
            cwd=node.path(folder),
            env=variables,
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
