"""What a batch's images are mixed by: MixUp, CutMix, or for each unit one of them. Mixing is the compiled step's work.

Zhang et al., mixup (ICLR 2018); Yun et al., CutMix (ICCV 2019), algorithm 1; both together as timm's data/mixup.py.
"""

from __future__ import annotations

import numpy as np

from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.draws import symmetric_beta
from mindlift.data.order import sample_rng

MIXUP_STAGE, CHOICE_STAGE = 3, 6  # of order.sample_rng
SHARE_NUMBERS = 2  # of a share; then whether it is mixed, by what, and where
SAMPLE, PAIR, BATCH = "sample", "pair", "batch"


class Mixer:
    """The unit that has one share, and one choice between MixUp and CutMix, is options.mixup_shares.

    sample: each image, mixed with the next one. pair: image i and image B - 1 - i, mixed with each other. batch: the whole
    batch; the partners are a permutation.
    """

    def __init__(self, options: ClassificationOptions):
        self.options = options
        self.may_differ = options.cutmix_alpha > 0 or options.mixup_prob < 1

    @property
    def numbers(self) -> int:
        """How many random numbers an image takes."""
        return SHARE_NUMBERS + (4 if self.may_differ else 0)

    def arrays(self, epoch: int, number: int, rank: int, numbers: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of batch `number` with these numbers for its images (B, self.numbers): nothing, if nothing is mixed; of MixUp
        each image's partner (B,) int32, by its place in the batch, and the image's own share (B,) float32; with CutMix
        also the box that comes from the partner, (top, bottom, left, right) (B, 4) int32. An empty one means MixUp.
        """
        if not self.options.mixes:
            return ()
        partners, shares, numbers = self.drawn(number, rank, numbers)
        boxes = np.zeros((len(shares), 4), np.int64)
        is_cut = self.is_cut(numbers)
        if self.may_differ:
            is_mixed = numbers[:, 2] < self.options.mixup_prob
            shares, is_cut = np.where(is_mixed, shares, 1.0), is_cut & is_mixed
            boxes[is_cut] = box(self.options.image_size, shares[is_cut], numbers[is_cut, 4:])
            shares = np.where(is_cut, 1.0 - area(boxes) / area_of(self.options.image_size), shares)
        if 0 < self.options.mixup_off_epoch <= epoch:
            shares, boxes = np.ones(len(shares)), np.zeros_like(boxes)
        found = partners.astype(np.int32), shares.astype(np.float32)
        return (*found, boxes.astype(np.int32)) if self.options.cutmix_alpha else found

    def drawn(self, number: int, rank: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Partners, shares before CutMix corrects them, and the numbers of the unit that each image belongs to."""
        batch, unit = len(numbers), self.options.mixup_shares
        if unit == SAMPLE:
            partners = (np.arange(batch) + self.options.aug_repeats) % batch
            return partners, self.shares(numbers), numbers
        if unit == PAIR:
            mirrored = np.arange(batch)[::-1]
            numbers = numbers[np.minimum(np.arange(batch), mirrored)]
            return mirrored, self.shares(numbers), numbers
        chosen = sample_rng(self.options.seed, number, rank, CHOICE_STAGE).random(numbers.shape[1])
        numbers = np.broadcast_to(chosen, numbers.shape)
        alpha = self.options.cutmix_alpha if self.is_cut(numbers)[0] else self.options.mixup_alpha
        rng = sample_rng(self.options.seed, number, rank, MIXUP_STAGE)
        shares = np.full(batch, rng.beta(alpha, alpha))
        return rng.permutation(batch), shares, numbers

    def is_cut(self, numbers: np.ndarray) -> np.ndarray:
        """(B,) bool: whether it is CutMix."""
        if not self.options.cutmix_alpha or not self.options.mixup_alpha:
            return np.full(len(numbers), self.options.cutmix_alpha > 0)
        return numbers[:, 3] < self.options.mixup_switch_prob

    def shares(self, numbers: np.ndarray) -> np.ndarray:
        """(B,) of Beta(alpha, alpha), with the alpha of what each image is mixed by."""
        shares = [
            symmetric_beta(alpha, numbers[:, :SHARE_NUMBERS]) if alpha else np.ones(len(numbers))
            for alpha in (self.options.mixup_alpha, self.options.cutmix_alpha)
        ]
        return np.where(self.is_cut(numbers), shares[1], shares[0])


def box(size: tuple[int, int], shares: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(N, 4): top, bottom, left, right of a box with 1 - share of the area of `size` (height, width), as far as it is inside;
    its centre is any pixel, by `numbers` (N, 2)."""
    sides, found = np.array(size), np.empty((len(shares), 2, 2), np.int64)
    cut = (sides * np.sqrt(1.0 - shares)[:, None]).astype(np.int64)
    centre = (sides * numbers).astype(np.int64)
    found[:, :, 0] = np.clip(centre - cut // 2, 0, sides)
    found[:, :, 1] = np.clip(centre + (cut + 1) // 2, 0, sides)
    return found.reshape(-1, 4)


def area(boxes: np.ndarray) -> np.ndarray:
    """(N,) pixels."""
    return (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])


def area_of(size: tuple[int, int]) -> int:
    return size[0] * size[1]
