"""Declarations of options and the parsing of one value. Pure: no files, no command line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from src.model_utils.errors import ConfigError

TRUE, FALSE = {"true", "yes", "1", "on"}, {"false", "no", "0", "off"}
NULL = {"null", "none", "~"}
TYPES = ("str", "int", "float", "bool", "ints", "floats", "size")
PROPERTIES = {"value", "help", "type", "choices", "min", "max", "aliases", "platform"}
WANTED = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "ints": "whole numbers such as 30,60,90", "floats": "numbers such as 0.1,0.2", "size": "height,width such as 224,224",
}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One option of default_config.yaml; `default` is already of its type."""

    name: str
    group: str
    kind: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    aliases: tuple[str, ...] = ()
    platform: bool = False

    def parse(self, raw: Any, place: str) -> Any:
        """`raw` (from YAML or text) as this option's type; raises ConfigError that starts with `place`."""
        if raw is None or (isinstance(raw, str) and raw.lower() in NULL and self.default is None):
            if self.default is None:
                return None
            raise self.error(place, raw)
        try:
            value = PARSERS[self.kind](raw)
        except (ValueError, TypeError):
            raise self.error(place, raw) from None
        for number in value if isinstance(value, tuple) else (value,):
            self.check(number, raw, place)
        return value

    def check(self, number: Any, raw: Any, place: str) -> None:
        if self.choices and number not in self.choices:
            near = nearest(str(number), [str(choice) for choice in self.choices])
            raise ConfigError(
                f"{place}: {self.name} is {raw!r}; choose one of {', '.join(map(str, self.choices))}{near}"
            )
        if self.minimum is not None and number < self.minimum:
            raise ConfigError(f"{place}: {self.name} is {raw!r}, but must be at least {self.minimum:g}")
        if self.maximum is not None and number > self.maximum:
            raise ConfigError(f"{place}: {self.name} is {raw!r}, but must be at most {self.maximum:g}")

    def error(self, place: str, raw: Any) -> ConfigError:
        return ConfigError(f"{place}: {self.name} is {raw!r}, but must be {WANTED[self.kind]}")


def parse_bool(raw: Any) -> bool:
    text = str(raw).strip().lower()
    if isinstance(raw, (bool, int, str)) and text in TRUE | FALSE:
        return text in TRUE
    raise ValueError


def parse_int(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)):
        raise ValueError
    return int(raw)


def parse_float(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError
    if not math.isfinite(float(raw)):
        raise ValueError
    return float(raw)


def parse_str(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def items(raw: Any) -> list[Any]:
    """The elements of a list, or of text such as '30, 60' or '[30,60]'."""
    if isinstance(raw, (list, tuple)):
        return [item for part in raw for item in (items(part) if isinstance(part, str) else [part])]
    if isinstance(raw, str):
        return [part.strip() for part in raw.strip().strip("[]()").split(",") if part.strip()]
    return [raw]


def parse_size(raw: Any) -> tuple[int, int]:
    if isinstance(raw, str):
        raw = raw.lower().replace("x", ",")
    sides = [parse_int(side) for side in items(raw)]
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise ValueError
    return sides[0], sides[-1]


PARSERS = {
    "str": parse_str,
    "int": parse_int,
    "float": parse_float,
    "bool": parse_bool,
    "ints": lambda raw: tuple(parse_int(item) for item in items(raw)),
    "floats": lambda raw: tuple(parse_float(item) for item in items(raw)),
    "size": parse_size,
}


def nearest(word: str, words: Iterable[str]) -> str:
    """'; did you mean ...?' or ''."""
    found = difflib.get_close_matches(word, list(words), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in found)}?" if found else ""


def declare(name: str, group: str, entry: Any, place: str) -> Option:
    """The Option that one entry of default_config.yaml declares; raises ConfigError."""
    if not isinstance(entry, Mapping) or "value" not in entry or not entry.get("help"):
        raise ConfigError(f"{place}: option '{name}' needs a mapping with value and help")
    unknown = sorted(set(entry) - PROPERTIES)
    if unknown:
        raise ConfigError(
            f"{place}: option '{name}' has unknown property '{unknown[0]}'; known: {', '.join(sorted(PROPERTIES))}"
        )
    value = entry["value"]
    kind = entry.get("type") or type(value).__name__
    if kind not in TYPES:
        raise ConfigError(f"{place}: option '{name}' has type '{kind}'; known: {', '.join(TYPES)}")
    option = Option(
        name, group, kind, value, entry["help"], tuple(entry.get("choices", ())), entry.get("min"), entry.get("max"),
        tuple(entry.get("aliases", ())), bool(entry.get("platform", False)),
    )  # fmt: skip
    default = option.parse(value, place)
    return Option(**{**option.__dict__, "default": default})


def as_yaml(value: Any) -> str:
    """A value as one YAML scalar or flow list that `Option.parse` reads back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(as_yaml(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
