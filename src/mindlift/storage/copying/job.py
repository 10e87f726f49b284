"""What a copy is, and what a route of it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

from mindlift.backports import Protocol
from mindlift.storage.copying.plan import Known
from mindlift.storage.store import Entry, Store

CHANGES = 3  # how often a file that changes under the copy is copied again

Advance = Callable[[int], None]
Unit = Callable[[], "Known | None"]  # Known from the unit that completes the file


@dataclass(frozen=True)
class Job:
    """What is copied: keys of entries are relative to `source` and `target`, keys of folders or ''."""

    source_store: Store
    source: str
    target_store: Store
    target: str


class Route(Protocol):
    def units(self, entry: Entry) -> Iterator[Unit]:
        """The steps that copy a file, in any order and on any thread."""

    def close(self) -> None:
        """Take back what is unfinished; no unit runs any more."""
