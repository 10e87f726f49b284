"""Memory that a network computes in gets large pages, and other memory does not."""

from __future__ import annotations

import mmap
import sys

import pytest

from mindlift.model_utils import huge_pages

LINES = """\
55d0c8a00000-55d0ca000000 rw-p 00000000 00:00 0                          [heap]
7f0000001000-7f0002000fff rw-p 00000000 00:00 0
7f0010000000-7f0010700000 rw-p 00000000 00:00 0
7f0020000000-7f0028000000 r--p 00000000 00:00 0
7f0030000000-7f0038000000 rw-p 00000000 fe:01 3145                       /tmp/array
7f0040000000-7f0048000000 rw-s 00000000 00:01 5                          /dev/zero (deleted)
7ffc00000000-7ffc08000000 rw-p 00000000 00:00 0                          [stack]
"""


def test_only_large_private_memory_is_taken():
    """Whole pages of 2 MiB: the heap has eleven, the second mapping fifteen, the third is too small."""
    mib = 1 << 20
    assert huge_pages.ranges(LINES.splitlines()) == [
        (0x55D0C8A00000, 22 * mib),
        (0x7F0000200000, 30 * mib),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="madvise of Linux")
@pytest.mark.parametrize(
    ("enabled", "is_asked"), [("always [madvise] never", True), ("always madvise [never]", False)]
)
def test_memory_keeps_its_bytes(enabled, is_asked, tmp_path, monkeypatch):
    (tmp_path / "enabled").write_text(enabled + "\n")
    monkeypatch.setattr(huge_pages, "ENABLED", tmp_path / "enabled")
    size = 32 << 20
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = bytes(range(256)) * (size // 256)
    given = huge_pages.ask()
    assert (given >= size - 2 * huge_pages.PAGE) is is_asked
    assert memory[:] == bytes(range(256)) * (size // 256)
    memory.close()


def test_a_system_without_them_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(huge_pages, "ENABLED", tmp_path / "none")
    assert huge_pages.ask() == 0
