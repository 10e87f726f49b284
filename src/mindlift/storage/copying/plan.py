"""What a copy of a folder has to do. Pure: listings and a manifest in, a plan out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mindlift import limits
from mindlift.errors import TransferError
from mindlift.storage.errors import MoxFileNameDuplicateException
from mindlift.storage.store import Entry

PART = re.compile(
    r"\.(.+)\.mindlift-([0-9a-f]+)(-[0-9a-f]+)?\.part"
)  # a file that is being written; on which machine


@dataclass(frozen=True)
class Known:
    """A file that an earlier copy has brought over: what its source and its target were then."""

    source: Entry
    target: Entry


@dataclass
class Plan:
    """Keys are relative to both folders."""

    copies: list[Entry] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    unchanged: list[Known] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.copies)


def plan_copy(
    source: Iterable[Entry],
    target: Mapping[str, Entry],
    manifest: Mapping[str, Known],
    delete: bool = False,
    to_local: bool = True,
) -> Plan:
    """Copy every file of `source` but those that `manifest` knows and that neither side has changed since.

    A file is unchanged if its source has the same size, ETag and time as then, and its target the same
    size and ETag (time, where there are no ETags). Nothing is ever decided by which of two is newer.
    `delete`: remove what `target` has and `source` has not. Raises TransferError for names that can't
    become local files, MoxFileNameDuplicateException for a file and a folder of one name.
    """
    plan, wanted = Plan(), set()
    for entry in source:
        name = entry.key.rstrip("/").rpartition("/")[2]
        if PART.fullmatch(name):
            continue
        problem = unfit(entry) if to_local else ""
        if problem:
            shown = repr(entry.key) if entry.key else "the folder itself"
            raise TransferError(f"refused to copy {shown}: {problem}; nothing has been copied")
        wanted.add(entry.key)
        known = manifest.get(entry.key)
        if entry.is_folder and not entry.size:
            plan.folders.append(entry.key)
        elif known and known.source == entry and is_same(known.target, target.get(entry.key)):
            plan.unchanged.append(known)
        else:
            plan.copies.append(entry)
    if to_local:
        check_clashes(wanted)
    if delete:
        plan.deletes = sorted(
            (key for key in target if key not in wanted and not is_above(key, wanted)), reverse=True
        )
    return plan


def is_same(then: Entry, now: Entry | None) -> bool:
    if now is None or then.size != now.size:
        return False
    return then.etag == now.etag if then.etag and now.etag else then.modified_ns == now.modified_ns


def is_above(key: str, wanted: set[str]) -> bool:
    """Whether `key` is a folder that something wanted is in."""
    return key.endswith("/") and any(other.startswith(key) for other in wanted)


def unfit(entry: Entry) -> str:
    """Why a key can't become a file below a local folder; '' if it can."""
    if entry.is_folder and entry.size:
        return f"its name is a folder's, but it holds {entry.size} bytes"
    parts = entry.key[:-1].split("/") if entry.key.endswith("/") else entry.key.split("/")
    if "\0" in entry.key or "\\" in entry.key:
        return "NUL and backslash are not allowed in names"
    if any(part in ("", ".", "..") for part in parts):
        return "it would lead out of the target folder, or has an empty part"
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    return (
        f"a part of it is {longest} bytes long, the most is {limits.NAME_BYTES}"
        if longest > limits.NAME_BYTES
        else ""
    )


def check_clashes(keys: set[str]) -> None:
    """A store may have both `a` and `a/b`; a disk can't."""
    folders: set[str] = set()
    for key in keys:
        parts = key.rstrip("/").split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts) + key.endswith("/")))
    both = sorted(folders & keys)
    if both:
        below = next(key for key in sorted(keys) if key.startswith(both[0] + "/"))
        raise MoxFileNameDuplicateException(
            f"{both[0]!r} is a file and, because of {below!r}, a folder as well; rename one of them in the store"
        )
