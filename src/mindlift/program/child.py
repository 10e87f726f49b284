"""The program: a process group of its own, signals passed on, its exit code, the terminal lent to it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

from mindlift.errors import ConfigError
from mindlift.interrupts import Handler, Interrupted, handling
from mindlift.program.publishing.folder import runs

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1


def find(words: Sequence[str], env: Mapping[str, str]) -> None:
    """ConfigError if there is no such program."""
    if not words:
        raise ConfigError(
            "no program is named: write it behind --, as in mindlift run [options] -- python train.py"
        )
    if shutil.which(words[0], path=env.get("PATH")) is None:
        raise ConfigError(f"there is no program {words[0]} that can be run; check its name and PATH")


class Child:
    """One program. `on_signal` is told of each signal that this process gets, after it has been passed on."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str]):
        self.words, self.env = list(words), dict(env)
        self.process: subprocess.Popen | None = None
        self.on_signal: Callable[[int], None] = lambda number: None
        self.code: int | None = None
        self.has_terminal = False

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Signals go to the program in the block; before it is started they raise Interrupted.

        What this process was started to ignore, as SIGHUP below nohup, the program ignores as well.
        """
        numbers = [getattr(signal, name) for name in FORWARDED]
        heard: dict[int, Handler] = {
            number: self.forward for number in numbers if signal.getsignal(number) != signal.SIG_IGN
        }
        with handling(heard):
            yield

    def forward(self, number: int, _frame: FrameType | None) -> None:
        if self.process is None:
            raise Interrupted(number)
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
        self.on_signal(number)

    def start(self) -> int:
        """Its process id. To be called while this process has one thread: it forks."""
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None

        blocked = {getattr(signal, name) for name in FORWARDED} | {signal.SIGTTOU}
        self.has_terminal = is_in_foreground()
        former = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)

        def prepare() -> None:
            os.setpgid(0, 0)
            if self.has_terminal:  # before it reads, or it would be stopped
                os.tcsetpgrp(0, os.getpid())
            if libc:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # also if this process is killed by SIGKILL
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

        try:
            self.process = subprocess.Popen(
                self.words,
                env=self.env,
                preexec_fn=prepare,
                close_fds=False,
            )
        except OSError as err:
            raise ConfigError(f"{self.words[0]} can't be run: {err.strerror}") from err
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process is not None and self.code is None and runs(self.process.pid)

    def wait(self) -> int:
        """Its exit code, 128 + n if signal n ended it."""
        assert self.process is not None
        pid = self.process.pid
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                self.pause()
                continue
            code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            self.code = self.process.returncode = code
            self.lend_terminal(os.getpgrp())
            return code

    def lend_terminal(self, group: int) -> None:
        """Make a group that of the foreground: it can read from the terminal, and gets Ctrl-C."""
        if self.has_terminal:
            with contextlib.suppress(OSError), handling({signal.SIGTTOU: signal.SIG_IGN}):
                os.tcsetpgrp(0, group)

    def pause(self) -> None:
        """Ctrl-Z: this process stops with the program, and both go on together."""
        assert self.process is not None
        if not self.has_terminal:
            return
        self.lend_terminal(os.getpgrp())
        os.kill(os.getpid(), signal.SIGSTOP)
        self.lend_terminal(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)


def is_in_foreground() -> bool:
    """Whether this process may read from a terminal."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
