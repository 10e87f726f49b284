"""What the system says of a path that it does not look up, as one line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from mindlift.errors import MindLiftError, PathError
from mindlift.sanitize import single_line


@contextlib.contextmanager
def naming_refused_paths() -> Iterator[None]:
    """PathError for what the system says of a path wherever it is first looked at, as in `Path.exists()`."""
    try:
        yield
    except OSError as err:
        if isinstance(err, MindLiftError) or not isinstance(err.filename, (str, bytes)):
            raise
        path = single_line(os.fsdecode(err.filename))
        if err.errno == errno.ENAMETOOLONG:
            raise PathError(f"{path}: too long; a name may have 255 bytes, and a path 4,095") from err
        if isinstance(err, PermissionError):
            raise PathError(
                f"{path}: permission denied; this user may not read or write it, or not enter a folder above it: ask its"
                " owner, or name another place"
            ) from err
        raise
