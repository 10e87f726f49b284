"""Where what is staged from a bucket is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from mindlift.errors import ConfigError
from mindlift.files import expanded, private_folder
from mindlift.storage.url import is_url


def cache_folder(wanted: str) -> Path:
    """`wanted`, else MINDLIFT_CACHE, else /cache where a platform provides it, else below the user's cache.

    ConfigError for a URL.
    """
    given = wanted or os.environ.get("MINDLIFT_CACHE")
    if given and is_url(given):
        name = "--cache_path" if wanted else "MINDLIFT_CACHE"
        raise ConfigError(f"{name} {given} is a URL; give a folder of this machine")
    if given:
        return Path(expanded(given))
    if os.access("/cache", os.W_OK):
        return Path("/cache")
    home = Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    return (
        home / "mindlift"
        if os.access(home.parent, os.W_OK)
        else private_folder(f"mindlift-cache-{os.getuid()}")
    )
