"""What a probe asks of ModelArts: all that the client asks, none of which changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Check, Provider, Question
from mindlift.cloud.providers.modelarts import logs
from mindlift.cloud.providers.modelarts.answers import Log
from mindlift.cloud.providers.modelarts.session import Session

EVENTS, JOBS = 20, 10
LOG_PAGES = [  # the questions about marks that no document answers
    ("log from 0, from old to new", {"base_line": "0", "lines": 5, "order": "asc"}),
    ("log without a mark, from old to new", {"lines": 5, "order": "asc"}),
    ("log without a mark, from new to old", {"lines": 5, "order": "desc"}),
]


class Client(Provider, Protocol):
    """What is asked of ModelArts beside the contract of all providers."""

    def check_name(self, job: Job) -> Check: ...

    def newest_event(self, handle: Handle) -> str: ...

    def at(self, handle: Handle) -> Session: ...


def questions(client: Client, job: Job, handle: Handle | None) -> Iterator[tuple[str, Question]]:
    yield "keys, clock, flavors, engines, quotas", lambda: list(client.selfcheck(job))
    yield "whether a name is free", lambda: client.check_name(job)
    yield "list of jobs", lambda: list(islice(client.list(()), JOBS))
    if handle is None:
        return
    yield "a job", lambda: client.show(handle)
    yield "its events", lambda: client.newest_event(handle)
    yield "preview of its log", lambda: logs.preview(client.at(handle), handle.id, 0)
    session = client.at(handle)
    seen: list[Log] = []

    def page(**values: object) -> Callable[[], object]:
        def ask() -> None:
            seen.append(logs.page(session, handle.id, 0, **values))

        return ask

    for name, values in LOG_PAGES:
        yield name, page(**values)
    mark = next((str(answer.get("end_line")) for answer in seen if answer.get("end_line")), "")
    if mark:
        for order in ("asc", "desc"):
            yield f"log behind a mark, {order}", page(base_line=mark, lines=5, order=order)
