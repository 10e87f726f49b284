"""Whether ModelArts takes so many files and bytes of code."""

from __future__ import annotations

from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check

MOST_FILES, MOST_BYTES = 4096, 128 << 20  # of the code; pages disagree, these are the FAQ's
MANY_FILES, MANY_BYTES = 1000, 50 << 20


def check(package: Package) -> Check:
    count, size = len(package.files), package.size_bytes
    says = f"{count} files, {size / 1e6:.1f} MB"
    if count > MOST_FILES or size > MOST_BYTES:
        largest = ", ".join(f"{name} ({bytes_ / 1e6:.1f} MB)" for name, bytes_ in package.largest(3))
        says += (
            f", but ModelArts takes {MOST_FILES} files and {MOST_BYTES >> 20} MB; the largest are {largest}"
        )
        advice = "keep data and weights out of the code, or name them in .mindliftignore"
        return Check("code size", False, says, advice)
    if count > MANY_FILES or size > MANY_BYTES:
        says += f"; ModelArts advises below {MANY_FILES} files and {MANY_BYTES >> 20} MB"
    return Check("code size", bool(count), says, "there is no file to send")
