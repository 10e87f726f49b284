"""Following a job: its phases and the lines of its logs, until it ends or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mindlift.cloud.errors import LogNotThere, NoAnswer, Refused, ServiceError
from mindlift.cloud.follow.positions import Position, Positions
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import LogPage, Provider, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.show import duration
from mindlift.cloud.states import Phase
from mindlift.language import gettext, localized

SHORTEST_S = 0.5
UNKNOWN_S = 900.0  # a phase that we have no word for may be an end
CLOSING_S = 60.0  # for the last lines of a log that can't be read at once
FAILURES = 3  # in a row, before a log that can't be read is worth a line


@dataclass
class Follower:
    """`out` gets log lines, `note` what happens to the job. `nodes` None: all of them.

    A log that can't be read is said, and changes nothing else: the job runs, and is paid for, all the same.
    """

    provider: Provider
    handle: Handle
    out: Callable[[str], None]
    note: Callable[[str], None]
    positions: Positions
    retry: RetryPolicy
    nodes: Sequence[int] | None = None
    shows_logs: bool = True
    names_nodes: bool = True
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    last: tuple = field(default=(), init=False)
    failures: dict[int, int] = field(default_factory=dict, init=False)  # of a node's log, in a row

    def run(self, deadline_s: float = float("inf")) -> Status:
        """The last status: final, or as it was at the deadline, or UNKNOWN for 15 minutes.

        New lines are polled for more often.
        """
        started, pause = self.clock(), SHORTEST_S
        known = started
        while True:
            status = self.retry.call(lambda: self.provider.show(self.handle))
            has_news = self.tell(status)
            if self.shows_logs:
                has_news = self.follow_logs(status) or has_news
            left = deadline_s - (self.clock() - started)
            known = known if status.phase is Phase.UNKNOWN else self.clock()
            if status.phase.is_final or left <= 0 or self.clock() - known > UNKNOWN_S:
                if self.shows_logs and status.phase.is_final:
                    self.close_logs(status)
                return status
            pause = SHORTEST_S if has_news else min(1.5 * pause, self.provider.longest_poll_s)
            self.sleep(min(pause, left))

    def tell(self, status: Status) -> bool:
        """Say what has changed."""
        seen = (status.phase, status.detail, status.reason, status.restarts)
        if seen == self.last:
            return False
        self.last = seen
        phase = gettext(status.phase.value)
        phase += f" ({status.raw})" if status.phase is Phase.UNKNOWN else ""
        lasted = localized(duration(status.duration_s)) if status.duration_s else ""
        told = gettext("job {0} after {1}", phase, lasted) if lasted else gettext("job {0}", phase)
        told = gettext("{0}, restart {1}", told, status.restarts) if status.restarts else told
        self.note(gettext("{0}: {1}", told, localized(status.reason)) if status.reason else told)
        return True

    def wanted(self, status: Status) -> Sequence[int]:
        return range(max(1, status.nodes)) if self.nodes is None else self.nodes

    def read_logs(self, status: Status) -> None:
        """All lines that are new; the service's errors are the caller's."""
        for node in self.wanted(status):
            self.retry.call(lambda node=node: self.read_node(status, node))  # type: ignore[misc]

    def follow_logs(self, status: Status) -> bool:
        """All lines that are new, as far as the logs can be read now."""
        return True in [self.try_node(status, node) for node in self.wanted(status)]

    def try_node(self, status: Status, node: int) -> bool:
        try:
            found = self.read_node(status, node)
        except (ServiceError, NoAnswer) as err:
            self.failed(node, err)
            return False
        if self.failures.pop(node, 0) >= FAILURES:
            self.note(f"the log of node {node} can be read again")
        return found

    def failed(self, node: int, err: ServiceError | NoAnswer) -> None:
        """Say once that a log can't be read, and not that there is none yet."""
        if isinstance(err, LogNotThere) and not err.is_final:
            return
        self.failures[node] = self.failures.get(node, 0) + 1
        if self.failures[node] == (1 if isinstance(err, Refused) else FAILURES):
            self.note(f"the log of node {node} can't be read; the job continues without it: {err}")

    def close_logs(self, status: Status) -> None:
        """The job has ended: its last lines, once more where they could not be read."""
        started, pause = self.clock(), SHORTEST_S
        late = [node for node in self.wanted(status) if self.failures.get(node)]
        while late and self.clock() - started < CLOSING_S:
            self.sleep(pause)
            pause = min(2 * pause, self.provider.longest_poll_s)
            self.follow_logs(status)
            late = [node for node in late if self.failures.get(node)]
        for node in late:
            self.note(f"lines of node {node}'s log may be missing; try: cloud/submit.py logs {self.handle}")

    def read_node(self, status: Status, node: int) -> bool:
        """All lines of one node that are new."""
        found = False
        while True:
            position = self.positions.get(status, node)
            page = self.provider.logs(self.handle, node, position.place, status.phase.is_final)
            if page.note:
                self.note(f"node {node}: {page.note}")
                position = Position()
            found = len(page.lines) > position.shown or found
            self.show(page, status, node, position)
            if not page.has_more:
                return found

    def show(self, page: LogPage, status: Status, node: int, position: Position) -> None:
        """The page's lines; those that Ctrl-C cuts off come with the next look."""
        done = position.shown
        try:
            for line in page.lines[done:]:
                self.out(f"node {node}: {line}" if self.names_nodes and status.nodes > 1 else line)
                done += 1
        finally:
            is_whole = done == len(page.lines)
            self.positions.set(
                status, node, Position(page.place) if is_whole else Position(position.place, done)
            )
