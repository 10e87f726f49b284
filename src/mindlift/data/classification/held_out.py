"""The images of a folder without splits that are held out to evaluate on. Pure: a function of seed and file names.

A file keeps its side when the folder is moved, and mostly when files are added: within its class, files are in the order
of a hash of seed and name, and the first of them are held out.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence

from mindlift.errors import DataError


def held_out(names: Sequence[str], labels: Sequence[int], share: float, seed: int) -> list[bool]:
    """Which images are held out: `share` of each class, rounded, but at least one image and never all of them.

    `names` are relative to the data folder. DataError if no class has two images.
    """
    classes: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        classes[label].append(index)
    found = [False] * len(names)
    for members in classes.values():
        members.sort(key=lambda index: mark(names[index], seed))
        for index in members[: count_held(len(members), share)]:
            found[index] = True
    if not any(found):
        raise DataError(
            f"--validation_split {share:g} holds out no image: no class has two; add images, or leave it out"
        )
    return found


def count_held(images: int, share: float) -> int:
    """How many of the images of a class are held out."""
    return min(max(1, int(share * images + 0.5)), images - 1) if share and images else 0


def mark(name: str, seed: int) -> bytes:
    return hashlib.sha256(os.fsencode(f"{seed}/{name}")).digest()
