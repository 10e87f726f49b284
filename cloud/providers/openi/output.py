"""The results of a job, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cloud.errors import Refused
from cloud.handle import Handle
from cloud.providers.openi.rest import SERVICE, Rest

DEEPEST = 16


def download(rest: Rest, handle: Handle, folder: Path) -> None:
    """All files below `folder`, each whole or not there; one of the same size is not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    for parent, name, size in files(rest, handle, "", 0):
        path = folder / safe(f"{parent}/{name}" if parent else name)
        if path.is_file() and path.stat().st_size == size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with open(part, "wb") as file:
            for piece in rest.stream(f"download {name} of job {handle.id}", "/ai_task/output/download",
                                     id=handle.id, parent_dir=parent, file_name=name):  # fmt: skip
                file.write(piece)
        os.replace(part, path)


def files(rest: Rest, handle: Handle, parent: str, depth: int) -> Iterator[tuple[str, str, int]]:
    """(folder, name, bytes) of every file."""
    answer = rest.get(f"results of job {handle.id}", "/ai_task/output", id=handle.id, parent_dir=parent)
    for item in (answer.get("output") or {}).get("file_list") or []:
        name = str(item.get("FileName", ""))
        if not item.get("IsDir"):
            yield parent, name, int(item.get("Size") or 0)
        elif depth < DEEPEST:
            yield from files(rest, handle, str(safe(f"{parent}/{name}" if parent else name)), depth + 1)


def safe(name: str) -> PurePosixPath:
    """A relative path that stays below its folder; Refused otherwise."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise Refused(
            SERVICE, "download results", "0", f"a file is called {name!r}", "it would be written elsewhere"
        )
    return path
