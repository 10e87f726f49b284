"""Runs a program of the project and counts what MindSpore compiles:

    python -m tests.support.compilations FILE PROGRAM [--option value ...]

appends to FILE a line for each graph that is compiled: the class of its outermost cell.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def install(file: Path) -> None:
    from mindspore.common import api

    compile_graph = api._CellGraphExecutor.compile

    def compiled(self: Any, cell: Any, *args: Any, **options: Any) -> Any:
        phase, is_new = compile_graph(self, cell, *args, **options)
        if is_new:
            with file.open("a", encoding="utf-8") as out:
                out.write(type(cell).__name__ + "\n")
        return phase, is_new

    api._CellGraphExecutor.compile = compiled


def main(arguments: list[str]) -> None:
    file, program, *sys.argv[1:] = arguments
    sys.argv[0] = str(ROOT / program)
    sys.path.insert(0, str(ROOT))
    install(Path(file))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
