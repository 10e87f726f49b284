"""The options of a configuration as a whole: their names, groups and what was given for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mindlift.errors import ConfigError
from mindlift.model_utils.config.options import Option, Value, nearest, show
from mindlift.model_utils.config.other_names import other_name

DEFAULTS = "default_config.yaml"
SWITCHES = {
    "h": "help",
    "help": "print this help, with the defaults of the chosen recipe, and exit",
    "version": "print the version of MindLift and exit",
    "print_config": "print every value with its origin and exit",
}


class Schema:
    """The options that default_config.yaml declares, in its order."""

    def __init__(self, options: Iterable[Option] = ()) -> None:
        self.options: dict[str, Option] = {}
        self.names: dict[str, Option] = {}
        for option in options:
            self.options[option.name] = option
            self.names.update(dict.fromkeys((option.name, *option.aliases), option))

    @property
    def groups(self) -> dict[str, list[Option]]:
        found: dict[str, list[Option]] = {}
        for option in self.options.values():
            found.setdefault(option.group, []).append(option)
        return found


def is_platform(option: Option) -> bool:
    """Whether clouds pass this option by themselves."""
    return option.platform or option.name == "device_target"


@dataclass(frozen=True)
class Given:
    """One value as somebody wrote it: `key` as spelled, `place` for errors, `text` if from a command line."""

    key: str
    raw: object
    place: str
    text: bool = False


def hint(key: str, schema: Schema, prefix: str = "") -> str:
    """What an unknown key may have meant, by its meaning in other programs or by its letters, or where to look."""
    if other_name(key) in schema.options:
        return f"; did you mean '{prefix}{other_name(key)}'?"
    names = [*schema.names, *(SWITCHES if prefix else ())]
    return nearest(key, names, prefix) or "; --help lists all options"


def of_mapping(schema: Schema, given: Mapping[str, object], place: str) -> dict[str, Value]:
    """Checked values by option name."""
    return merge(schema, [Given(name, value, place) for name, value in given.items()])


def merge(schema: Schema, given: Sequence[Given]) -> dict[str, Value]:
    """Checked values by option name; ConfigError for unknown names and for two names that disagree."""
    layer: dict[str, Value] = {}
    firsts: dict[str, Given] = {}
    for item in given:
        option = schema.names.get(item.key)
        if option is None:
            raise ConfigError(f"{item.place}: unknown option {show(item.key)}{hint(item.key, schema)}")
        value = option.parse(item.raw, item.place, item.key, text=item.text)
        first = firsts.setdefault(option.name, item)
        if first is not item and layer[option.name] != value:
            differ = f"are one option but differ: {show(first.raw)}, {show(item.raw)}"
            raise ConfigError(
                f"{item.place}: '{first.key}' and '{item.key}' {differ}; give only '{option.name}'"
            )
        layer[option.name] = value
    return layer
