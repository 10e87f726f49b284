"""What a folder holds now, and which files of this machine some process writes to."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mindlift.storage.copying.plan import PART

PROC = Path("/proc")
PF_EXITING = (
    0x4  # of the kernel's flags of a process: it may have closed its files, though it is not a zombie yet
)


class Stamp(NamedTuple):
    """A file at one moment; times in ns. `changed_ns` is when its status changed: its name, mode or content."""

    size: int
    modified_ns: int
    changed_ns: int
    device: int
    inode: int

    @property
    def content(self) -> tuple[int, int]:
        """What differs after the file has been written to."""
        return self.size, self.modified_ns

    @property
    def is_renamed(self) -> bool:
        """Whether it got its name, mode or time after its last byte: writing sets both times to one value."""
        return self.changed_ns > self.modified_ns

    @property
    def file(self) -> tuple[int, int]:
        return self.device, self.inode


def scan(root: Path) -> dict[str, Stamp]:
    """All regular files below `root` by their names relative to it; links to files count, links to folders do not."""
    return {path[len(str(root)) + 1 :]: found for path, found in walk(str(root))}


def walk(folder: str) -> Iterator[tuple[str, Stamp]]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):  # the program has removed it meanwhile
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
            continue
        with contextlib.suppress(OSError):  # removed, or a link to nothing
            found = os.stat(entry.path)
            if stat.S_ISREG(found.st_mode) and not PART.fullmatch(entry.name):
                yield entry.path, stamp(found)


def stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)


def writers() -> dict[tuple[int, int], set[int]] | None:
    """The processes that have a file open for writing, by the file's device and inode; None where nobody can tell."""
    if not (PROC / "self/fd").is_dir():
        return None
    found: dict[tuple[int, int], set[int]] = {}
    own = str(os.getpid())
    for pid in os.listdir(PROC):
        if pid.isdigit() and pid != own:
            for file in written_by(pid):
                found.setdefault(file, set()).add(int(pid))
    return found


def written_by(pid: str) -> Iterator[tuple[int, int]]:
    folder = f"{PROC}/{pid}/fd"
    try:
        descriptors = os.listdir(folder)
    except OSError:  # ended, or another user's
        return
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            link = f"{folder}/{descriptor}"
            if os.lstat(link).st_mode & stat.S_IWUSR:  # the link's mode says how the file was opened
                found = os.stat(link)
                if stat.S_ISREG(found.st_mode):
                    yield found.st_dev, found.st_ino


def runs(pid: int) -> bool:
    """Whether a process is there and not about to be gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    state, *fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and ")"
    return state not in ("Z", "X") and not int(fields[5]) & PF_EXITING
