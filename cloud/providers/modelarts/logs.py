"""Lines of a node's log, counted from 0, out of what the service has: pages of lines, or the last 5 MB.

Not documented, so not relied on: whether the service's line numbers count from 0 or 1 or are marks without a
sequence, and whether the line `base_line` itself comes again. Relied on: in ascending order the answer goes
on from `base_line`, `end_line` names its last line, and "0" is before the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloud.errors import Refused
from cloud.providers.base import LogPage
from cloud.providers.modelarts.failures import NO_SUCH_JOB, NOT_READY
from cloud.providers.modelarts.session import Session

LINES = 500  # of one answer, the most that the service gives
START = "0"


@dataclass
class LogReader:
    """The log of one node. It remembers how far it is; a new one reads over the lines before `after`.

    `has_ended` tells whether a last line without an end is a whole one.
    """

    session: Session
    job_id: str
    node: int
    has_ended: Callable[[], bool]
    count: int = field(default=0, init=False)
    mark: str = field(default=START, init=False)
    has_lines: bool = field(default=False, init=False)  # by lines is how this log comes
    first: int | None = field(default=None, init=False)  # the service's number of the first line
    seen_bytes: int = field(default=0, init=False)  # of the preview

    def read(self, after: int) -> LogPage:
        """Lines from number `after` on; a page that ends before it says that the log has become shorter."""
        if after != self.count:
            self.count, self.mark = 0, START
        while True:
            start, lines = self.count, self.next_lines()
            if not lines and not self.has_lines:
                return self.preview(after)
            if not lines:
                return LogPage(min(after, self.count))
            if self.count > after:
                return LogPage(after, lines[after - start :])
            self.skip_to(after)

    def skip_to(self, after: int) -> None:
        """Go on at the last line that is known, where line numbers are a sequence."""
        if self.first is not None and self.count < after - 1:
            self.count = after - 1
            self.mark = str(self.first + self.count - 1)

    def next_lines(self) -> list[str]:
        """The lines behind `mark`; none yet: an empty list."""
        try:
            answer = self.call(
                "show_training_job_logs_from_aom", "ShowTrainingJobLogsFromAomRequest",
                base_line=self.mark, lines=LINES, order="asc",
            )  # fmt: skip
        except Refused as err:
            if err.code == NO_SUCH_JOB or self.has_lines:
                raise
            return []
        lines = as_lines(answer.get("content") or "")
        first, last = str(answer.get("start_line") or ""), str(answer.get("end_line") or "")
        if not self.count and lines:
            self.first = number_of_first(first, last, len(lines))
        if lines and self.count and first == self.mark:  # the one that we had
            lines = lines[1:]
        if lines:
            self.has_lines, self.mark = True, last or str(self.count + len(lines))
            self.count += len(lines)
        return lines

    def preview(self, after: int) -> LogPage:
        """From the last 5 MB. Of a longer log the lines before are not counted, only those that were read."""
        try:
            answer = self.call("show_training_job_logs_preview", "ShowTrainingJobLogsPreviewRequest")
        except Refused as err:
            if err.code == NOT_READY:
                return LogPage(after)
            raise
        data = (answer.get("content") or "").encode()
        whole = data if data.endswith(b"\n") or self.has_ended() else data[: data.rfind(b"\n") + 1]
        full = max(int(answer.get("full_size") or 0), len(data)) - (len(data) - len(whole))
        if full == len(whole):
            lines = as_lines(whole.decode(errors="replace"))
            page = LogPage(after, lines[after:]) if len(lines) >= after else LogPage(len(lines))
        else:
            new = min(len(whole), full - self.seen_bytes) if self.seen_bytes else len(whole)
            page = LogPage(after, as_lines(whole[len(whole) - new :].decode(errors="replace")))
        self.seen_bytes = full
        return page

    def call(self, method: str, request: str, **values: Any) -> dict[str, Any]:
        what = f"log of node {self.node} of job {self.job_id}"
        return self.session.call(
            what, method, request, training_job_id=self.job_id, task_id=f"worker-{self.node}", **values
        )


def number_of_first(first: str, last: str, count: int) -> int | None:
    """None if the numbers of `count` lines are no sequence."""
    if first.isdigit() and last.isdigit() and int(last) - int(first) + 1 == count:
        return int(first)
    return None


def as_lines(text: str) -> list[str]:
    """Lines by their ends alone: progress bars and form feeds stay within theirs."""
    lines = text.split("\n")
    return [line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])]
