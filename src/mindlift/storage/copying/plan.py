"""What a copy of a folder has to do: listings and a list of earlier copies in, all in the order of their keys, a plan out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Callable, Generic, NamedTuple, TypeVar

from mindlift import limits
from mindlift.errors import TransferError
from mindlift.storage.copying.spool import Spool
from mindlift.storage.errors import MoxFileNameDuplicateException
from mindlift.storage.store import Entry

PART = re.compile(
    r"\.(.+)\.mindlift-([0-9a-f]+)(-[0-9a-f]+)?\.part"
)  # a file that is being written; on which machine
LEADS_OUT = re.compile(r"^/|//|(?:^|/)\.\.?(?:/|$)")  # a part of a key that is empty, or ".", or ".."
T = TypeVar("T")


class Known(NamedTuple):
    """A file that an earlier copy has brought over: what its source and its target were then."""

    source: Entry
    target: Entry


class Unsorted(Exception):
    """A listing that is not in the order of its keys, as S3's and a disk's are."""


class Plan:
    """Keys are relative to both folders."""

    def __init__(self) -> None:
        self.copies: Spool[Entry] = Spool()
        self.folders: list[str] = []  # of the source, with nothing in them
        self.deletes: list[str] = []  # what is in a folder comes before the folder
        self.forgotten: set[str] = set()  # what an earlier copy has brought over, and is not so any more
        self.unchanged = self.size = self.wanted = 0


def plan_copy(
    source: Iterable[Entry],
    target: Iterable[Entry],
    known: Iterable[Known],
    delete: bool = False,
    to_local: bool = True,
) -> Plan:
    """Copy every file of `source` but those that are `known` and that neither side has changed since.

    All three in the order of their keys, or else Unsorted; they are read once, side by side, so that memory is taken by
    what has to be done and not by what is there. A file is unchanged if its source has the same size, ETag and time as
    then, and its target the same size and ETag (time, where there are no ETags). Nothing is ever decided by which of two
    is newer. `delete`: remove what `target` has and `source` has not. Raises TransferError for names that can't become
    local files, MoxFileNameDuplicateException for a file and a folder of one name.
    """
    plan, clashes = Plan(), Clashes()
    there, before = Side(target, lambda entry: entry.key), Side(known, lambda known: known.source.key)
    folder = ""  # a marker of the source, as long as nothing was in it
    for entry in in_order(source):
        if is_part(entry.key):
            continue
        if to_local:
            refuse_unfit(entry)
            clashes.add(entry.key)
        plan.wanted += 1
        if folder and not entry.key.startswith(folder):
            plan.folders.append(folder)
        is_marker = entry.is_folder and not entry.size
        folder = entry.key if is_marker else ""
        plan.forgotten.update(each.source.key for each in before.until(entry.key))
        extra = there.until(entry.key)
        if delete:
            plan.deletes += (each.key for each in extra if not is_above(each, entry.key))
        then, now = before.take(entry.key), there.take(entry.key)
        if is_marker:
            continue
        if then and then.source == entry and is_same(then.target, now):
            plan.unchanged += 1
            continue
        if then:
            plan.forgotten.add(entry.key)
        plan.copies.append(entry)
        plan.size += entry.size
    plan.folders += [folder] if folder else []
    plan.forgotten.update(each.source.key for each in before.rest())
    plan.deletes += (each.key for each in there.rest() if delete)
    plan.deletes.reverse()
    return plan


class Side(Generic[T]):
    """A sorted stream that is read as far as another one has come."""

    def __init__(self, items: Iterable[T], key: Callable[[T], str]):
        self.items, self.key = iter(items), key
        self.next: T | None = None
        self.at = ""
        self.advance()

    def advance(self) -> None:
        self.next = next(self.items, None)
        if self.next is not None:
            key = self.key(self.next)
            if key < self.at:
                raise Unsorted(f"{key!r} after {self.at!r}")
            self.at = key

    def until(self, key: str) -> list[T]:
        """What is before `key`."""
        found = []
        while self.next is not None and self.at < key:
            found.append(self.next)
            self.advance()
        return found

    def take(self, key: str) -> T | None:
        """What has the key, after `until`."""
        found = self.next if self.at == key else None
        if found is not None:
            self.advance()
        return found

    def rest(self) -> Iterator[T]:
        while self.next is not None:
            yield self.next
            self.advance()


class Clashes:
    """Files of the names of folders, among keys in order: a store may have both `a` and `a/b`; a disk can't."""

    def __init__(self) -> None:
        self.files: list[
            str
        ] = []  # each begins with the one before it; only these can be folders of what comes

    def add(self, key: str) -> None:
        while self.files and not key.startswith(self.files[-1]):
            self.files.pop()
        both = next((file for file in self.files if key.startswith(f"{file}/")), "") if self.files else ""
        if both:
            raise MoxFileNameDuplicateException(
                f"{both!r} is a file and, because of {key!r}, a folder as well; rename one of them in the store"
            )
        if not key.endswith("/"):
            self.files.append(key)


def in_order(entries: Iterable[Entry]) -> Iterator[Entry]:
    at = ""
    for entry in entries:
        if entry.key < at:
            raise Unsorted(f"{entry.key!r} after {at!r}")
        at = entry.key
        yield entry


def is_part(key: str) -> bool:
    """Whether it is the name of a file that is being written."""
    name = key.rstrip("/")
    return name.endswith(".part") and PART.fullmatch(name.rpartition("/")[2]) is not None


def is_same(then: Entry, now: Entry | None) -> bool:
    if now is None or then.size != now.size:
        return False
    return then.etag == now.etag if then.etag and now.etag else then.modified_ns == now.modified_ns


def is_above(entry: Entry, wanted: str) -> bool:
    """Whether it is a folder that `wanted`, the next key after its own, is in."""
    return entry.is_folder and wanted.startswith(entry.key)


def refuse_unfit(entry: Entry) -> None:
    problem = unfit(entry)
    if problem:
        shown = repr(entry.key) if entry.key else "the folder itself"
        raise TransferError(f"refused to copy {shown}: {problem}; nothing has been copied")


def unfit(entry: Entry) -> str:
    """Why a key can't become a file below a local folder; '' if it can."""
    if entry.is_folder and entry.size:
        return f"its name is a folder's, but it holds {entry.size} bytes"
    if "\0" in entry.key or "\\" in entry.key:
        return "NUL and backslash are not allowed in names"
    if LEADS_OUT.search(entry.key) or not entry.key.rstrip("/"):
        return "it would lead out of the target folder, or has an empty part"
    if len(entry.key) * 4 <= limits.NAME_BYTES:  # no letter has more bytes in UTF-8
        return ""
    parts = entry.key.split("/")
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    return (
        f"a part of it is {longest} bytes long, the most is {limits.NAME_BYTES}"
        if longest > limits.NAME_BYTES
        else ""
    )
