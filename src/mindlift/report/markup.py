"""HTML from plain values. Everything is escaped but what is Html already. Pure."""

from __future__ import annotations

import html
import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence

LONG = 48  # letters from which a cell's text may be broken
MARKUP = re.compile(r"<[^>]*>")
EMPTY = ("img", "input", "meta")  # elements without an end


class Html(str):
    """Text that is HTML."""


def text(value: object) -> Html:
    return value if isinstance(value, Html) else Html(html.escape(plain(value), quote=True))


def plain(value: object) -> str:
    """A value as a reader wants to see it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return str(value)


def joined(parts: Iterable[object]) -> Html:
    return Html("".join(map(text, parts)))


def tag(element: str, *children: object, **attributes: object) -> Html:
    """An element; `cls` is its class, attributes that are None are left out."""
    given = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if element in EMPTY else f"{joined(children)}</{element}>"
    return Html(f"<{element}{given}>{end}")


def filled(share: float, cls: str = "") -> Html:
    """The part of a bar that is filled, `share` of it, to whole percents: the page's policy allows no style of its own."""
    return tag("i", cls=f"w{round(100 * min(1.0, max(0.0, share)))} {cls}".strip())


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], cls: str | None = None) -> Html:
    """In a box that scrolls sideways where it must; on a narrow screen each row is a block, and each cell has its head."""
    head = tag("thead", tag("tr", *(tag("th", each) for each in heads))) if heads else ""
    names = list(map(words, heads))
    body = tag("tbody", *(row_of(row, names) for row in rows))
    return tag("div", tag("table", head, body, cls=cls), cls="scroll")


def row_of(row: Sequence[object], heads: Sequence[str]) -> Html:
    return tag(
        "tr",
        *(cell(value, head) for value, head in itertools.zip_longest(row, heads[: len(row)], fillvalue="")),
    )


def cell(value: object, head: str = "") -> Html:
    if isinstance(value, int) and not isinstance(value, bool):
        return tag("td", f"{value:,}", cls="n", data_head=head or None)
    is_long = len(text(value)) > LONG and not isinstance(value, Html)
    cls = "long" if is_long else None if text(value) else "none"
    return tag("td", value, cls=cls, data_head=head or None)


def words(value: object) -> str:
    """The text of what may be HTML."""
    return html.unescape(MARKUP.sub("", text(value)))


def section(title: str, *children: object, note: str = "", **attributes: object) -> Html:
    """'' if there is nothing in it."""
    content = [child for child in children if child]
    if not content:
        return Html("")
    about = tag("p", note, cls="note") if note else ""
    return tag("section", tag("h2", title), about, *content, **attributes)


def as_json(value: object) -> Html:
    """For a <script> element: no text in it can end the element."""
    found = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        found = found.replace(letter, f"\\u{ord(letter):04x}")
    return Html(found)
