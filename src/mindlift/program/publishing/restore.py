"""Brings an output's folder to where the bucket is, before a program goes on with what it finds there.

What is missing here is fetched, and what the bucket has newer. What is newer here stays, and is published.
On a node other than the first the folder is that of the first node, overlaid by what the node itself published.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from mindlift.model_utils.staging import lease
from mindlift.program.publishing.completeness import Content
from mindlift.program.publishing.folder import Stamp, scan
from mindlift.program.publishing.state import State
from mindlift.storage.copying.copy import THREADS, Report, check_space, finish
from mindlift.storage.copying.engine import copy_all
from mindlift.storage.copying.job import Job
from mindlift.storage.copying.local_files import md5_of, open_regular, sweep
from mindlift.storage.copying.plan import Known, unfit
from mindlift.storage.copying.progress import Progress, as_bytes
from mindlift.storage.copying.spool import Spool
from mindlift.storage.places import locate
from mindlift.storage.s3.answers import is_md5
from mindlift.storage.store import Entry, LocalStore
from mindlift.storage.url import as_folder, join

Say = Callable[[str], None]


@dataclass
class Restored:
    """What the bucket has of the files that are here now, and files that an earlier run may have left half-written."""

    published: dict[str, Known] = field(default_factory=dict)
    unfinished: dict[str, Content] = field(default_factory=dict)
    files: int = 0
    size: int = 0


@dataclass(frozen=True)
class Nodes:
    """Which machine of how many this is: the first publishes to the URL itself, others to folders in it."""

    node: int = 0
    count: int = 1

    def url(self, url: str) -> str:
        return join(url, f"node-{self.node}/") if self.node else url

    def urls(self, url: str) -> list[str]:
        """Where a node's folder comes from; later ones win."""
        return [url] if not self.node else [url, self.url(url)]

    def is_others(self, name: str) -> bool:
        """Whether a file below the URL belongs to another node."""
        return name.partition("/")[0] in {f"node-{number}" for number in range(1, self.count)}


def restore(root: Path, url: str, nodes: Nodes, state: State, say: Say) -> Restored:
    started = time.monotonic()
    root.mkdir(parents=True, exist_ok=True)
    local = scan(root)
    known = state.published() if local else {}
    done = Restored(unfinished=leftovers(local, known, state) if local else {})
    for source, entries in stored(url, nodes).items():
        wanted = []
        for name, entry in entries.items():
            here = local.get(name)
            if here is None or choose(root / name, here, entry, known.get(name)) == "fetch":
                wanted.append(entry)
            elif choose(root / name, here, entry, known.get(name)) == "same":
                done.published[name] = Known(Entry(name, here.size, modified_ns=here.modified_ns), entry)
            else:
                done.published.pop(name, None)
        fetched = fetch(source, root, wanted, say)
        done.published.update(fetched)
        for name in fetched:
            done.unfinished.pop(name, None)
        done.files += len(fetched)
        done.size += sum(each.source.size for each in fetched.values())
    if done.files:
        seconds = time.monotonic() - started
        say(f"restored {done.files} files, {as_bytes(done.size)}, from {url} to {root}: {seconds:.1f} s")
    return done


def stored(url: str, nodes: Nodes) -> dict[str, dict[str, Entry]]:
    """What the bucket has, by the URL that a file comes from and by name."""
    found: dict[str, dict[str, Entry]] = {}
    for source in nodes.urls(url):
        mine = {entry.key: entry for entry in entries_below(source) if not nodes.is_others(entry.key)}
        for earlier in found.values():
            for name in mine:
                earlier.pop(name, None)
        found[source] = mine
    return found


def entries_below(url: str) -> Iterator[Entry]:
    store, key = locate(url)
    folder = as_folder(key)
    for entry in store.walk(folder):
        name = entry.key[len(folder) :]
        if not entry.is_folder and name != lease.NAME and not unfit(entry._replace(key=name)):
            yield entry._replace(key=name)


def choose(path: Path, here: Stamp, there: Entry, known: Known | None) -> str:
    """Of a file that is on both sides: "same", "fetch" or "publish"."""
    is_same_here = known is not None and (known.source.size, known.source.modified_ns) == here.content
    is_same_there = known is not None and is_unchanged(known.target, there)
    if is_same_there:
        return "same" if is_same_here else "publish"
    if is_same_here:
        return "fetch"
    if here.size == there.size and (here.modified_ns == there.modified_ns or has_md5(path, there.etag)):
        return "same"
    return "fetch" if there.modified_ns > here.modified_ns else "publish"


def is_unchanged(then: Entry, now: Entry) -> bool:
    if then.size != now.size:
        return False
    if then.etag and now.etag:
        return then.etag == now.etag
    return then.modified_ns in (0, now.modified_ns)


def has_md5(path: Path, etag: str) -> bool:
    if not is_md5(etag):
        return False
    with open_regular(path) as descriptor:
        return md5_of(descriptor) == etag


def leftovers(local: Mapping[str, Stamp], known: Mapping[str, Known], state: State) -> dict[str, Content]:
    """Files that an earlier run here may have been writing when it was killed. A folder that none has used has none."""
    if not state.is_there:
        return {}
    complete = state.complete()
    return {
        name: stamp.content
        for name, stamp in local.items()
        if not stamp.is_renamed
        and complete.get(name) != stamp.content
        and (name not in known or (known[name].source.size, known[name].source.modified_ns) != stamp.content)
    }


def fetch(url: str, root: Path, entries: list[Entry], say: Say) -> dict[str, Known]:
    """Download files of a folder, checked, each appearing as a whole; TransferError if one is missing at the end."""
    if not entries:
        return {}
    store, key = locate(url)
    job = Job(store, as_folder(key), LocalStore("/"), f"{str(root).strip('/')}/")
    copies: Spool[Entry] = Spool()
    for entry in entries:
        copies.append(entry)
    size = sum(entry.size for entry in entries)
    check_space(job, size)
    sweep(job, [entry.key for entry in entries])
    report = Report(url, str(root), len(entries), size)
    with Progress(f"restore {url}", say) as progress:
        progress.expect(len(entries), size)
        outcomes = list(copy_all(job, copies, THREADS, 0, progress))
        finish(report, iter(outcomes))
    brought = (each for each in outcomes if isinstance(each, Known))
    return {each.source.key: Known(each.target, each.source) for each in brought}
