"""Which `moxing.file` a program gets that imports `moxing`: this one, or the platform's own.

`MOX_BACKEND=boto3` or `moxing` decides; `auto`, the default, takes this one where it reaches the store.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from mindlift.checkout import ROOT
from mindlift.errors import ConfigError, MindLiftError

COMPAT = ROOT / "compat"
CHOICES = ("auto", "boto3", "moxing")
CHOSEN: dict[str, ModuleType | None] = {}


def choose(wanted: str, has_real: bool, obstacle: Callable[[], str]) -> tuple[str, str]:
    """(boto3 or moxing, why). `obstacle` says what keeps boto3 from the store, '' if nothing does."""
    if wanted not in CHOICES:
        raise ConfigError(f"MOX_BACKEND is {wanted!r}; choose one of {', '.join(CHOICES)}")
    if wanted == "moxing" and not has_real:
        raise ConfigError(
            "MOX_BACKEND is 'moxing', but no moxing of a platform is installed; use boto3 or auto"
        )
    if wanted != "auto":
        return wanted, f"MOX_BACKEND={wanted}"
    if not has_real:
        return "boto3", "no other moxing is installed"
    problem = obstacle()
    return ("moxing", problem) if problem else ("boto3", "it reaches the store")


def file_api() -> ModuleType:
    """The module behind `moxing.file`, chosen at the first call."""
    return platform_api() or importlib.import_module(f"{__package__}.file")


def platform_api() -> ModuleType | None:
    """The platform's own `moxing.file` where it is to be used, else None; decided once, with a line in the log."""
    if "file" not in CHOSEN:
        name, reason = choose(os.environ.get("MOX_BACKEND") or "auto", find_real() is not None, obstacle)
        CHOSEN["file"] = import_real() if name == "moxing" else None
        logging.getLogger("moxing").info("moxing.file is that of %s: %s", name, reason)
    return CHOSEN["file"]


def find_real() -> Path | None:
    """The folder on sys.path with a platform's moxing; PyPI's unrelated `moxing` has no `framework`."""
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if folder != COMPAT and (folder / "moxing" / "framework").is_dir():
            return folder
    return None


def import_real() -> ModuleType:
    """The platform's `moxing.file`; it takes the place of compat/moxing in sys.modules."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "moxing"]:
        del sys.modules[name]
    path = sys.path[:]
    sys.path[:] = [str(find_real()), *(entry for entry in path if Path(entry or ".").resolve() != COMPAT)]
    try:
        return importlib.import_module("moxing").file
    finally:
        sys.path[:] = path


def obstacle() -> str:
    """Why boto3 can't be used here, or ''."""
    if importlib.util.find_spec("boto3") is None:
        return "boto3 is not installed"
    from mindlift.storage.access import Access

    try:
        access = Access()
        access.keys()
        host = urlsplit(f"//{access.settings.host}")
        port = host.port or (443 if access.settings.is_secure else 80)
        socket.create_connection((host.hostname, port), timeout=5).close()
    except (MindLiftError, OSError) as err:
        return f"boto3 can't reach the store: {err}"
    return ""
