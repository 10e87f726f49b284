"""`import moxing as mox`, for code that expects it: put this file's parent folder on PYTHONPATH.

`mox.file` is MindLift's shim on boto3 or the platform's own moxing; see src/mindlift/storage/moxing/backend.py.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

__version__ = "2.0.0+mindlift"
CHECKOUT = Path(__file__).resolve().parents[2]
# in a wheel this file is in mindlift/beside/compat/moxing, in a checkout in compat/moxing
SOURCES = CHECKOUT / "src" if (CHECKOUT / "src/mindlift").is_dir() else CHECKOUT.parents[1]


def import_ours() -> None:
    """Import MindLift from beside this file, whatever the current folder calls its own packages.

    ImportError if another package of that name was imported before.
    """
    known = sys.modules.get("mindlift")
    if known is None:
        path = sys.path[:]
        sys.path.insert(0, str(SOURCES))
        try:
            known = importlib.import_module("mindlift")
        finally:
            sys.path[:] = path
    found = known.__file__ or next(iter(known.__path__))  # a folder without __init__.py is a package too
    if Path(found).resolve().parent != SOURCES / "mindlift":
        raise ImportError(f"`moxing` needs {SOURCES}/mindlift, but {found} was imported as mindlift before")


import_ours()


def __getattr__(name: str):
    if name == "file":
        return importlib.import_module("moxing.framework.file")
    raise AttributeError(f"module 'moxing' has no attribute {name!r}; of MoXing only the file API is here")
