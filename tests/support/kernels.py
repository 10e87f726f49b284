"""The kernels for CPUs, compiled once in a process of tests."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from mindlift.model_utils import cpu_kernels


@functools.lru_cache(maxsize=None)
def library() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(cpu_kernels.library(Path(folder), (2, 8)))
