"""The last lines of a job's log, for those who ask how it is and not for all that it said."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from mindlift.cloud.errors import Refused
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Provider

MOST_PAGES = 50  # of one look


@dataclass
class LogTail:
    """What was read of a node's log: its last `count` lines that are not empty, and how far that is."""

    provider: Provider
    handle: Handle
    node: int = 0
    count: int = 1
    lines: deque[str] = field(init=False)
    place: Place = field(default_factory=lambda: Place())

    def __post_init__(self) -> None:
        self.lines = deque(maxlen=self.count)

    def read(self, has_ended: bool) -> list[str]:
        """The last lines as they are now; those from before where the service has no log, or refuses it."""
        for _ in range(MOST_PAGES):
            try:
                page = self.provider.logs(self.handle, self.node, self.place, has_ended)
            except Refused:
                break
            self.place = page.place
            self.lines.extend(line for line in page.lines if line.strip())
            if not page.has_more:
                break
        return list(self.lines)
