"""What running jobs publish of themselves: the newest lines of metrics.jsonl in the bucket."""

from __future__ import annotations

from dataclasses import dataclass, field

from mindlift.cloud.follow.progress import Progress, Record, progress_of, records
from mindlift.runs.remote import Lifetime, beginnings_below, begun_by
from mindlift.storage.places import locate
from mindlift.storage.url import join

HEAD, TAIL = (
    4 << 10,
    64 << 10,
)  # bytes: the first line says how many steps there are, the last ones how it goes
METRICS = "metrics.jsonl"


@dataclass
class Seen:
    """What was read of a run, and of which version of its file."""

    url: str
    mark: tuple[str, int] = ("", 0)
    head: list[Record] = field(default_factory=list)
    progress: Progress | None = None


class Metrics:
    """Reads a file again only when it has changed, and never all of it."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.own: dict[tuple[str, float], str] = {}  # the run of a job, by its place and start

    def read(self, train_url: str, job: Lifetime) -> Progress | None:
        """Of the job's run below `train_url`; None while it has none. TransferError as the store has it."""
        key = (train_url, job.started_at)
        run = self.own.get(key)
        if run is None:
            begun = beginnings_below(train_url)
            run = begun_by(job, begun)
            if run is None:
                return None
            if begun[run]:  # else it is a guess
                self.own[key] = run
        url = join(train_url, run, METRICS)
        seen = self.seen.setdefault(url, Seen(url))
        self.renew(seen)
        return seen.progress

    def renew(self, seen: Seen) -> None:
        store, key = locate(seen.url)
        entry = store.stat(key)
        if entry is None or (entry.etag, entry.size) == seen.mark:
            return
        start = max(0, entry.size - TAIL)
        if start and not seen.head:
            seen.head = records(store.read(key, 0, HEAD))
        lines = records(store.read(key, start), is_cut=bool(start))
        seen.progress = progress_of([*(seen.head[:1] if start else []), *lines])
        seen.mark = (entry.etag, entry.size)
