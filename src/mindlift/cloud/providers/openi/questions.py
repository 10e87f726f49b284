"""What a probe asks of OpenI: all that the client asks, none of which changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Provider, Question
from mindlift.cloud.providers.openi.account import chosen_for, required
from mindlift.cloud.providers.openi.answers import LOG, OUTPUT
from mindlift.cloud.providers.openi.rest import Rest

JOBS = 10
LOG_PAGES = [("log from its first line", "down"), ("log from its last line", "up")]


class Client(Provider, Protocol):
    """What is asked of OpenI beside the contract of all providers."""

    rest: Rest

    def why(self, handle: Handle) -> str: ...


def questions(client: Client, job: Job, handle: Handle | None) -> Iterator[tuple[str, Question]]:
    yield "token, account, specs, branches", lambda: list(client.selfcheck(job))
    yield (
        "images, data sets and models of a job",
        lambda: chosen_for(client.rest, job, required(client.rest, job)),
    )
    yield "list of jobs", lambda: list(islice(client.list(()), JOBS))
    if handle is None:
        return
    yield "a job", lambda: client.show(handle)
    yield "its events", lambda: client.why(handle)
    for name, order in LOG_PAGES:
        yield (
            name,
            lambda order=order: client.rest.get(  # type: ignore[misc]
                f"log of job {handle.id}",
                LOG,
                id=handle.id,
                node_id=0,
                base_line="",
                lines=5,
                order=order,
            ),
        )
    yield "nodes and a page of its log", lambda: client.logs(handle, 0, {}, True)
    yield (
        "list of its results",
        lambda: client.rest.get(f"results of job {handle.id}", OUTPUT, id=handle.id, parent_dir=""),
    )
