"""The log of a node: on 启智 pages of lines behind a mark, on C2Net all of it with each answer.

启智 passes on the log of ModelArts v1, whose marks are numbers such as 1551252759254000002 and no line numbers;
its web client sends the last `end_line` back to go `down`. C2Net answers with the log, a newline, and what its
centre says of the end of the job, '' before that; with the newline alone where it could not fetch the log.
(OpenI's server: GetLog of its two cluster adapters, transferCloudbrain2LogOrder.)
"""

from __future__ import annotations

from mindlift.cloud.follow import log_text
from mindlift.cloud.follow.log_text import Place, advance, behind, whole_lines
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import LogPage
from mindlift.cloud.providers.openi.answers import LOG, NODES, Log
from mindlift.cloud.providers.openi.rest import Rest

LINES = 500  # of one answer, the most that ModelArts gives


def read(rest: Rest, handle: Handle, node: int, place: Place, has_ended: bool) -> LogPage:
    """See base.Provider.logs."""
    nodes = rest.get(f"nodes of job {handle.id}", NODES, id=handle.id).get("nodes") or []
    if node >= len(nodes):
        return LogPage((), place)
    mark = place.get("mark", "")
    answer = rest.get(
        f"log of job {handle.id}",
        LOG,
        id=handle.id,
        node_id=nodes[node].get("id", node),
        file_name=nodes[node].get("log_file_name", ""),
        base_line=mark,
        lines=LINES,
        order="down",
    )
    start, end = str(answer.get("start_line") or ""), str(answer.get("end_line") or "")
    if start or end or mark:
        return after_mark(answer, place, start, end)
    return of_whole(str(answer.get("content") or ""), place, has_ended)


def after_mark(answer: Log, place: Place, start: str, end: str) -> LogPage:
    lines = whole_lines(str(answer.get("content") or ""), True)
    has_more = len(lines) >= LINES
    if lines and start == place.get("mark"):  # the line of the mark comes again
        lines = lines[1:]
    if not lines or not end:
        return LogPage((), place)
    return LogPage(lines, {**behind(place, lines), "mark": end}, has_more=has_more)


def of_whole(text: str, place: Place, has_ended: bool) -> LogPage:
    """What is new in content + newline + reason of the end."""
    if not has_ended:
        if not text.endswith(
            "\n"
        ):  # the reason has come before the state: its place is known when the job has ended
            return LogPage((), place)
        text = text[:-1]
    lines = whole_lines(text, has_ended)
    while has_ended and lines and not lines[-1]:
        lines.pop()
    fresh, found, note = advance(place, lines)
    if note and text.startswith("\n"):  # the log itself could not be fetched
        return LogPage((), place)
    return LogPage(fresh, found, note if log_text.count(place) else "")
