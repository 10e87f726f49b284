"""Declarations of options and the parsing of one value. Pure: no files, no command line.

A value reaches `Option.parse` from YAML, from Python, or as text from a command line. Only text may
spell a whole number as a string; a float may be a string anywhere, since PyYAML reads `1e-4` as one.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Union

import yaml

from mindlift.errors import ConfigError

Value = Union[str, int, float, bool, tuple, None]
Pair = tuple[str, str, yaml.Node]  # key, place such as "recipe.yaml:7", value node

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
PROPERTIES = ("value", "help", "type", "choices", "min", "max", "aliases", "spellings", "platform")
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

    `spellings` are pairs of what other programs call a value and what it is called here.
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

    @property
    def is_list(self) -> bool:
        return self.kind in ("ints", "floats")

    def parse(self, raw: Any, place: str, key: str = "", *, text: bool = False) -> Value:
        """`raw` as this option's type; ConfigError names `place`, `key`, the value and what is allowed."""
        name = f"{key} ({self.name})" if key and key != self.name else self.name
        raw = dict(self.spellings).get(raw, raw) if isinstance(raw, str) else raw
        try:
            value = None if self.is_unset(raw, text) else PARSERS[self.kind](raw, text)
        except (ValueError, OverflowError):
            raise ConfigError(f"{place}: {name} is {show(raw)}{self.wanted(raw)}") from None
        for item in value if isinstance(value, tuple) else (value,):
            problem = "" if item is None else self.problem(item)
            if problem:
                raise ConfigError(f"{place}: {name} is {show(raw)}{problem}")
        return value

    def is_unset(self, raw: Any, text: bool) -> bool:
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

    def problem(self, item: Any) -> str:
        """What is wrong with one value or list element by choices, min and max; '' if nothing is."""
        if self.choices and item not in self.choices:
            words = [str(choice) for choice in self.choices]
            return f"; choose one of {', '.join(words)}{nearest(str(item), words)}"
        if self.low is not None and item < self.low:
            return f", but must be at least {self.low:g}"
        if self.high is not None and item > self.high:
            return f", but must be at most {self.high:g}"
        return ""

    def wanted(self, raw: Any) -> str:
        """What a value of another type should have been."""
        if self.choices:
            return self.problem("" if raw is None else str(raw)) or f", but must be {EXPECTED[self.kind]}"
        hint = ", in quotes" if self.kind == "str" and isinstance(raw, (bool, int, float)) else ""
        return f", but must be {EXPECTED[self.kind]}{hint}" + (" or null" if self.default is None else "")


def show(raw: Any) -> str:
    """A refused value in one short line."""
    if raw is None:
        return "null"
    if isinstance(raw, dict):
        return "a mapping"
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def single_line(text: object) -> str:
    """`text` with line ends and other control characters escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def nearest(word: str, words: Iterable[str], prefix: str = "") -> str:
    """'; did you mean ...?' with the known name next to `word`, or ''."""
    known = {name.lower(): name for name in words}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), known, n=1)
    return f"; did you mean '{prefix}{known[found[0]]}'?" if found else ""


def parse_str(raw: Any, text: bool) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def parse_int(raw: Any, text: bool) -> int:
    if text and isinstance(raw, str) and INT.fullmatch(raw.strip()):
        return int(raw)
    if type(raw) is not int:
        raise ValueError
    return raw


def parse_float(raw: Any, text: bool) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError
    if isinstance(raw, str) and not FLOAT.fullmatch(raw.strip()):
        raise ValueError
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def parse_bool(raw: Any, text: bool) -> bool:
    word = str(raw).strip().lower()
    if not isinstance(raw, (bool, int, str)) or word not in BOOLS:
        raise ValueError
    return BOOLS[word]


def parse_size(raw: Any, text: bool) -> tuple[int, int]:
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


def list_of(parse_item: Callable[[Any, bool], Any]) -> Callable[[Any, bool], tuple]:
    """A parser of one item, a list of items, or text such as '30,60', '[30, 60]' or '30 60'."""

    def parse(raw: Any, text: bool) -> tuple:
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


PARSERS: dict[str, Callable[[Any, bool], Any]] = {
    "str": parse_str,
    "int": parse_int,
    "float": parse_float,
    "bool": parse_bool,
    "ints": list_of(parse_int),
    "floats": list_of(parse_float),
    "size": parse_size,
}


def pairs(node: yaml.Node, name: str) -> list[Pair]:
    """The entries of a YAML mapping in order; ConfigError for a key that is no word or comes twice."""
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name}: expected lines 'option: value', found a {kind_of_node(node)}")
    lines: dict[str, int] = {}
    found: list[Pair] = []
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(
                f"{name}:{line}: a key must be an option's name, found a {kind_of_node(key_node)}"
            )
        key = key_node.value
        if key in lines:
            raise ConfigError(f"{name}:{line}: {show(key)} is given twice, first in line {lines[key]}")
        lines[key] = line
        found.append((key, f"{name}:{line}", value_node))
    return found


def kind_of_node(node: yaml.Node) -> str:
    """'scalar', 'sequence' or 'mapping'."""
    return type(node).__name__.replace("Node", "").lower()


def plain(node: yaml.Node) -> Any:
    """A YAML node as str, int, float, bool, None, a list of these, or {} for any mapping.

    Dates, sexagesimal, octal and hexadecimal numbers stay the text that the file has.
    """
    if isinstance(node, yaml.MappingNode):
        return {}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) if isinstance(item, yaml.ScalarNode) else {} for item in node.value]
    tag, text = node.tag.rpartition(":")[2], node.value
    if tag == "null":
        return None
    if tag == "bool":
        return BOOLS.get(text.lower(), text)
    if tag == "int" and re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,999})", text):
        return int(text)
    return float(text) if tag == "float" and FLOAT.fullmatch(text) else text


def declare(name: str, group: str, node: yaml.Node, place: str) -> Option:
    """The Option that one entry of default_config.yaml declares; ConfigError for a faulty entry."""
    demand(name.isidentifier() and not name.startswith("_"), place, name, "is no identifier")
    demand(isinstance(node, yaml.MappingNode), place, name, "needs a mapping with value and help")
    given: dict[str, Any] = {}
    for key, at, value in pairs(node, place.rpartition(":")[0]):
        known = f"; known: {', '.join(PROPERTIES)}{nearest(key, PROPERTIES)}"
        demand(key in PROPERTIES, at, name, f"has unknown property {show(key)}{known}")
        given[key] = spelled(value, at) if key == "spellings" else plain(value)
    words = given.get("help")
    has_help = isinstance(words, str) and bool(words.strip())
    demand("value" in given and has_help, place, name, "needs a mapping with value and help")
    kind = given.get("type", kind_of(given["value"]))
    is_known = isinstance(kind, str) and kind in EXPECTED
    demand(is_known, place, name, f"has type {show(kind)}; write one of {', '.join(EXPECTED)}")
    return constrained(Option(name, group, kind, "", " ".join(str(words).split())), given, place)


def constrained(option: Option, given: dict[str, Any], place: str) -> Option:
    """`option` with its bounds, choices, names and checked default."""
    name, low, high = option.name, given.get("min"), given.get("max")
    for bound in (low, high):
        is_number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        fits = is_number and option.kind in ("int", "float", "ints", "floats")
        demand(
            bound is None or fits,
            place,
            name,
            f"has the bound {show(bound)}, which does not fit {option.kind}",
        )
    demand(low is None or high is None or low <= high, place, name, "has a min above its max")
    words = names_in(given.get("aliases", []))
    demand(words is not None, place, name, "has aliases that are not a list of names")
    choices, platform = given.get("choices"), given.get("platform", False)
    is_list = isinstance(choices, list) and bool(choices)
    demand(choices is None or is_list, place, name, "has choices that are not a list")
    demand(isinstance(platform, bool), place, name, f"has platform {show(platform)}; write true or false")
    typed = tuple(option.parse(choice, place) for choice in choices or ())
    option = replace(option, low=low, high=high, choices=typed, aliases=words or (), platform=platform)
    option = replace(option, spellings=given.get("spellings", ()))
    is_null = given["value"] is None
    return replace(option, default=None if is_null else option.parse(given["value"], place))


def spelled(node: yaml.Node, place: str) -> tuple[tuple[str, str], ...]:
    """A YAML mapping of words to words as pairs."""
    return tuple((word, str(plain(value))) for word, _, value in pairs(node, place))


def names_in(raw: Any) -> tuple[str, ...] | None:
    """A YAML list of names as a tuple; None if it is anything else."""
    if not isinstance(raw, list) or not all(isinstance(word, str) and word.isidentifier() for word in raw):
        return None
    return tuple(raw)


def demand(is_right: bool, place: str, name: str, problem: str) -> None:
    if not is_right:
        raise ConfigError(f"{place}: option '{name}' {problem}")


def kind_of(value: Any) -> str:
    """The type that a default implies, or '?' where it must be written."""
    if isinstance(value, list) and value:
        kinds = {kind_of(item) for item in value}
        return "ints" if kinds == {"int"} else "floats" if kinds <= {"int", "float"} else "?"
    return {str: "str", int: "int", float: "float", bool: "bool"}.get(type(value), "?")


def as_yaml(value: Value) -> str:
    """`value` on one line of YAML that `Option.parse` reads back as the same value."""
    item: Any = list(value) if isinstance(value, tuple) else value
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(item, default_style=style, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.replace("\n...\n", "\n").rstrip("\n")
