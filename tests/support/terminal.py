"""A program in a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from types import TracebackType

from tests.support.programs import ROOT, environment


class Terminal:
    """A program in a terminal of its own, and what it has written; use it as a `with` block."""

    def __init__(self, words: list[str], env: dict[str, str], columns: int, lines: int):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment(**env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        self.said = ""

    def resize(self, columns: int, lines: int) -> None:
        """The system tells the program by SIGWINCH."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> str:
        while select.select([self.master], [], [], 0)[0]:
            self.said += os.read(self.master, 1 << 16).decode()
        return self.said

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def is_echoing(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)
