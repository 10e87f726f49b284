"""What decides the batches of images with a class each."""

from __future__ import annotations

from collections.abc import Sequence
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
    mixup_prob: float = 1.0
    mixup_switch_prob: float = 0.5
    mixup_off_epoch: int = 0
    cutmix_alpha: float = 0.0
    as_pixels: bool = False
    validation_split: float = 0.0
    sampler: str = "shuffle"
    class_weights: tuple[float, ...] = ()
    bce_pos_weight: tuple[float, ...] = ()
    labels: str = ""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop_scale: tuple[float, ...] = (0.08, 1.0)
    crop_ratio: tuple[float, ...] = (3 / 4, 4 / 3)
    vflip: float = 0.0
    grayscale: float = 0.0
    gaussian_blur: float = 0.0
    auto_augment: str = ""
    random_erase: float = 0.0
    random_erase_mode: str = "const"
    random_erase_count: int = 1
    random_erase_scale: tuple[float, ...] = (0.02, 1 / 3)
    random_erase_ratio: tuple[float, ...] = (0.3, 1 / 0.3)
    random_erase_resplit: bool = False
    aug_repeats: int = 1
    aug_splits: int = 1

    @property
    def eval_size(self) -> tuple[int, int]:
        return self.eval_image_size or self.image_size

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed with each other."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0


def statistics(options: ClassificationOptions) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel that the network's input is normalised with, in steps of 0 - 255."""
    usual = "imagenet" if options.dataset in layout.FILES else "half"
    mean, std = STATISTICS[usual if options.normalize == "auto" else options.normalize]
    return of_channels(options.mean, mean), of_channels(options.std, std)


def of_channels(given: Sequence[float] | None, known: list[float]) -> list[float]:
    """`given`, of 0 - 1, one number or one for each channel, in steps of 0 - 255; `known` where there is none."""
    if given is None:
        return known
    return [value * 255 for value in (list(given) * 3 if len(given) == 1 else given)]
