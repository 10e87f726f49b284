"""What decides the batches of images with a class each."""

from __future__ import annotations

from dataclasses import dataclass

from mindlift.data import layout
from mindlift.data.batches import STATISTICS, Options


@dataclass(frozen=True)
class ClassificationOptions(Options):
    """What of the configuration decides the batches of images with a class each.

    With `as_pixels` images stay (H, W, 3) uint8, which the graph normalises (mindlift.tasks.pixels).
    """

    augment: str
    color_jitter: float
    eval_resize: int
    allow_unused_classes: bool
    drop_remainder: bool
    crop_pct: float | None
    normalize: str
    data_format: str
    train_resize: tuple[int, int] | None = None
    eval_image_size: tuple[int, int] | None = None
    interpolation: str = "bilinear"
    rand_augment_num_layers: int = 0
    rand_augment_magnitude: float = 20.0
    mixup_alpha: float = 0.0
    mixup_shares: str = "sample"
    as_pixels: bool = False
    validation_split: float = 0.0
    sampler: str = "shuffle"
    class_weights: tuple[float, ...] = ()
    labels: str = ""

    @property
    def eval_size(self) -> tuple[int, int]:
        return self.eval_image_size or self.image_size


def statistics(options: ClassificationOptions) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel that the network's input is normalised with, in steps of 0 - 255."""
    usual = "imagenet" if options.dataset in layout.FILES else options.dataset
    wanted = usual if options.normalize == "auto" else options.normalize
    return STATISTICS.get(wanted, STATISTICS["half"])
