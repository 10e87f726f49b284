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
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


def N_(text: str) -> str:
    """Marks a text that is localized elsewhere."""
    return text


VARIABLE = "MINDLIFT_LANG"
LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")
ENGLISH, CHINESE = "en", "zh"
CATALOGUE = Path(__file__).parent / "locale/zh_CN/LC_MESSAGES/mindlift.mo"
PLACE = re.compile(r"\{(\d+)\}")
WORD = re.compile(r"[A-Za-z]{2,}")
LEAST_WORDS = 3  # of an end of a text that is known by itself
LEAST_LETTERS = 7  # of a template that is no frame
DEPTH = 4  # of messages within messages
CLAUSE = re.compile(r"[;:] ")  # a place is seldom filled with parts of two clauses
ADDED = re.compile(r"[;:,] | \(|$")  # where what is added to a text begins
GAP = re.compile(r"[;:,.]? ")  # where a text may be put together from parts
MARKS = {", ": "，", "; ": "；", ": ": "：", ". ": "。"}
DURATION = re.compile(r"\d[\d:.]*(?: (?:s|min|h|d))(?: \d+ (?:s|min|h))?")  # 40 s, 2 min 05 s, 3:09 min
UNITS = {"s": N_("seconds"), "min": N_("minutes"), "h": N_("hours"), "d": N_("days")}
SMALLER = {"min": "s", "h": "min"}  # behind the colon
HAN = re.compile("[\u4e00-\u9fff]")
SPACED_PLACE = re.compile(rf"((?<={HAN.pattern}) |)\{{(\d+)\}}( (?={HAN.pattern})|)")
MAGIC = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}


# What values are expected to be.
PHRASES = (N_("a whole number"), N_("a number"))
# Frames that have too few words to be recognised as texts by themselves.
FRAMES = (
    N_("error: {0}"),
    N_("warning: {0}"),
    N_("error: {0}; {1}"),
    N_("error: interrupted"),
    N_("error: interrupted by {0}"),
    N_("{0}, {1} s so far"),
    N_("{0} left"),
    N_("{0}; again"),
    N_("{0}: {1} is {2}, but must be {3}"),
    N_("{0}: {1} is {2}, but must be at least {3}"),
    N_("{0}: {1} is {2}, but must be at most {3}"),
    N_("{0}: {1} is {2}; choose one of {3}"),
    N_("checkpoint {0}"),
    N_("evaluation: {0}"),
    N_("about {0} s"),
    N_("run {0}: {1}, {2}"),
    N_("top-{0} {1} % ({2} of {3})"),
    N_("and {0} more"),
    N_("{0} images"),
    N_("loss is {0}"),
    N_("rank {0} of {1}"),
    N_("at {0}"),
    N_("cost: {0}"),
    N_("{0} per hour"),
    N_("code: {0} -> {1}"),
    N_("{0} on {1}, {2}, {3}"),
    N_("images: {0}; {1}"),
    N_("corrupt image {0}: {1}"),
    # what a start consists of
    N_("loading MindSpore"),
    N_("compiling the kernels for this CPU"),
    N_("looking at the images"),
    N_("looking at earlier runs"),
    N_("building the network"),
    N_("exporting the network"),
    N_("{0} hidden"),
    N_("{0} hidden, {1}"),
    N_("{0} rank"),
    N_("{0} ranks"),
    # what ranks wait for
    N_("copy {0}"),
    N_("stage {0}"),
    N_("list {0}"),
    N_("fetch {0}"),
    N_("unpack {0}"),
    N_("restore {0}"),
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


def duration(text: str) -> str:
    """`2 min 05 s`, `3:09 min` and the like with the units of the language."""
    if catalogue() is None:
        return text
    text = re.sub(
        r"(\d+):(\d+) (min|h)", lambda found: f"{found[1]} {found[3]} {found[2]} {SMALLER[found[3]]}", text
    )
    return re.sub("[a-z]+", lambda found: gettext(UNITS[found[0]]), text)


def unknown(environment: Mapping[str, str] = os.environ) -> str:
    """What MINDLIFT_LANG asks for, if that is no language of this program; else ''. A locale may be any: gettext's is silent."""
    asked = environment.get(VARIABLE, "")
    name = re.split(r"[_.@-]", asked.lower())[0]
    return "" if name in ("", "c", "posix", ENGLISH, CHINESE) else asked


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
        self.msgid, self.target = msgid, target
        parts = PLACE.split(msgid)[::2]
        self.parts = [part for at, part in enumerate(parts) if part or at in (0, len(parts) - 1)]
        self.shared = {
            at for at, part in enumerate(parts[1:-1]) if not part
        }  # places with nothing between them
        self.longest = max(self.parts, key=len)
        self.weight = sum(map(len, self.parts))
        self.letters = sum(map(str.isalpha, "".join(self.parts)))
        order = [int(number) for number in PLACE.findall(target)]
        self.keeps_order = order == sorted(order)
        self.moved_ends = {place for _, place in self.ends_of(msgid) - self.ends_of(target)}
        groups = [at for at in range(len(parts) - 1) if at - 1 not in self.shared]  # the first place of each
        self.loose = {at for at, place in enumerate(groups[1:]) if self.is_loose(place)}

    @staticmethod
    def ends_of(text: str) -> set[tuple[str, int]]:
        """The places with which a text begins and ends."""
        found = {"begins": re.match(r"\{(\d+)\}", text), "ends": re.search(r"\{(\d+)\}$", text)}
        return {(side, int(place[1])) for side, place in found.items() if place}

    def tears(self, values: list[str]) -> bool:
        """Whether the translation would put a place between others that is filled with more than belongs to it."""
        order = [int(number) for number in PLACE.findall(self.msgid)]
        return any(CLAUSE.search(value) for place, value in zip(order, values) if place in self.moved_ends)

    def is_loose(self, place: int) -> bool:
        """Whether the translation has a place behind the one before it, with nothing but marks between them."""
        found = re.search(rf"\{{{place - 1}\}}([^{{]*)\{{{place}\}}", self.target)
        return found is not None and not HAN.search(found[1])

    def values(self, text: str) -> list[str] | None:
        """What fills the places of `text`; None if it is another text, or if that can be told in several ways.

        Where one place ends and the next begins does not matter if that is so in the translation as well.
        """
        if self.longest not in text:
            return None
        first = between(self.parts, text)
        if first is None:
            return None
        if len(first) > 1:
            last = between([part[::-1] for part in reversed(self.parts)], text[::-1])
            if last is None or self.moved(first, [value[::-1] for value in reversed(last)]) - self.loose:
                return None
        return self.parted(first) if self.shared else first

    @staticmethod
    def moved(first: list[str], last: list[str]) -> set[int]:
        """The parts between places that are elsewhere."""
        return {
            at
            for at in range(len(first) - 1)
            if sum(map(len, first[: at + 1])) != sum(map(len, last[: at + 1]))
        }

    def parted(self, values: list[str]) -> list[str]:
        """With a value for each place: where there is nothing between two, the second begins with a mark, or is empty."""
        left = iter(values)
        found = [next(left)]
        for at in range(len(self.shared) + len(values) - 1):
            if at in self.shared:
                mark = ADDED.search(found[-1])
                cut = mark.start() if mark else len(found[-1])
                found[-1:] = [found[-1][:cut], found[-1][cut:]]
            else:
                found.append(next(left))
        return found


def between(parts: list[str], text: str) -> list[str] | None:
    """The pieces of `text` between `parts`, each part as far to the left as it can be."""
    if not text.startswith(parts[0]) or not text.endswith(parts[-1]):
        return None
    at, end = len(parts[0]), len(text) - len(parts[-1])
    found = []
    for part in parts[1:-1]:
        start = text.find(part, at, end)
        if start < 0:
            return None
        found.append(text[at:start])
        at = start + len(part)
    return [*found, text[at:end]] if at <= end else None


class Found(NamedTuple):
    """A text in the language, and how many letters of the original were known."""

    text: str
    known: int


class Catalogue:
    """Translations by msgid, and the templates among them."""

    def __init__(self, texts: dict[str, str]):
        self.texts = texts
        found = [Template(msgid, target) for msgid, target in texts.items() if PLACE.search(msgid)]
        self.templates = [each for each in found if each.letters >= LEAST_LETTERS or each.msgid in FRAMES]
        self.memory: dict[tuple[str, int], Found] = {}

    def localized(self, text: str) -> str:
        """Line by line, with the spaces around each line as they are."""
        if "\n" in text:
            return "\n".join(map(self.localized, text.split("\n")))
        core = text.strip()
        if not core or core[0] in "{[":  # JSON, which is for programs
            return text
        self.memory.clear()
        return self.value(text, DEPTH).text

    def value(self, text: str, depth: int) -> Found:
        """The text, or what fills a place of another one, which may be a message again."""
        core = text.strip()
        found = self.message(core, depth)
        start = text.find(core)
        return Found(text[:start] + found.text + text[start + len(core) :], found.known)

    def message(self, text: str, depth: int) -> Found:
        if " " not in text:  # a name
            return Found(text, 0)
        if DURATION.fullmatch(text):
            return Found(duration(text), len(text))
        if (text, depth) not in self.memory:
            exact = self.texts.get(text)
            found = Found(exact, len(text)) if exact else self.put_together(text, depth - 1)
            self.memory[text, depth] = found
        return self.memory[text, depth]

    def put_together(self, text: str, depth: int) -> Found:
        """By the template that leaves the least unknown, in doubt one that leaves the order as it is; else by its end."""
        if depth < 0:
            return Found(text, 0)
        fitting = []
        for template in self.templates:
            values = template.values(text)
            if values is not None and not template.tears(values):
                found = [self.value(value, depth) for value in values]
                known = template.weight + sum(each.known for each in found)
                words = filled(template.target, [each.text for each in found])
                split = sum(len(CLAUSE.findall(value)) for value in values)
                fitting.append(((known, -split, template.keeps_order, template.weight), Found(words, known)))
        return max(fitting)[1] if fitting else self.by_end(text, depth)

    def by_end(self, text: str, depth: int) -> Found:
        """Of a text that was put together: the first end that is known, after all that is before it."""
        for gap in GAP.finditer(text):
            for start, mark in ((gap.start(), ""), (gap.end(), MARKS.get(gap[0], gap[0]))):
                end = text[start:]  # with the mark, or behind it
                exact = self.texts.get(end) if len(WORD.findall(end)) >= LEAST_WORDS else None
                found = Found(exact, len(end)) if exact else None
                if found is None and gap[0] != " ":
                    found = self.template_of(end, depth)
                if found:
                    before = self.value(text[: gap.start()], depth)
                    return Found(before.text + mark + found.text, before.known + found.known)
        return Found(text, 0)

    def template_of(self, text: str, depth: int) -> Found | None:
        if not any(template.values(text) is not None for template in self.templates):
            return None
        return self.put_together(text, depth)


def filled(text: str, values: list[str]) -> str:
    """Where Chinese meets Chinese there is no space, which msgstrs have for names and numbers."""

    def value(found: re.Match[str]) -> str:
        own = values[int(found[2])]
        before = "" if HAN.match(own) else found[1]
        return before + own + ("" if HAN.match(own[-1:]) else found[3])

    return SPACED_PLACE.sub(value, text)
