"""An option and the parsing of its values. Pure: no files, no command line.

A value reaches `Option.parse` from YAML, from Python, or as text from a command line. Only text may
spell a whole number as a string; a float may be a string anywhere, since PyYAML reads `1e-4` as one.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, Union

import yaml

from mindlift.errors import ConfigError

T = TypeVar("T")
Value = Union[str, int, float, bool, tuple, None]

PROGRAMS = ("train", "eval", "export", "predict", "features")
TASKS = ("classification", "multilabel", "segmentation")  # those with options of their own

BOOLS = {
    "true": True,
    "yes": True,
    "1": True,
    "on": True,
    "false": False,
    "no": False,
    "0": False,
    "off": False,
}
NULLS = ("null", "none", "~")
INT = re.compile(r"[+-]?[0-9]+")
FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
SIZE = re.compile(r"([0-9]+)(?:\s*[,xX\s]\s*([0-9]+))?")
EXPECTED = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "ints": "whole numbers such as 30,60,90",
    "floats": "numbers such as 0.1,0.01",
    "size": "height,width such as 224,224",
}


@dataclass(frozen=True)
class Option:
    """One option of default_config.yaml. `default` is already of the type that `kind` names.

    `spellings` are pairs of what other programs call a value and what it is called here. What the fields from
    `programs` on mean is said at the top of default_config.yaml.
    """

    name: str
    group: str
    kind: str
    default: Value
    help: str
    choices: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    aliases: tuple[str, ...] = ()
    platform: bool = False
    spellings: tuple[tuple[str, str], ...] = ()
    programs: tuple[str, ...] = ("train", "eval")
    task: str = ""
    weights: bool = False
    fixed: bool = False
    of_run: bool = False
    free: bool = False
    place: bool = False
    refused: str = ""
    embedded: tuple[str, ...] = ()
    segmented: tuple[str, ...] = ()

    @property
    def is_list(self) -> bool:
        return self.kind in ("ints", "floats")

    def parse(self, raw: object, place: str, key: str = "", *, text: bool = False) -> Value:
        """`raw` as this option's type; ConfigError names `place`, `key`, the value and what is allowed."""
        name = f"{key} ({self.name})" if key and key != self.name else self.name
        raw = of_python(raw)
        raw = dict(self.spellings).get(raw, raw) if isinstance(raw, str) else raw
        shown = show(" ".join(map(str, raw)) if text and isinstance(raw, list) else raw)  # as it was typed
        try:
            value = None if self.is_unset(raw, text) else PARSERS[self.kind](raw, text)
        except (ValueError, OverflowError):
            raise ConfigError(f"{place}: {name} is {shown}{self.wanted(raw)}") from None
        for item in value if isinstance(value, tuple) else (value,):
            problem = "" if item is None else self.problem(item)
            if problem:
                raise ConfigError(f"{place}: {name} is {shown}{problem}")
        return value

    def is_unset(self, raw: object, text: bool) -> bool:
        """Whether `raw` means "not set"; ValueError if it does and this option must have a value.

        `none` stays a word where words are allowed, as in `augment: none`.
        """
        if isinstance(raw, str) and raw in self.choices:
            return False
        nulls: tuple[str, ...] = NULLS
        if self.kind == "str" and self.default is not None:
            nulls = ("null", "~") if text and not self.platform else ()
        is_null = raw is None or (isinstance(raw, str) and raw.strip().lower() in nulls)
        if is_null and self.default is not None:
            raise ValueError
        return is_null

    def problem(self, item: Value) -> str:
        """What is wrong with one value or list element by choices, min and max; '' if nothing is."""
        if isinstance(item, str) and "\0" in item:
            return ", but text has no NUL"
        if self.choices and item not in self.choices:
            words = [str(choice) for choice in self.choices]
            return f"; choose one of {', '.join(words)}{nearest(str(item), words)}"
        if self.low is not None and isinstance(item, (int, float)) and item < self.low:
            return f", but must be at least {self.low:.10g}"
        if self.high is not None and isinstance(item, (int, float)) and item > self.high:
            return f", but must be at most {self.high:.10g}"
        return ""

    def wanted(self, raw: object) -> str:
        """What a value of another type should have been."""
        if self.choices:
            return self.problem("" if raw is None else str(raw)) or f", but must be {EXPECTED[self.kind]}"
        hint = ", in quotes" if self.kind == "str" and isinstance(raw, (bool, int, float)) else ""
        return f", but must be {EXPECTED[self.kind]}{hint}" + (" or null" if self.default is None else "")


def of_python(raw: object) -> object:
    """A path as its text, and numbers and arrays of NumPy as Python's; without importing NumPy."""
    if hasattr(raw, "__fspath__"):
        return raw.__fspath__()
    return raw.tolist() if type(raw).__module__ == "numpy" and hasattr(raw, "tolist") else raw


def show(raw: object) -> str:
    """A refused value in one short line."""
    if raw is None:
        return "null"
    if isinstance(raw, dict):
        return "a mapping"
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: str, words: Iterable[str], prefix: str = "") -> str:
    """'; did you mean ...?' with the known name next to `word`, or ''."""
    known = {name.lower(): name for name in words}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1)
    return f"; did you mean '{prefix}{known[found[0]]}'?" if found else ""


def parse_str(raw: object, text: bool) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def parse_int(raw: object, text: bool) -> int:
    if text and isinstance(raw, str) and INT.fullmatch(raw.strip()):
        return int(raw)
    if type(raw) is not int:
        raise ValueError
    return raw


def parse_float(raw: object, text: bool) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError
    if isinstance(raw, str) and not FLOAT.fullmatch(raw.strip()):
        raise ValueError
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def parse_bool(raw: object, text: bool) -> bool:
    word = str(raw).strip().lower()
    if not isinstance(raw, (bool, int, str)) or word not in BOOLS:
        raise ValueError
    return BOOLS[word]


def parse_size(raw: object, text: bool) -> tuple[int, int]:
    if isinstance(raw, str):
        match = SIZE.fullmatch(without_brackets(raw))
        raw = [int(side) for side in match.groups() if side] if match else []
    sides = [raw] if type(raw) is int else raw
    if not isinstance(sides, (list, tuple)) or len(sides) not in (1, 2):
        raise ValueError
    height, width = parse_int(sides[0], text), parse_int(sides[-1], text)
    if height < 1 or width < 1:
        raise ValueError
    return height, width


def list_of(parse_item: Callable[[object, bool], T]) -> Callable[[object, bool], tuple[T, ...]]:
    """A parser of one item, a list of items, or text such as '30,60', '[30, 60]' or '30 60'."""

    def parse(raw: object, text: bool) -> tuple[T, ...]:
        if isinstance(raw, str):
            body = without_brackets(raw)
            return tuple(parse_item(item, True) for item in re.split(r"\s*,\s*|\s+", body)) if body else ()
        items = raw if isinstance(raw, (list, tuple)) else [raw]
        if text:  # a repeated flag: each item is text of its own
            return tuple(value for item in items for value in parse(item, text))
        return tuple(parse_item(item, text) for item in items)

    return parse


def without_brackets(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if text[:1] + text[-1:] in ("[]", "()") else text


PARSERS: dict[str, Callable[[object, bool], Value]] = {
    "str": parse_str,
    "int": parse_int,
    "float": parse_float,
    "bool": parse_bool,
    "ints": list_of(parse_int),
    "floats": list_of(parse_float),
    "size": parse_size,
}


def as_yaml(value: Value) -> str:
    """`value` on one line of YAML that `Option.parse` reads back as the same value."""
    item: object = list(value) if isinstance(value, tuple) else value
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(item, default_style=style, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.replace("\n...\n", "\n").rstrip("\n")
