"""The declarations of default_config.yaml as a whole: read, and each name of one meaning."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.model_utils.config.declarations import declare
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import Option
from mindlift.model_utils.config.recipes import read_yaml
from mindlift.model_utils.config.schema import DEFAULTS, SWITCHES, Schema
from mindlift.model_utils.config.yaml_nodes import pairs


@functools.lru_cache(maxsize=1)
def own_schema() -> Schema:
    """The declarations of this checkout, or of the installed package."""
    return read_schema(ROOT / DEFAULTS)


def read_schema(path: Path) -> Schema:
    """The declarations of default_config.yaml, checked; ConfigError names the line of a faulty one."""
    root = read_yaml(path)
    if root is None:
        raise ConfigError(f"{path.name}:1: declares no options")
    groups = pairs(root, path.name)
    options = [
        declare(name, group, entry, at)
        for group, _, node in groups
        for name, at, entry in pairs(node, path.name)
    ]
    return checked_names(Schema(options), options, [group for group, _, _ in groups])


def checked_names(schema: Schema, options: Sequence[Option], groups: Sequence[str]) -> Schema:
    """`schema` if each spelling has one meaning, else ConfigError."""
    attributes = [name for name in dir(Config) if not name.startswith("_")]
    attributes += ["extra", "inputs", "program"]
    taken = dict.fromkeys(attributes, "an attribute of Config")
    taken.update({**dict.fromkeys(SWITCHES, "a switch"), **dict.fromkeys(groups, "a group")})
    for option in options:
        for word in (option.name, *option.aliases):
            if taken.get(word) == "a group" and word != option.name:
                continue  # in a file the word opens the group, on a command line there are none
            if taken.get(word) == option.name == word:
                raise ConfigError(f"{DEFAULTS}: option '{word}' is declared twice")
            if word in taken:
                raise ConfigError(f"{DEFAULTS}: '{word}' names both {taken[word]} and {option.name}")
            taken[word] = option.name
    for needed in ("net", "dataset", "config_path"):
        if needed not in schema.options:
            raise ConfigError(f"{DEFAULTS}: option '{needed}' is missing; it chooses the recipe")
    return schema
