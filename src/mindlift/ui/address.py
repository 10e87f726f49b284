"""What a page is of: runs by their path below the folder, jobs by their handle. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

RUN = "run:"


def query(names: Sequence[str]) -> str:
    return "&".join(f"of={quote(name, safe='', errors='surrogateescape')}" for name in names)


def show_url(names: Sequence[str]) -> str:
    return f"show?{query(names)}"
