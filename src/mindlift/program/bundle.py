"""The source files that `python -m mindlift.program` needs, so that they can travel with a program of others."""

from __future__ import annotations

import ast

from mindlift.checkout import PACKAGE

FIRST = (  # the programs that start: this one, one that copies, and one that streams
    "program/__main__.py",
    "storage/copying/worker.py",
    "model_utils/streaming/stream.py",
)


def files() -> dict[str, bytes]:
    """Paths that begin with mindlift/, to be put below a folder of PYTHONPATH. Nothing else but boto3 is needed."""
    found: dict[str, bytes] = {}
    left = list(FIRST)
    while left:
        path = left.pop()
        if f"mindlift/{path}" not in found:
            found[f"mindlift/{path}"] = (PACKAGE / path).read_bytes()
            left += above(path) + imported((PACKAGE / path).read_text(encoding="utf-8"))
    return dict(sorted(found.items()))


def above(path: str) -> list[str]:
    """The packages that a module is in."""
    parts = path.split("/")[:-1]
    return ["/".join([*parts[:count], "__init__.py"]) for count in range(len(parts) + 1)]


def imported(source: str) -> list[str]:
    """The files of this package that a module imports, also inside functions, but not for types alone."""
    found = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == "mindlift":
                path = "/".join(name.split(".")[1:])
                found += [
                    each for each in (f"{path}.py", f"{path}/__init__.py") if (PACKAGE / each).is_file()
                ]
    return found
