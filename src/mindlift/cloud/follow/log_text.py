"""How far a log was read, told by what it says: for services that send a whole log, or its end, again and again.

A place in a log is a JSON object, `{}` for its start. It holds the number of lines that were read, a digest of
all lines up to each of the last ones, and a digest of each of these; so it can be found again in a log that has
grown, that lost its beginning, or whose last lines (a reason for the end, say) moved down. A reader may keep more
in it, such as a mark of its service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypedDict

KEPT = 32  # lines whose digests a place holds
RESTARTED = "the log started again, or lines before these are no longer served"


class Place(TypedDict, total=False):
    """A place in a log, `{}` for its start."""

    lines: int  # read up to here
    upto: list[str]
    each: list[str]
    mark: str  # a service's own, with the one before it
    start: str
    is_checked: bool | None  # whether the marks were seen to begin where the log does
    by_preview: bool


def digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]


def count(place: Place) -> int:
    """Lines read up to `place`."""
    return int(place.get("lines", 0))


def behind(place: Place, lines: Sequence[str]) -> Place:
    """The place behind `lines`, which were read at `place`. What else `place` holds stays."""
    upto, each = list(place.get("upto", [digest()])), list(place.get("each", []))
    for line in lines:
        upto.append(digest(upto[-1], line))
    each += [digest(line) for line in lines[-KEPT:]]
    found: Place = {"lines": count(place) + len(lines), "upto": upto[-KEPT - 1 :], "each": each[-KEPT:]}
    return {**place, **found}


def advance(place: Place, lines: Sequence[str]) -> tuple[list[str], Place, str]:
    """(new lines, the place behind them, RESTARTED or '') of a whole log, or of its end, as it is now."""
    fresh, note = unread(place, lines)
    return fresh, {**place, **behind({}, lines)} if fresh else place, note


def unread(place: Place, lines: Sequence[str]) -> tuple[list[str], str]:
    """What of a whole log, or of its end, was not read up to `place`; RESTARTED beside it if the place is not in there."""
    if not count(place) or not lines:
        return list(lines), ""
    upto = [digest()]
    for line in lines:
        upto.append(digest(upto[-1], line))
    known, last = list(place["upto"]), list(place["each"])
    for back, mark in enumerate(reversed(known)):
        at = count(place) - back
        if 0 < at < len(upto) and upto[at] == mark:
            return drop_moved(list(lines[at:]), last[len(last) - back :]), ""
    each = [digest(line) for line in lines]
    for at in range(len(each) - len(last) + 1):
        if each[at : at + len(last)] == last:
            return list(lines[at + len(last) :]), ""
    return list(lines), RESTARTED


def drop_moved(fresh: list[str], moved: Sequence[str]) -> list[str]:
    """`fresh` without those of its last lines that were read before others came in front of them.

    `moved` are digests of the lines that were read in their place. A log that is shorter than before, for it is
    an older copy, has nothing new.
    """
    blank = digest("")
    texts = [(at, digest(line)) for at, line in enumerate(fresh) if line]
    wanted = [item for item in moved if item != blank]
    if not moved:
        return fresh
    if [item for _, item in texts] == wanted[: len(texts)]:
        return []
    if wanted and [item for _, item in texts[-len(wanted) :]] == wanted:
        fresh = fresh[: texts[-len(wanted)][0]]
        while fresh and not fresh[-1]:
            fresh.pop()
    return fresh


def whole_lines(text: str, has_ended: bool) -> list[str]:
    """Lines that end with a newline; the last one without it once nothing more is written to it.

    Progress bars' carriage returns and form feeds stay within their line.
    """
    lines = text.split("\n")
    last = lines.pop()
    if last and has_ended:
        lines.append(last)
    return [line.rstrip("\r") for line in lines]
