"""Where what is staged from a bucket is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from mindlift.files import expanded, private_folder


def cache_folder(wanted: str) -> Path:
    """`wanted`, else MINDLIFT_CACHE, else /cache where a platform provides it, else below the user's cache."""
    if wanted or os.environ.get("MINDLIFT_CACHE"):
        return Path(expanded(wanted or os.environ["MINDLIFT_CACHE"]))
    if os.access("/cache", os.W_OK):
        return Path("/cache")
    home = Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    return (
        home / "mindlift"
        if os.access(home.parent, os.W_OK)
        else private_folder(f"mindlift-cache-{os.getuid()}")
    )
