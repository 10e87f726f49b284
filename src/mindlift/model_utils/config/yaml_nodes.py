"""What a file of options says, from the nodes of its YAML, so that errors name lines. Pure."""

from __future__ import annotations

import re
from typing import Tuple, Union

import yaml

from mindlift.errors import ConfigError
from mindlift.model_utils.config.options import BOOLS, FLOAT, show

Pair = Tuple[str, str, yaml.Node]  # key, place such as "recipe.yaml:7", value node
Plain = Union[str, int, float, bool, None, list, dict]


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


def text_of(node: yaml.Node) -> Plain:
    """The words of a scalar as the file has them: `on`, `1.50` and `null` stay what they are. Others as `plain` does."""
    return node.value if isinstance(node, yaml.ScalarNode) else plain(node)


def plain(node: yaml.Node) -> Plain:
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
