"""Following a job: its phases and the lines of its logs, until it ends or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloud.handle import Handle
from cloud.patience import Patience
from cloud.positions import Positions
from cloud.providers.base import LogPage, Provider, Status
from cloud.show import duration

SHORTEST_S = 0.5


@dataclass
class Follower:
    """`out` gets log lines, `note` what happens to the job. `nodes` None: all of them."""

    provider: Provider
    handle: Handle
    out: Callable[[str], None]
    note: Callable[[str], None]
    positions: Positions
    patience: Patience
    nodes: Sequence[int] | None = None
    shows_logs: bool = True
    names_nodes: bool = True
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    last: tuple = field(default=(), init=False)

    def run(self, deadline_s: float = float("inf")) -> Status:
        """The last status: final, or as it was at the deadline. New lines are polled for more often."""
        started, pause = self.clock(), SHORTEST_S
        while True:
            status = self.patience.call(lambda: self.provider.show(self.handle))
            has_news = self.tell(status)
            if self.shows_logs:
                has_news = self.read_logs(status) or has_news
            left = deadline_s - (self.clock() - started)
            if status.phase.is_final or left <= 0:
                return status
            pause = SHORTEST_S if has_news else min(1.5 * pause, self.provider.longest_poll_s)
            self.sleep(min(pause, left))

    def tell(self, status: Status) -> bool:
        """Say what has changed."""
        seen = (status.phase, status.detail, status.reason, status.restarts)
        if seen == self.last:
            return False
        self.last = seen
        words = [f"job {status.phase.value}"]
        words += [f"({status.raw})"] if status.phase.value == "unknown" else []
        words += [f"after {duration(status.duration_s)}"] if status.duration_s else []
        words += [f"restart {status.restarts}"] if status.restarts else []
        self.note(" ".join(words) + (f": {status.reason}" if status.reason else ""))
        return True

    def read_logs(self, status: Status) -> bool:
        nodes = range(status.nodes) if self.nodes is None else self.nodes
        found = [self.read_node(status, node) for node in nodes]
        return True in found

    def read_node(self, status: Status, node: int) -> bool:
        """All lines of one node that are new."""
        found = False
        while True:
            after = self.positions.get(status, node)
            page = self.patience.call(lambda after=after: self.provider.logs(self.handle, node, after))  # type: ignore[misc]
            if page.end < after:
                self.note(f"the log of node {node} began anew")
                self.positions.set(status, node, 0)
                continue
            if page.lines and page.start > after:
                self.note(f"{page.start - after} lines of node {node}'s log are gone")
            if page.end == after:
                return found
            found = True
            self.show(page, status, node, after)

    def show(self, page: LogPage, status: Status, node: int, after: int) -> None:
        """The page's lines; those that Ctrl-C cuts off come with the next look."""
        done = max(after, page.start)
        try:
            for line in page.lines[done - page.start :]:
                done += 1
                self.out(f"node {node}: {line}" if self.names_nodes and status.nodes > 1 else line)
        finally:
            self.positions.set(status, node, done)
