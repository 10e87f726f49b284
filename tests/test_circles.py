"""No modules import each other in a circle, not even inside functions."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import ROOT

SOURCES = ROOT / "src"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES.rglob("*.py")}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All but what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from statements(child)


def imported(text: str) -> set[str]:
    """Modules of ours that a source text imports."""
    found = set()
    for node in statements(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


def order(graph: dict[str, set[str]]) -> list[str]:
    """The modules, those that are imported first; CycleError names a circle."""
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_there_are_no_circles():
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    graph = {name: imported(text) - {name} for name, text in texts.items()}
    assert len(order(graph)) == len(MODULES) > 300


def test_a_circle_is_found():
    assert imported("def f():\n    from mindlift.storage import url, places") == {
        "mindlift.storage.url",
        "mindlift.storage.places",
    }
    with pytest.raises(graphlib.CycleError):
        order({"a": {"b"}, "b": {"a"}})
