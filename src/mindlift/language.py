"""The language of what people read: English, or Chinese by the catalogue in locale/. Standard library only.

MINDLIFT_LANG says which (zh or en), else the locale as gettext looks for it. The source is written in English throughout,
and messages are localized where they leave a program: `localized` knows them by the templates of the source, so that
who raises an error or writes a log knows no languages. What programs read (JSON, metrics, records of runs, log files) is
never given to it.
"""

from __future__ import annotations

import functools
import os
import re
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

VARIABLE = "MINDLIFT_LANG"
LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
ENGLISH, CHINESE = "en", "zh"
CATALOGUE = Path(__file__).parent / "locale/zh_CN/LC_MESSAGES/mindlift.mo"
PLACE = re.compile(r"\{(\d+)\}")
WORD = re.compile(r"[A-Za-z]{2,}")
LEAST_WORDS = 3  # of a template that is looked for inside other texts
DEPTH = 4  # of messages within messages
BREAKS = re.compile(r"[;:,.] |[;:]$")  # where a text may be put together from parts
MAGIC = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}


def N_(text: str) -> str:
    """Marks a text that is localized elsewhere."""
    return text


# Frames that have too few words to be recognised as texts by themselves.
FRAMES = (
    N_("error: {0}"),
    N_("warning: {0}"),
    N_("error: {0}; {1}"),
    N_("error: interrupted"),
    N_("error: interrupted by {0}"),
    N_("{0}, {1} s so far"),
    N_("{0} left"),
    N_("{0}: {1} is {2}"),
    N_("checkpoint {0}"),
    N_("run {0}: {1}"),
    N_("{0} and {1} more"),
    N_("rank {0}: {1}"),
    # argparse's errors, in the words of Python 3.7 to 3.13
    N_("the following arguments are required: {0}"),
    N_("unrecognized arguments: {0}"),
    N_("argument {0}: invalid choice: {1} (choose from {2})"),
    N_("argument {0}: expected one argument"),
    N_("argument {0}: expected at least one argument"),
    N_("argument {0}: invalid {1} value: {2}"),
    N_("argument {0}: not allowed with argument {1}"),
    N_("argument {0}: ignored explicit argument {1}"),
    N_("one of the arguments {0} is required"),
    N_("argument {0}: {1}"),
)


def gettext(text: str, *values: object) -> str:
    """`text` in the language, its {0}, {1} ... filled with `values`; for short texts, which are known as such."""
    found = catalogue()
    if found is not None:
        text = found.texts.get(text, text)
    return filled(text, [str(value) for value in values]) if values else text


def localized(text: str) -> str:
    """A whole message in the language, as far as it is one of the source's; else as it is."""
    found = catalogue()
    return text if found is None else found.localized(text)


def language(environment: Mapping[str, str] = os.environ) -> str:
    """ENGLISH or CHINESE."""
    asked = environment.get(VARIABLE, "")
    if asked:
        return CHINESE if is_chinese(asked) or asked.lower().startswith("zh") else ENGLISH
    locale = next((environment[name] for name in LOCALES if environment.get(name)), "C")
    if locale.partition(".")[0] in ("C", "POSIX"):
        return ENGLISH
    wanted = [*environment.get("LANGUAGE", "").split(":"), locale]
    return next((CHINESE if is_chinese(each) else ENGLISH for each in wanted if each), ENGLISH)


def is_chinese(locale: str) -> bool:
    """Whether a locale writes simplified letters."""
    name = re.split(r"[.@]", locale)[0].replace("-", "_").lower()
    return name in ("zh", "zh_cn", "zh_sg", "zh_my") or name.startswith("zh_hans")


@functools.lru_cache(maxsize=None)
def catalogue() -> Catalogue | None:
    """None for English, and where the terminal has no letters for Chinese."""
    if language() == ENGLISH or not CATALOGUE.is_file():
        return None
    try:
        "中".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return None
    return Catalogue(read(CATALOGUE.read_bytes()))


def read(data: bytes) -> dict[str, str]:
    """The texts of a .mo file (GNU gettext's manual, The Format of GNU MO Files)."""
    order = MAGIC[data[:4]]
    count, sources, targets = struct.unpack_from(f"{order}3I", data, 8)

    def text(table: int, at: int) -> str:
        length, start = struct.unpack_from(f"{order}2I", data, table + 8 * at)
        return data[start : start + length].decode("utf-8")

    found = {text(sources, at): text(targets, at) for at in range(count)}
    found.pop("", None)
    return found


class Template:
    """A msgid with places: the texts between them."""

    def __init__(self, msgid: str, target: str):
        self.target = target
        self.parts = PLACE.split(msgid)[::2]
        self.longest = max(self.parts, key=len)
        self.weight = sum(map(len, self.parts))
        self.words = len(WORD.findall(" ".join(self.parts)))
        order = [int(number) for number in PLACE.findall(target)]
        self.keeps_order = order == sorted(order)

    def values(self, text: str) -> list[str] | None:
        """What fills the places of `text`; None if it is another text, or if that can be told in several ways.

        Where the translation keeps the order of the places, it does not matter which way is the right one.
        """
        if self.longest not in text:
            return None
        first = between(self.parts, text)
        if first is None or self.keeps_order:
            return first
        mirrored = between([part[::-1] for part in reversed(self.parts)], text[::-1])
        return first if mirrored and [value[::-1] for value in reversed(mirrored)] == first else None


def between(parts: list[str], text: str) -> list[str] | None:
    """The pieces of `text` between `parts`, each part as far to the left as it can be."""
    if not text.startswith(parts[0]) or not text.endswith(parts[-1]):
        return None
    at, end = len(parts[0]), len(text) - len(parts[-1])
    found = []
    for part in parts[1:-1]:
        start = text.find(part, at, end) if part else at
        if start < 0:
            return None
        found.append(text[at:start])
        at = start + len(part)
    return [*found, text[at:end]] if at <= end else None


class Catalogue:
    """Translations by msgid, and the templates among them, those with the most text first."""

    def __init__(self, texts: dict[str, str]):
        self.texts = texts
        found = [Template(msgid, target) for msgid, target in texts.items() if PLACE.search(msgid)]
        self.templates = sorted((each for each in found if each.words >= LEAST_WORDS), key=heavier)
        self.frames = [
            Template(msgid, texts[msgid]) for msgid in FRAMES if PLACE.search(msgid) and msgid in texts
        ]

    def localized(self, text: str) -> str:
        """Line by line, with the spaces around each line as they are."""
        if "\n" in text:
            return "\n".join(map(self.localized, text.split("\n")))
        core = text.strip()
        if not core or core[0] in "{[":  # JSON, which is for programs
            return text
        start = text.index(core)
        return text[:start] + (self.whole(core, DEPTH) or core) + text[start + len(core) :]

    def whole(self, text: str, depth: int) -> str:
        """'' for a text that is not in the catalogue."""
        known = self.texts.get(text)
        if known or not depth or " " not in text:
            return known or ""
        return (
            self.by_template(self.templates, text, depth)
            or self.by_template(self.frames, text, depth)
            or self.by_parts(text, depth)
        )

    def by_template(self, templates: Iterable[Template], text: str, depth: int) -> str:
        for template in templates:
            values = template.values(text)
            if values is not None:
                return filled(template.target, [self.value(value, depth - 1) for value in values])
        return ""

    def by_parts(self, text: str, depth: int) -> str:
        """Of a text that was put together: the part behind a break that is known, after all that is before it."""
        for found in BREAKS.finditer(text):
            for start in (found.start(), found.end()):  # parts begin with the break, or behind it
                tail = text[start:]
                known = self.whole_part(tail, depth - 1)
                if known:
                    return self.value(text[:start], depth - 1) + known
        return ""

    def whole_part(self, text: str, depth: int) -> str:
        known = self.texts.get(text) if " " in text.strip() else None
        return known or self.by_template(self.templates, text, depth)

    def value(self, text: str, depth: int) -> str:
        """What fills a place may be a message again; a single word is a name."""
        core = text.strip()
        if depth < 1 or " " not in core:
            return text
        start = text.index(core)
        return text[:start] + (self.whole(core, depth) or core) + text[start + len(core) :]


def heavier(template: Template) -> tuple[bool, int, int, str]:
    """What begins with a word first: with a place it may begin in the middle of a text around it."""
    return not WORD.search(template.parts[0]), -template.weight, len(template.parts), template.target


def filled(text: str, values: list[str]) -> str:
    return PLACE.sub(lambda found: values[int(found[1])], text)
