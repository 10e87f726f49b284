"""A terminal that is drawn over and over, and given back as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Sequence

from mindlift.interrupts import Handler, handling

ENTER, LEAVE = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"  # another page without a cursor, and back
HOME, END_LINE, BELOW = "\033[H", "\033[K", "\033[J"
USUAL = (80, 24)


def is_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """Draws the lines that `render(width, height)` makes, again whenever the terminal changes its size.

    A resize comes as a signal, also while this process waits for an answer, so the handler draws itself.
    """

    def __init__(self, render: Callable[[int, int], Sequence[str]]):
        self.render = render
        self.out = sys.stdout.fileno()
        self.modes = termios.tcgetattr(self.out)
        self.is_drawing = self.is_stale = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """The terminal is ours for the block, but not while the user has stopped it by Ctrl-Z."""
        handlers: dict[int, Handler] = {
            signal.SIGWINCH: self.resized,
            signal.SIGTSTP: self.paused,
            signal.SIGTERM: end,
            signal.SIGHUP: end,
        }
        with handling(handlers):
            try:
                self.take()
                yield
            finally:
                self.give_back()

    def take(self) -> None:
        """What is typed is not shown."""
        silent = [*self.modes[:3], self.modes[3] & ~termios.ECHO, *self.modes[4:]]
        termios.tcsetattr(self.out, termios.TCSADRAIN, silent)
        self.write(ENTER)

    def give_back(self) -> None:
        """What was typed is thrown away, and does not become a command of the shell."""
        self.write(LEAVE)
        termios.tcsetattr(self.out, termios.TCSAFLUSH, self.modes)

    def resized(self, number: int, frame: object) -> None:
        self.draw()

    def paused(self, number: int, frame: object) -> None:
        """Ctrl-Z: until the user calls us to the foreground again."""
        self.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.take()
        self.draw()

    def draw(self) -> None:
        """Again if the size changes meanwhile."""
        self.is_stale = True
        if self.is_drawing:
            return
        self.is_drawing = True
        try:
            while self.is_stale:
                self.is_stale = False
                self.write(page(self.render, *self.size()))
        finally:
            self.is_drawing = False

    def size(self) -> tuple[int, int]:
        """Columns and lines, asked of the terminal: COLUMNS and LINES of the environment do not change with it."""
        found = os.get_terminal_size(self.out)
        return (found.columns, found.lines) if found.columns and found.lines else USUAL

    def write(self, text: str) -> None:
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self.out, data) :]


def page(render: Callable[[int, int], Sequence[str]], width: int, height: int) -> str:
    """Drawn over what is there; the last column stays free, since erasing behind it would erase it."""
    lines = list(render(width - 1, height))[:height]
    return HOME + f"{END_LINE}\r\n".join(lines) + END_LINE + BELOW


def end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
