"""`import moxing as mox`, for code that expects it: put this file's parent folder on PYTHONPATH.

`mox.file` is MindLift's shim on boto3 or the platform's own moxing; see src/mindlift/storage/moxing/backend.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

__version__ = "2.0.0+mindlift"

if importlib.util.find_spec("src") is None or importlib.util.find_spec("mindlift.model_utils") is None:
    sys.path.append(str(Path(__file__).resolve().parents[2]))


def __getattr__(name: str):
    if name == "file":
        return importlib.import_module("moxing.framework.file")
    raise AttributeError(f"module 'moxing' has no attribute {name!r}; of MoXing only the file API is here")
