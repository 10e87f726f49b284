"""Large pages for the memory that a network computes in on a CPU.

MindSpore takes its memory from malloc in pieces of hundreds of megabytes, in pages of 4 KiB each, and a step goes through all
of it. Linux gives pages of 2 MiB to a program that asks for them (madvise(2)), where the administrator has not switched that
off. Nothing that is computed depends on it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from pathlib import Path

MAPS, ENABLED = Path("/proc/self/maps"), Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGE = 2 << 20
LEAST = 8 << 20  # bytes of a mapping; smaller ones are not worth a call
ADVISE, COLLAPSE = 14, 25  # MADV_HUGEPAGE for what comes; MADV_COLLAPSE, of Linux 6.1, for what is there
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *(?:\[heap\])?")


def ask() -> int:
    """Ask for large pages for all large memory of this process; returns the bytes for which they are given.

    Call it when the first step has taken its memory. Does nothing where pages are not to be had by asking.
    """
    try:
        if "[madvise]" not in ENABLED.read_text():
            return 0
        mappings = ranges(MAPS.read_text().splitlines())
    except OSError:  # not Linux
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    given = 0
    for first, size in mappings:
        if madvise(first, size, ADVISE) == 0:
            madvise(first, size, COLLAPSE)  # an older kernel does it by and by
            given += size
    return given


def ranges(maps: Iterable[str]) -> list[tuple[int, int]]:
    """(address, bytes) of the large pages that lie in private memory, by the lines of /proc/self/maps."""
    found = []
    for match in filter(None, map(MAPPING.fullmatch, maps)):
        first, end = (int(text, 16) for text in match.groups())
        first, end = -(-first // PAGE) * PAGE, end // PAGE * PAGE
        if end - first >= LEAST:
            found.append((first, end - first))
    return found
