"""Signals: Ctrl-C and SIGTERM at a place where they do no harm, and handlers that are given back.

A handler in Python runs once the main thread is back from C++, which a read from a dead mount never is. So the second
Ctrl-C is also seen by a thread of its own: see SecondInterrupt. While MindSpore compiles or runs a graph, and often
after it, SIGINT has a handler of MindSpore's that sends SIGTERM (SignalGuard in its C++): see CtrlC.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Callable, Optional, Union

from mindlift.language import localized


class Interrupted(KeyboardInterrupt):
    """A signal that asked for an end, where it is not Python itself that noticed Ctrl-C."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


Handler = Union[Callable[[int, Optional[FrameType]], object], int, None]  # what signal.signal takes
ENTERED: list[SignalFlag] = []  # the blocks that hold signals back, the innermost last
GRACE_S = 1.0  # how long a program may take to end by itself before it is spoken of, or ended
INTERRUPTED = 128 + signal.SIGINT
WAKE = signal.SIGURG  # does nothing, but ends a wait in a system call


def exit_code(err: KeyboardInterrupt) -> int:
    """What a shell says of a program that the signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number_of(err)


def described(err: KeyboardInterrupt) -> str:
    """The line for a user."""
    number = number_of(err)
    return "interrupted" if number == signal.SIGINT else f"interrupted by {signal.Signals(number).name}"


def number_of(err: KeyboardInterrupt) -> int:
    return err.number if isinstance(err, Interrupted) else signal.SIGINT


@contextlib.contextmanager
def handling(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Those handlers in the block, and the former ones after it. Only in the main thread."""
    former = {number: signal.getsignal(number) for number in handlers}
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave_ctrl_c_to_parent() -> None:
    """Ctrl-C reaches the whole process group; this process is ended by its parent, when that is done with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def asking_to_end() -> list[int]:
    """The signals that a user or a platform asks a program to end with."""
    is_kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
    return [signal.SIGTERM, signal.SIGINT, *([] if is_kept else [signal.SIGHUP])]


def leave_terminal() -> None:
    """Write to nowhere what would go to a terminal that is gone: it would fail with EIO."""
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


class Signalled(Exception):
    """A signal has come in a block that a SignalFlag lets it interrupt."""


class SignalFlag:
    """A `with` block that only notes signals that ask for an end; the second of one kind does what it did before.

    These are SIGTERM, SIGINT, and SIGHUP of a closed terminal unless nohup has it ignored. `number` is the signal that
    came first, 0 if none did: a launcher that is interrupted sends SIGTERM after the terminal's SIGINT.
    """

    def __init__(self, says: str = "stops after this step"):
        """`says` is what somebody waits for who has pressed Ctrl-C; '' if that is not worth a line."""
        self.says = says
        self.number = 0
        self.previous: dict[int, Handler] = {}
        self.on_signal: Callable[[], object] | None = None  # in a block that is interrupted

    def __enter__(self) -> SignalFlag:
        for number in asking_to_end():
            self.previous[number] = signal.signal(number, self.note)
        ENTERED.append(self)
        return self

    def note(self, number: int, _frame: FrameType | None) -> None:
        self.number = self.number or number
        self.restore(number)
        if number == signal.SIGHUP:
            leave_terminal()
        if self.on_signal:
            self.interrupt(self.on_signal)

    @contextlib.contextmanager
    def interrupting(self, on_signal: Callable[[], object]) -> Iterator[None]:
        """A block that a signal ends: by Signalled, after `on_signal`, which lets other threads know."""
        if self.number:
            self.interrupt(on_signal)
        self.on_signal = on_signal
        try:
            yield
        finally:
            self.on_signal = None

    def interrupt(self, on_signal: Callable[[], object]) -> None:
        self.on_signal = None
        on_signal()
        raise Signalled

    def restore(self, *numbers: int) -> None:
        for number in numbers:
            signal.signal(number, self.previous[number])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ENTERED.remove(self)
        self.restore(*self.previous)


class Deferred(SignalFlag):
    """A `with` block in which these signals wait for `check` or for the end of the block.

    Then Interrupted, a KeyboardInterrupt, is raised. A second signal does what it did before the block.
    """

    def __init__(self, says: str = "stops after these images"):
        super().__init__(says)

    def __enter__(self) -> Deferred:
        super().__enter__()
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        super().note(number, frame)
        self.restore(*self.previous)

    def check(self) -> None:
        if self.number:
            raise Interrupted(self.number)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        super().__exit__(kind, *error)
        if kind is None:
            self.check()


class CtrlC:
    """A `with` block in which SIGINT reaches Python's handler, whatever handlers libraries install in C.

    All threads that are started in it block SIGINT, and one takes it by sigwait, for which no handler is called. Enter
    it in the main thread, before libraries start threads. Programs that are started in it block SIGINT too.
    """

    def __init__(self) -> None:
        self.is_over = threading.current_thread() is not threading.main_thread()
        self.ending = threading.Lock()
        self.mask: set[int] = set()
        self.former: Handler = None

    def __enter__(self) -> CtrlC:
        if not self.is_over:
            self.mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]))
            self.former = signal.signal(WAKE, lambda *_: None)
            os.register_at_fork(after_in_child=self.leave)
            self.thread = threading.Thread(
                target=self.relay, args=[threading.get_ident()], name="ctrl-c", daemon=True
            )
            self.thread.start()
        return self

    def relay(self, main: int) -> None:
        """Hand each SIGINT on to the main thread, and end a system call that it waits in."""
        while True:
            signal.sigwait([signal.SIGINT])
            with self.ending:
                if self.is_over:
                    return
                _thread.interrupt_main()
                signal.pthread_kill(main, WAKE)

    def __exit__(self, *_: object) -> None:
        if not self.is_over:
            with self.ending:
                self.leave()
                assert self.thread.ident is not None
                signal.pthread_kill(self.thread.ident, signal.SIGINT)
            self.thread.join()

    def leave(self) -> None:
        if not self.is_over:
            self.is_over = True
            signal.signal(WAKE, self.former)
            signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


class SecondInterrupt:
    """A `with` block, in the main thread, in which the second Ctrl-C ends the process whatever its threads do.

    Python's handler in C writes each signal to a socket at once, and a thread reads it. SIGTERM is not counted: who
    sends that sends SIGKILL later, and a launcher may send it beside the terminal's SIGINT. After a first Ctrl-C
    the thread stays for the end of the process, which may hang just as well.
    """

    def __init__(self, end: Callable[[int], object] = os._exit):
        self.end = end
        self.count = 0
        self.is_over = False
        self.theirs, self.ours = socket.socketpair()
        self.former: int | None = None

    def __enter__(self) -> SecondInterrupt:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals are not its business
        self.ours.setblocking(False)
        self.former = signal.set_wakeup_fd(self.ours.fileno(), warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=self.leave)  # a child has the socket too, and would be counted
        threading.Thread(target=self.watch, name="ctrl-c", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.is_over = True
        if not self.count and kind is not KeyboardInterrupt:
            self.leave()

    def leave(self) -> None:
        if self.former is not None:
            signal.set_wakeup_fd(self.former)
            self.former = None
            self.ours.close()

    def watch(self) -> None:
        """Say after the first Ctrl-C what is waited for, if that takes a while; end the process after the second."""
        with self.theirs:
            is_told = False
            while self.count < 2:
                heard = self.hear(GRACE_S if self.count and not is_told else None)
                if heard == b"":
                    return
                if heard is None:
                    self.tell_first()
                    is_told = True
                else:
                    self.count += heard.count(signal.SIGINT)
            if self.hear(GRACE_S) != b"":
                tell("ended by the second Ctrl-C")
                self.end(INTERRUPTED)

    def tell_first(self) -> None:
        says = ENTERED[-1].says if ENTERED else "interrupted"
        if says and not self.is_over:
            tell(f"{says}; press Ctrl-C again to end at once")

    def hear(self, seconds: float | None) -> bytes | None:
        """The numbers of signals that came within `seconds`, None if none did, b'' at the end of the block."""
        self.theirs.settimeout(seconds)
        try:
            return self.theirs.recv(64)
        except socket.timeout:
            return None


def tell(text: str) -> None:
    """A line on stderr, not by way of a stream that the main thread may be holding."""
    with contextlib.suppress(OSError):
        os.write(
            2, f"\n{localized(text)}\n".encode(getattr(sys.stderr, "encoding", None) or "utf-8", "replace")
        )
