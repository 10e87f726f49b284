"""The oldest Python of each part, by vermin, which knows the version that each name and each syntax came with."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT
from tests.support.pythons import find_python

PACKAGE = ROOT / "src" / "mindlift"
ON_USERS_COMPUTERS = ("cloud", "doctor", "ascend_check", "ui")  # docs/versions.md: these need 3.8
COMMANDS_OF_USERS = (
    *(f"mindlift.{name}" for name in ON_USERS_COMPUTERS),
    *(f"mindlift.cli.{name}" for name in ("doctor", "submit", "job_", "ui")),
)
IN_CONTAINERS = [
    *(path for path in sorted(PACKAGE.iterdir()) if path.name not in (*ON_USERS_COMPUTERS, "backports.py")),
    *(ROOT / name for name in ("train.py", "eval.py", "compat")),
]
# imports what can be imported without MindSpore, numpy and the like, which are not there; prints how much that is
MODULES = """
import importlib, pkgutil, sys
import mindlift
count = 0
for module in pkgutil.walk_packages(mindlift.__path__, 'mindlift.', onerror=lambda name: None):
    if module.name.startswith(tuple(sys.argv[1:])):
        continue
    try:
        importlib.import_module(module.name)
        count += 1
    except ModuleNotFoundError as err:
        if err.name.split('.')[0] == 'mindlift':
            raise
print(count)
"""


def too_new(target: str, places: list[Path]) -> str:
    """What vermin finds newer than `target`; its `file` is a name that only Python 2 had."""
    vermin = Path(sys.executable).with_name("vermin")
    command = [str(vermin), "-q", "--no-tips", "--violations", f"-t={target}-", "--exclude", "file"]
    done = subprocess.run([*command, *map(str, places)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize(("target", "places"), [("3.7", IN_CONTAINERS), ("3.8", [PACKAGE])])
def test_nothing_is_newer_than_the_oldest_python(target, places):
    assert too_new(target, places) == ""


def test_vermin_sees_what_is_newer(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("if (n := len('x')) > 1:\n    print(n)\n")
    assert "named expressions require !2, 3.8" in too_new("3.7", [program])


def aliases_of_new_pythons(tree: ast.Module) -> list[str]:
    """Names that are given a type which Python 3.9 is the first to make: list[int], or Callable of collections.abc."""
    abc = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "collections.abc"
        for alias in node.names
    }
    new = abc | {"dict", "frozenset", "list", "set", "tuple", "type"}
    return [
        ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(
            isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id in new
            for part in ast.walk(node.value)
        )
    ]


def test_types_that_have_a_name_are_made_by_typing():
    """PEP 585: until Python 3.9 the generic ones are in typing. Modules that need numpy are not imported by the test below."""
    assert aliases_of_new_pythons(
        ast.parse("from collections.abc import Callable\nSay = Callable[[str], None]\nNumbers = list[int]\n")
    ) == ["Say = Callable[[str], None]", "Numbers = list[int]"]
    found = {
        str(path): aliases
        for path in PACKAGE.rglob("*.py")
        if (aliases := aliases_of_new_pythons(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def test_graph_code_makes_no_constant_of_a_variables_type():
    """MindSpore 2.0 compiles `ms.Tensor(1.0, x.dtype)` to a float64 of garbage: one_hot gave 5e-315 for 1."""
    graphs = [
        path for part in ("models", "tasks", "training") for path in sorted((PACKAGE / part).rglob("*.py"))
    ]
    found = [
        path
        for path in graphs
        if re.search(r"ms\.Tensor\([-\d.]+, *\w+\.dtype\)", path.read_text(encoding="utf-8"))
    ]
    assert graphs
    assert found == []


def test_graph_code_has_no_annotated_assignment():
    """MindSpore 2.0's parser of construct() does not know them: "Unsupported statement 'AnnAssign'"."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "construct":
                found += [
                    f"{path}:{n.lineno}"
                    for n in ast.walk(node)
                    if isinstance(n, (ast.AnnAssign, ast.NamedExpr))
                ]
    assert found == []


@pytest.mark.parametrize(("version", "left_out"), [("3.7", COMMANDS_OF_USERS), ("3.8", ())])
def test_an_old_python_compiles_it_and_imports_what_needs_no_numpy(version, left_out, tmp_path):
    python = find_python(version)
    if not python:
        pytest.skip(f"there is no Python {version} on this machine; `make matrix` needs one, too")
    files = [
        path for place in IN_CONTAINERS for path in ([place] if place.is_file() else place.rglob("*.py"))
    ]
    code = (
        "import sys\nfor name in sys.argv[1:]: compile(open(name, encoding='utf-8').read(), name, 'exec')\n"
    )
    subprocess.run([python, "-c", code, *map(str, files)], check=True)
    import yaml

    pure = tmp_path / "yaml"  # PyYAML as it is without its C part, which was built for another Python
    shutil.copytree(Path(yaml.__file__).parent, pure, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [python, "-c", MODULES, *left_out, "mindlift.__main__"],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 60
