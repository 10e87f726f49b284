"""What decides the batches of images and their label images."""

from __future__ import annotations

from dataclasses import dataclass

from mindlift.data.batches import Options


@dataclass(frozen=True)
class SegmentationOptions(Options):
    """What of the configuration decides the pairs; `image_size` is the crop's (height, width).

    With `as_pixels` images to train on are (h, w, 4) uint8, which the graph normalises (mindlift.tasks.pixels).
    """

    min_scale: float
    max_scale: float
    ignore_label: int
    data_lst: str
    data_file: str
    as_pixels: bool = False
