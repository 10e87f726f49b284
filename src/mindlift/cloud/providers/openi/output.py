"""The results of a job, file by file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mindlift.cloud.errors import Answer, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.openi.answers import DOWNLOAD, OUTPUT
from mindlift.cloud.providers.openi.rest import SERVICE, Rest
from mindlift.files import atomic_file

DEEPEST = 16
LISTED = 101  # the server's OUTPUT_SHOW_MAX_KEY, 100 by default, and one


def download(rest: Rest, handle: Handle, folder: Path) -> None:
    """All files below `folder`, each whole or not there; one of the same size is not fetched again.

    Refused at the end if a folder holds more names than the service lists: the rest can't be had one by one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cut: list[str] = []
    for parent, name, size in files(rest, handle, "", 0, cut):
        path = folder / safe(f"{parent}/{name}" if parent else name)
        if path.is_file() and path.stat().st_size == size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, durable=False) as file:
            for piece in rest.stream(
                f"download {name} of job {handle.id}",
                DOWNLOAD,
                id=handle.id,
                parent_dir=parent,
                file_name=name,
            ):
                file.write(piece)
    if cut:
        says = f"{', '.join(cut)}: OpenI lists {LISTED} names of a folder and not more; the rest is missing in {folder}"
        hint = "download all of it on the job's page at OpenI, and keep fewer checkpoints"
        raise Refused(Answer(SERVICE, f"results of job {handle.id}", "0", says, hint))


def files(
    rest: Rest, handle: Handle, parent: str, depth: int, cut: list[str]
) -> Iterator[tuple[str, str, int]]:
    """(folder, name, bytes) of every file; folders whose listing is cut short are added to `cut`."""
    answer = rest.get(f"results of job {handle.id}", OUTPUT, id=handle.id, parent_dir=parent)
    items = (answer.get("output") or {}).get("file_list") or []
    if len(items) == LISTED:
        cut.append(parent or "the top folder")
    for item in items:
        name = str(item.get("FileName", ""))
        if not item.get("IsDir"):
            yield parent, name, int(item.get("Size") or 0)
        elif depth < DEEPEST:
            yield from files(rest, handle, str(safe(f"{parent}/{name}" if parent else name)), depth + 1, cut)


def safe(name: str) -> PurePosixPath:
    """A relative path that stays below its folder; Refused otherwise."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        says, hint = f"a file is called {name!r}", "it would be written elsewhere"
        raise Refused(Answer(SERVICE, "download results", "0", says, hint))
    return path
