"""A large file that several threads copy in pieces, each of which may be the first or the last."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from mindlift.storage.copying.plan import Known


class SharedFile(ABC):
    """The first thread opens it; once a piece has failed, no other one begins."""

    def __init__(self, pieces: int):
        self.lock = threading.Lock()
        self.left = pieces
        self.busy = 0  # threads that use what is open
        self.failed = False

    def piece(self, at: int) -> Known | None:
        """Copy the piece that begins, or is numbered, `at`; what is known of the file once all are there."""
        try:
            with self.lock:
                self.busy += 1
                if not self.is_open and not self.failed:
                    self.open()
            if not self.failed:
                self.copy(at)
        except BaseException:
            self.failed = True
            raise
        finally:
            known = self.count_down()
        return known

    @property
    @abstractmethod
    def is_open(self) -> bool: ...

    @abstractmethod
    def open(self) -> None: ...

    @abstractmethod
    def copy(self, at: int) -> None: ...

    @abstractmethod
    def count_down(self) -> Known | None:
        """A piece has ended, well or not: of the last one the file is completed, of a failed one given up."""
