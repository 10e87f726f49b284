"""Ranks that no launcher watches: a scheduler and processes with msrun's variables, each on its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import ROOT, environment


@dataclass
class Rank:
    """A process whose output goes to a file."""

    process: subprocess.Popen
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def errors(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("error: ")]

    def await_text(self, text: str, timeout_s: float = 180) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def lone_ranks(
    folder: Path,
    count: int,
    program: Sequence[object],
    ranks: Sequence[int] | None = None,
    scheduler: bool = True,
    variables: Callable[[int], dict[str, str]] = lambda rank: {},
) -> Generator[list[Rank], None, None]:
    """The ranks 0 .. count - 1 of `program`, or some of them; what still runs at the end of the block is killed.

    `variables` are further ones of the environment of each rank.
    """
    port = free_port()
    shared = {"MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": str(port), "MS_WORKER_NUM": str(count)}

    def start(name: str, **more: str) -> Rank:
        log = folder / f"{name}.log"
        with open(log, "w") as file:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / str(program[0])), *map(str, program[1:])],
                cwd=ROOT,
                env={**environment(PYTHONUNBUFFERED="1"), **shared, **more},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return Rank(process, log)

    started = [start("scheduler", MS_ROLE="MS_SCHED")] if scheduler else []
    wanted = range(count) if ranks is None else ranks
    workers = [
        start(f"rank_{rank}", MS_ROLE="MS_WORKER", MS_NODE_ID=str(rank), **variables(rank)) for rank in wanted
    ]
    try:
        yield workers
    finally:
        for each in [*started, *workers]:
            with contextlib.suppress(ProcessLookupError):
                each.process.send_signal(signal.SIGKILL)
            each.process.wait()
