"""Types of arguments that are paths of this machine: a URL is refused, and no folder called `obs:` made."""

from __future__ import annotations

import argparse
from pathlib import Path

from mindlift.storage.url import is_url


def local(text: str) -> str:
    """`text`, if it is a path; one line for a URL."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; give a path here, and copy the file yourself")
    return text


def local_path(text: str) -> Path:
    return Path(local(text))
