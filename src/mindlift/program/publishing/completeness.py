"""Which files of an output folder are complete. Pure: what was seen in, a decision out.

While the program runs a file is complete if no process has it open for writing, and
- it was renamed, or its mode or time was set, after its last byte was written; or
- its size and time have been the same for `settle_s`.
When the program has ended well, every file is. When it was killed or failed, a file is complete if it was seen
closed as it is now while the program was alive, or by the first rule. A program that fails by itself, with an exit code and
not by a signal, has closed its files itself: they count as well if that is seen a moment later. A file that was open when its writer ended
is held back until the program ends well, and one that an earlier run left unfinished until it is written again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Mapping, Optional, Sequence, Tuple

from mindlift.program.publishing.folder import Stamp

Content = Tuple[int, int]  # size and time of modification in ns
Writers = Optional[Mapping[Tuple[int, int], "set[int]"]]
GROWING = ("*.log", "*.jsonl", "*.out", "*.err", "events.out.tfevents.*")


def grows(name: str, patterns: Sequence[str]) -> bool:
    """Whether any beginning of the file is of use, as of a log: it is published while it is written."""
    return any(fnmatch(name.rpartition("/")[2], pattern) for pattern in patterns)


@dataclass
class Seen:
    stamp: Stamp
    since_s: float
    is_open: bool = False
    was_closed: bool = False  # at a look while the program was alive
    was_closed_late: bool = False  # seen when the program was not alive any more
    is_orphan: bool = False  # its writer ended with it
    writers: set[int] = field(default_factory=set)


class Completeness:
    """`unfinished` are the files that an earlier run may have left half-written, as they were then."""

    def __init__(
        self,
        settle_s: float,
        unfinished: Mapping[str, Content],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.settle_s, self.unfinished, self.clock = settle_s, dict(unfinished), clock
        self.seen: dict[str, Seen] = {}
        self.sees_writers = True
        self.end = ""  # "well" or "badly"
        self.ended_by_itself = False

    def look(
        self, files: Mapping[str, Stamp], writers: Writers, is_alive: bool, runs: Callable[[int], bool]
    ) -> None:
        """Take in what the folder holds, who wrote to it after that, and whether the program was alive even later.

        `runs` says whether a process is there.
        """
        self.sees_writers = writers is not None
        now = self.clock()
        seen: dict[str, Seen] = {}
        for name, stamp in files.items():
            before = self.seen.get(name)
            found = before if before and before.stamp == stamp else Seen(stamp, now)
            pids = set((writers or {}).get(stamp.file, ()))
            if before and before.is_open and not pids and before.stamp.file == stamp.file:
                found.is_orphan = not all(runs(pid) for pid in before.writers)
            found.is_open, found.writers = bool(pids), pids
            if found.is_open:
                found.since_s, found.is_orphan = now, False
            elif is_alive and self.sees_writers:
                found.was_closed = True
            seen[name] = found
        self.seen = seen

    def note_closed(self, name: str, stamp: Stamp, is_alive: bool) -> None:
        """A file has been closed after writing; what is open when the program is killed is closed by its death."""
        before = self.seen.get(name)
        found = before if before and before.stamp == stamp else Seen(stamp, self.clock())
        if before:
            found.is_open, found.writers = before.is_open, before.writers
        found.was_closed, found.was_closed_late = is_alive, not is_alive
        self.seen[name] = found

    def is_complete(self, name: str) -> bool:
        found = self.seen.get(name)
        if found is None or self.unfinished.get(name) == found.stamp.content:
            return False
        if self.end == "well":
            return True
        if found.is_open or found.is_orphan:
            return False
        is_settled = self.clock() - found.since_s >= self.settle_s
        if not self.sees_writers:
            return is_settled
        was_closed = found.was_closed or (found.was_closed_late and self.ended_by_itself)
        return found.stamp.is_renamed or (was_closed if self.end else is_settled)

    def was_finished(self, name: str) -> bool:
        """Whether it is known to be no torso, though more may be written to it."""
        found = self.seen.get(name)
        if found is None or found.is_orphan or self.unfinished.get(name) == found.stamp.content:
            return False
        return found.was_closed or self.is_complete(name)
