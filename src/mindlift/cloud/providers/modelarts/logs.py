"""The log of a node: pages of lines behind a mark, or the last 5 MB of it.

Documented of the pages (SDK 3.1.219, ShowTrainingJobLogsFromAom): asc is from old to new, 1 to 500 lines, and
without `base_line` the newest. Not documented: the form of the marks, whether the line of the mark comes again,
and what is before the first line; here "0". So marks are sent back as they came, and the first lines are compared
with the preview, which holds the whole log up to 5 MB. Where they differ the preview is read, and at the end of
the job it brings what the marks did not lead to.
"""

from __future__ import annotations

from mindlift.cloud.errors import NoSuchJob, Refused
from mindlift.cloud.follow import log_text
from mindlift.cloud.follow.log_text import Place, advance, behind, whole_lines
from mindlift.cloud.providers.base import LogPage
from mindlift.cloud.providers.modelarts.answers import LOG_PAGE, LOG_PREVIEW, Call, Log
from mindlift.cloud.providers.modelarts.session import Session

LINES = 500  # of one answer, the most that the service gives
START = "0"
LAST_PART = "the service shows only the end of this log, {} of {} bytes; log_url holds all of it"


def read(session: Session, job_id: str, node: int, place: Place, has_ended: bool) -> LogPage:
    """See base.Provider.logs."""
    if not place.get("by_preview"):
        page = by_lines(session, job_id, node, place, has_ended)
        if page:
            return page
    return by_preview(session, job_id, node, place, has_ended)


def by_lines(session: Session, job_id: str, node: int, place: Place, has_ended: bool) -> LogPage | None:
    """The lines behind the mark; None where the service does not give its log, or not this log, by lines."""
    mark = place.get("mark", START)
    try:
        answer = page(session, job_id, node, base_line=mark, lines=LINES, order="asc")
    except NoSuchJob:
        raise
    except Refused:
        if log_text.count(place):
            raise
        return None
    lines = whole_lines(answer.get("content") or "", True)
    start, end = str(answer.get("start_line") or ""), str(answer.get("end_line") or "")
    has_more = len(lines) >= LINES
    if lines and start and start == mark:  # the line of the mark comes again
        lines = lines[1:]
    is_first = not log_text.count(place)
    if not lines:
        has_rest = has_ended and place.get("is_checked")  # in the preview, if the marks did not lead to it
        return None if is_first or has_rest else LogPage((), place)
    agrees = same_beginning(session, job_id, node, lines) if is_first else place.get("is_checked")
    if not end or start == place.get("start") or agrees is False:
        return None  # the marks do not lead on, or not from the beginning
    found: Place = {**behind(place, lines), "mark": end, "start": start, "is_checked": agrees}
    return LogPage(lines, found, has_more=has_more)


def same_beginning(session: Session, job_id: str, node: int, lines: list[str]) -> bool | None:
    """Whether the preview begins with `lines`; None where it does not tell."""
    try:
        answer = preview(session, job_id, node)
    except Refused:
        return None
    shown = whole_lines(answer.get("content") or "", True)[: len(lines)]
    return None if is_cut(answer) or not shown else shown == lines[: len(shown)]


def by_preview(session: Session, job_id: str, node: int, place: Place, has_ended: bool) -> LogPage:
    answer = preview(session, job_id, node)
    lines = whole_lines(answer.get("content") or "", has_ended)
    fresh, found, note = advance(place, lines)
    if is_cut(answer) and (note or not log_text.count(place)):
        note = LAST_PART.format(answer.get("current_size"), answer.get("full_size"))
    return LogPage(fresh, {**found, "by_preview": True}, note)


def is_cut(answer: Log) -> bool:
    return int(answer.get("full_size") or 0) > int(answer.get("current_size") or 0)


def page(session: Session, job_id: str, node: int, **values: object) -> Log:
    return call(session, job_id, node, LOG_PAGE, **values)


def preview(session: Session, job_id: str, node: int) -> Log:
    return call(session, job_id, node, LOG_PREVIEW)


def call(session: Session, job_id: str, node: int, log: Call[Log], **values: object) -> Log:
    what = f"log of node {node} of job {job_id}"
    return session.call(what, log, (), training_job_id=job_id, task_id=f"worker-{node}", **values)
