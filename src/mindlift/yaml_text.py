"""YAML from outside, within limits: whatever is wrong with it is a yaml.YAMLError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mindlift import limits


class LimitedLoader(yaml.SafeLoader):
    """A SafeLoader that counts nodes as if each alias were written out.

    An alias takes two bytes and may stand for a list of nine aliases, and so on: what is loaded is small, but whoever
    merges, prints or compares it goes through all of it.
    """

    def __init__(self, stream: str | bytes):
        super().__init__(stream)
        self.nodes, self.depth = 0, 0
        self.counts: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)  # type: ignore[no-untyped-call]
        before, self.depth = self.nodes, self.depth + 1
        if self.depth > limits.YAML_DEPTH:
            raise yaml.MarkedYAMLError(problem="it is nested too deep", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[no-untyped-call]
        if is_alias and id(node) not in self.counts:
            raise yaml.MarkedYAMLError(problem="an alias within what it stands for", problem_mark=mark)
        self.nodes += self.counts[id(node)] if is_alias else 1
        if self.nodes > limits.YAML_NODES:
            problem = f"it has more than {limits.YAML_NODES:,} values, with those that aliases stand for"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        if not is_alias:
            self.counts[id(node)] = self.nodes - before
        self.depth -= 1
        return node


def parse(text: str | bytes) -> Any:
    """The value of a text in YAML 1.1, of its plain types. YAMLError if it is none, too large or too deep."""
    return _loaded(text, LimitedLoader.get_single_data)


def compose(text: str | bytes) -> yaml.Node | None:
    """The same as nodes, which know their lines."""
    return _loaded(text, LimitedLoader.get_single_node)


def _loaded(text: str | bytes, load: Any) -> Any:
    if len(text) > limits.YAML_BYTES:
        raise yaml.YAMLError(f"it has {len(text):,} bytes, more than {limits.YAML_BYTES:,}")
    loader = LimitedLoader(text)
    try:
        return load(loader)
    except (
        ValueError,
        RecursionError,
    ) as err:  # of a date or a number that can't be, and of keys that are lists
        raise yaml.YAMLError(str(err)) from err
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def read(path: Path) -> Any:
    """The value of a file in UTF-8. OSError or UnicodeDecodeError if it can't be read, else as `parse`."""
    return parse(read_text(path))


def read_text(path: Path) -> str:
    """Its text as `parse` takes it; longer ones are cut above the limit, where `parse` says so."""
    with open(path, "rb") as file:
        return file.read(limits.YAML_BYTES + 1).decode("utf-8-sig")
