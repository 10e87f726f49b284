"""What a copy is, and what a route of it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

from mindlift.backports import Protocol
from mindlift.errors import TransferError
from mindlift.storage.copying.plan import Known, Plan
from mindlift.storage.store import Entry, Store

CHANGES = 3  # how often a file that changes under the copy is copied again


@dataclass(frozen=True)
class Failure:
    """A file that was not copied, and why."""

    key: str
    error: Exception


class LocalError(TransferError):
    """A file that can't be had here, whatever the store does: its name is too long for the disk, or not allowed there."""


Advance = Callable[[int], None]
Unit = Callable[[], "Known | None"]  # Known from the unit that completes the file


@dataclass(frozen=True)
class Job:
    """What is copied: keys of entries are relative to `source` and `target`, keys of folders or ''."""

    source_store: Store
    source: str
    target_store: Store
    target: str


class Watch(Protocol):
    """Of a copy whose files are wanted while it runs."""

    def at_once(self, size: int) -> int:
        """How many of the `size` bytes that are to be copied are at the target at a time; called before `arrange`."""

    def arrange(self, plan: Plan) -> Iterator[Entry]:
        """What is to be copied, in the order in which it is to be begun; called once the target's folder is known."""

    def ended(self, outcome: Known | Failure) -> bool:
        """Told of each outcome; whether it is the file's last one, because it may have been put into the order again."""


class Route(Protocol):
    def units(self, entry: Entry) -> Iterator[Unit]:
        """The steps that copy a file, in any order and on any thread."""

    def close(self) -> None:
        """Take back what is unfinished; no unit runs any more."""
