"""Runs the code of a notebook without Jupyter: `python -m tests.support.notebook FILE.ipynb OUT.json EXPRESSION...`.

The expressions are evaluated in the order given when the last cell has run; their values go to OUT.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def code_cells(notebook: Path) -> list[str]:
    """The text of each code cell, in order (format 4: nbformat.readthedocs.io)."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def run(notebook: Path) -> dict[str, object]:
    """The names that are there after the last cell."""
    names: dict[str, object] = {"__name__": "__main__"}
    for number, text in enumerate(code_cells(notebook), 1):
        exec(compile(text, f"{notebook.name}, cell {number}", "exec"), names)
    return names


if __name__ == "__main__":
    names = run(Path(sys.argv[1]))
    values = {expression: eval(expression, names) for expression in sys.argv[3:]}
    Path(sys.argv[2]).write_text(json.dumps(values), encoding="utf-8")
