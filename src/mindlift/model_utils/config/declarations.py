"""The entries of default_config.yaml as options; whatever is wrong with one is a ConfigError with its line. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import yaml

from mindlift.errors import ConfigError
from mindlift.model_utils.config.options import EXPECTED, PROGRAMS, TASKS, Option, Value, nearest, show
from mindlift.model_utils.config.yaml_nodes import pairs, plain

SWITCHES = ("platform", "weights", "fixed", "of_run", "free", "place")
PROPERTIES = (
    *("value", "help", "type", "choices", "min", "max", "aliases", "spellings"),
    *("for", "task", "refused", "embedded", "segmented", *SWITCHES),
)


def declare(name: str, group: str, node: yaml.Node, place: str) -> Option:
    """The Option that one entry of default_config.yaml declares; ConfigError for a faulty entry."""
    demand(name.isidentifier() and not name.startswith("_"), place, name, "is no identifier")
    demand(isinstance(node, yaml.MappingNode), place, name, "needs a mapping with value and help")
    given: dict[str, Any] = {}
    for key, at, value in pairs(node, place.rpartition(":")[0]):
        if key not in PROPERTIES:  # the next name is looked for where it is needed: there are a thousand keys
            known = f"; known: {', '.join(PROPERTIES)}{nearest(key, PROPERTIES)}"
            demand(False, at, name, f"has unknown property {show(key)}{known}")
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
    choices = given.get("choices")
    is_list = isinstance(choices, list) and bool(choices)
    demand(choices is None or is_list, place, name, "has choices that are not a list")
    switches = {switch: given.get(switch, False) for switch in SWITCHES}
    for switch, on in switches.items():
        demand(isinstance(on, bool), place, name, f"has {switch} {show(on)}; write true or false")
    typed = tuple(option.parse(choice, place) for choice in choices or ())
    option = replace(option, low=low, high=high, choices=typed, aliases=words or (), **switches)
    option = replace(option, spellings=given.get("spellings", ()))
    is_null = given["value"] is None
    option = replace(option, default=None if is_null else option.parse(given["value"], place))
    return belonging(option, given, place)


def belonging(option: Option, given: dict[str, Any], place: str) -> Option:
    """`option` with the programs and the task that it is for, and with what is known of its values.

    What decides the output of finished weights is for all programs where nothing else is written.
    """
    name, task, why = option.name, given.get("task", ""), given.get("refused", "")
    wanted = given.get("for", "all" if option.weights else list(option.programs))
    programs = chosen("for", PROGRAMS if wanted == "all" else wanted, PROGRAMS, place, name)
    demand(bool(programs), place, name, f"is for no program; name some of {', '.join(PROGRAMS)}, or all")
    if "task" in given:
        chosen("task", [task], TASKS, place, name)
    demand(isinstance(why, str), place, name, f"has refused {show(why)}; write why")
    embedded = chosen("embedded", given.get("embedded", []), option.choices, place, name)
    segmented = chosen("segmented", given.get("segmented", []), option.choices, place, name)
    return replace(option, programs=programs, task=task, refused=why, embedded=embedded, segmented=segmented)


def chosen(key: str, words: object, known: Collection[Value], place: str, name: str) -> tuple[str, ...]:
    """A YAML list of known names as a tuple."""
    allowed = ", ".join(map(str, known)) or "nothing, without choices"
    listed = tuple(words) if isinstance(words, (list, tuple)) else None
    demand(listed is not None, place, name, f"has {key} {show(words)}; write a list of {allowed}")
    for word in listed or ():
        if word not in known:
            near = nearest(str(word), map(str, known))
            demand(False, place, name, f"has {key} {show(word)}; known: {allowed}{near}")
    return listed or ()


def spelled(node: yaml.Node, place: str) -> tuple[tuple[str, str], ...]:
    """A YAML mapping of words to words as pairs."""
    return tuple((word, str(plain(value))) for word, _, value in pairs(node, place))


def names_in(raw: object) -> tuple[str, ...] | None:
    """A YAML list of names as a tuple; None if it is anything else."""
    if not isinstance(raw, list) or not all(isinstance(word, str) and word.isidentifier() for word in raw):
        return None
    return tuple(raw)


def demand(is_right: bool, place: str, name: str, problem: str) -> None:
    if not is_right:
        raise ConfigError(f"{place}: option '{name}' {problem}")


def kind_of(value: object) -> str:
    """The type that a default implies, or '?' where it must be written."""
    if isinstance(value, list) and value:
        kinds = {kind_of(item) for item in value}
        return "ints" if kinds == {"int"} else "floats" if kinds <= {"int", "float"} else "?"
    return {str: "str", int: "int", float: "float", bool: "bool"}.get(type(value), "?")
