"""Names of files that come from outside: of objects, of manifests, of indexes. Such a name is never a path. Pure."""

from __future__ import annotations

from pathlib import Path

from mindlift import limits
from mindlift.sanitize import single_line


class FileName(str):
    """The name of a file within a folder, and no way to another one.

    It has no separators, no dot at its beginning (so it is not ".."), no control characters, and no more bytes than
    file systems take; ValueError for what is no such name. What has this type has been checked.
    """

    __slots__ = ()

    def __new__(cls, name: object) -> FileName:
        if (
            not isinstance(name, str)
            or not 0 < len(name.encode("utf-8", "backslashreplace")) <= limits.NAME_BYTES
        ):
            raise ValueError(f"expected the name of a file, found {name!r:.80}")
        if name[0] == "." or set(name) & set("/\\") or single_line(name) != name:
            raise ValueError(
                f"{name!r:.80} is no name of a file: it has a separator, a dot first or a control character"
            )
        return super().__new__(cls, name)


def is_file_name(name: object) -> bool:
    try:
        return bool(FileName(name))
    except ValueError:
        return False


def inside(folder: Path, name: str) -> Path:
    """The file `name` of a folder: what is written, replaced or removed because a text from outside names it.

    ValueError if it could be elsewhere.
    """
    return folder / FileName(name)
