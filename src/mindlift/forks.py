"""What threads share, in a child that was forked beside them: no thread is there that could give back what it held.

A library may be half imported by another thread, too, and would stay so in the child; so a fork waits for imports that
are made when they are first needed.
"""

from __future__ import annotations

# these two have hooks of their own, which must come first: a library may log, or use a pool, while it is imported
import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import threading
import weakref
from contextlib import AbstractContextManager, suppress

SHARED: weakref.WeakSet[Shared] = weakref.WeakSet()


class Shared:
    """What threads share by `lock`. A forked child begins with a lock that nobody holds, and `begin_anew`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        SHARED.add(self)
        FORKS.watch()

    def begin_anew(self) -> None:
        """In the child: drop what belongs to threads of the parent, such as connections."""


class Forks:
    """Of this process. `with FORKS.importing():` - no fork in the block, by any other thread."""

    def __init__(self) -> None:
        self.imports = threading.RLock()
        self.is_watching = False

    def importing(self) -> AbstractContextManager[bool]:
        self.watch()
        return self.imports

    def watch(self) -> None:
        if self.is_watching:
            return
        self.is_watching = True
        os.register_at_fork(before=self.hold, after_in_parent=self.free, after_in_child=self.renew)

    def hold(self) -> None:
        self.imports.acquire()

    def free(self) -> None:
        with suppress(RuntimeError):  # it was not held, if this was registered while a fork was beginning
            self.imports.release()

    def renew(self) -> None:
        self.imports = threading.RLock()
        for each in list(SHARED):
            each.lock = threading.Lock()
            each.begin_anew()


FORKS = Forks()
