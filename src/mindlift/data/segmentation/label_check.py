"""Whether label images can be meant as they are, before a training learns nothing but background from them."""

from __future__ import annotations

import numpy as np

from mindlift.backports import Protocol
from mindlift.errors import DataError

MOST_LABELS = 200  # that are looked at until one has a class above the background
BACKGROUND = 0


class Labels(Protocol):
    num_classes: int
    ignore_label: int

    def __len__(self) -> int: ...

    def decoded_label(self, index: int) -> np.ndarray:
        """(H, W) uint8; DataError for a damaged file."""


def check(labels: Labels) -> None:
    """DataError if of up to MOST_LABELS labels, spread over all, each pixel is background or ignored, and some are ignored.

    Usually the first label answers. Damaged ones are left to what reads them, which names them.
    """
    ignored = pixels = looked_at = 0
    step = max(1, len(labels) // MOST_LABELS)
    for index in range(0, len(labels), step):
        try:
            label = labels.decoded_label(index)
        except DataError:
            continue
        is_ignored = label == labels.ignore_label
        if ((label != BACKGROUND) & ~is_ignored).any():
            return
        ignored, pixels, looked_at = ignored + int(is_ignored.sum()), pixels + label.size, looked_at + 1
    if ignored and labels.num_classes > 1:
        raise DataError(
            f"no pixel of {looked_at} labels looked at has a class above {BACKGROUND}: {100 * ignored / pixels:.1f} % are"
            f" --ignore_label {labels.ignore_label}, which is not trained, and the rest is background; if"
            f" {labels.ignore_label} is meant as a class, write it as 1 in the label images"
            f" (0 and {labels.ignore_label} is how many tools draw a mask)"
        )


def absent(pixels: np.ndarray, names: list[str]) -> str:
    """A warning that names the classes that none of the labels' pixels has, by their numbers (K,); '' if all are there."""
    lacking = [name for name, count in zip(names, pixels) if not count]
    if not lacking:
        return ""
    shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
    return (
        f"no label has a pixel of {shown}: mean IoU says nothing of {'it' if len(lacking) == 1 else 'them'}"
    )
