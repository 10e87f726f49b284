"""Locks that die with their holder: on files that are being written, and on places that one process at a time fills.

They are those of the kernel (flock), which Linux keeps on NFS too, between machines. Numbers of processes are no help:
containers that share a folder have equal ones, and machines even more so.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mindlift.errors import StageError, StorageError
from mindlift.files import machine

SAY_EVERY_S, PAUSE_S = 10.0, 0.1
IDLE_S = 3600.0  # after which a file of another machine is taken for abandoned, if nobody holds it
IDLE_UNLOCKED_S = 24 * 3600.0  # the same for any file, where there are no locks


def create_held(path: str) -> int:
    """A descriptor of a new file, locked as long as it, or a copy of it in a forked child, is open."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else it was taken for abandoned before it was locked
            return descriptor
        os.close(descriptor)


def remove_abandoned(path: str, boot: str) -> None:
    """Remove a file that `create_held` has made on the machine of this `boot`, unless somebody still writes it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if is_abandoned(descriptor, boot):
            with suppress(OSError):
                os.unlink(path)
    finally:
        os.close(descriptor)


def is_abandoned(descriptor: int, boot: str) -> bool:
    """Locks of another machine may not be seen here (NFS with `nolock`), so its file must be an hour old as well."""
    idle_s = time.time() - os.fstat(descriptor).st_mtime
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return idle_s > IDLE_UNLOCKED_S
    return boot == machine() or idle_s > IDLE_S


@contextmanager
def alone(
    path: Path,
    work: str,
    timeout_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """No other process of this machine, or of one that shares the folder, is in a block on `path` at the same time.

    `work` is a verb and an object ("stage obs://b/d"). StageError after `timeout_s`. On a file system without locks
    nothing keeps a second one out, and a line says so.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
    except OSError as err:
        raise StorageError(f"can't write {path}: {err.strerror}") from err
    with file:
        wait(file, path, work, timeout_s, say, clock, sleep)
        with suppress(OSError):  # a full disk: it only says who it is
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # closing would not be enough, if a child has been forked meanwhile
                fcntl.flock(file, fcntl.LOCK_UN)


def wait(
    file: TextIO,
    path: Path,
    work: str,
    timeout_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    began, said = clock(), 0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as err:
            say(
                f"warning: {path.parent} is on a file system without locks ({err.strerror});"
                f" no other job may {work} at the same time"
            )
            return
        waited, holder = clock() - began, path.read_text(encoding="utf-8", errors="replace").strip()
        if waited >= timeout_s:
            raise StageError(
                f"gave up after {waited:.0f} s waiting for {holder or 'another process'} to {work}"
            )
        if waited // SAY_EVERY_S > said:
            said = int(waited // SAY_EVERY_S)
            say(f"waiting for {holder or 'another process'} to {work}: {waited:.0f} s so far")
        sleep(PAUSE_S)
