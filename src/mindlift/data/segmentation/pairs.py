"""Images and their label images: pairs of one split, and the batches that a rank trains on.

As in mindlift.data.classification.sources, item n of a rank is computed from (seed, epoch, image) alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np

from mindlift.backports import Protocol
from mindlift.data import batches, decoding
from mindlift.data.mindrecord import pairs as seg_records
from mindlift.data.order import BatchRange, TrainOrder, sample_rng
from mindlift.data.segmentation import label_check, transform, voc
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.options import SegmentationOptions
from mindlift.data.workers import InThreads, Unfilled
from mindlift.errors import DataError


class Source(Protocol):
    """Encoded pairs, from files or from shards. `names` are the images' as lists and shards have them."""

    names: list[str]

    def image_bytes(self, index: int) -> bytes: ...

    def label_bytes(self, index: int) -> bytes: ...

    def image_name(self, index: int) -> str: ...

    def label_name(self, index: int) -> str: ...


class Files:
    """The pairs of a list, with paths below `root`."""

    def __init__(self, root: Path, pairs: list[seg_lists.Pair]):
        self.root, self.pairs = root, pairs
        self.names = [pair.image for pair in pairs]

    def image_name(self, index: int) -> str:
        return str(self.root / self.pairs[index].image)

    def label_name(self, index: int) -> str:
        return str(self.root / self.pairs[index].label)

    def image_bytes(self, index: int) -> bytes:
        return read(self.image_name(index), "image")

    def label_bytes(self, index: int) -> bytes:
        return read(self.label_name(index), "label")


def read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as err:
        raise DataError(f"can't read {what} {path}: {err.strerror}") from err


class Samples(batches.Failures):
    """Pairs of one split, decoded one by one; threads may read at once. `skipped` counts those left out."""

    def __init__(self, source: Source, num_classes: int, ignore_label: int):
        super().__init__()
        self.source, self.num_classes, self.ignore_label = source, num_classes, ignore_label
        self.classes: list[str] = []  # labels are numbers here
        self.note = ""

    def __len__(self) -> int:
        return len(self.source.names)

    @property
    def names(self) -> list[str]:
        return self.source.names

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, not turned by EXIF; DataError that names a file that can't be decoded."""
        return decoding.decode(self.source.image_bytes(index), self.source.image_name(index))

    def label(self, index: int) -> np.ndarray:
        """(H, W) uint8; DataError that names it if it can't be decoded, has another size than its image, or other values."""
        label = self.decoded_label(index)
        self.check(index, self.image(index), label)
        return label

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """`image` and `label` of one index."""
        image, label = self.decoded_pair(index)
        self.check(index, image, label)
        return image, label

    def next_good_pair(self, index: int) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        """The first index from `index` on whose pair can be decoded, and the pair. Labels that are no class numbers still fail."""
        decode = functools.partial(self.attempted, self.decoded_pair, fatal=voc.LabelKindError)
        index, pair = self.next_good(decode, index, len(self))
        self.check(index, *pair)
        return index, pair

    def decoded_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.image(index), self.decoded_label(index)

    def decoded_label(self, index: int) -> np.ndarray:
        return voc.decode_label(self.source.label_bytes(index), self.source.label_name(index))

    def check(self, index: int, image: np.ndarray, label: np.ndarray) -> None:
        name, size = self.source.label_name(index), image.shape[:2]
        if label.shape != size:
            raise DataError(
                f"{name} has {label.shape[0]} x {label.shape[1]} pixels (height x width), but its image"
                f" {self.source.image_name(index)} has {size[0]} x {size[1]}"
            )
        voc.check_values(label, name, self.num_classes, self.ignore_label)


def open_split(options: SegmentationOptions, path: Path, train: bool, known: Sequence[str] = ()) -> Samples:
    """The pairs to train on or to evaluate, checked as far as lists and names show it; raises DataError.

    Training reads the shards of `options.data_file` if that is set; else pairs come from mindlift.data.segmentation.lists.pairs.
    """
    cv2.setNumThreads(1)  # our own threads are as many as the CPUs
    samples = Samples(source_of(options, path, train), options.num_classes, options.ignore_label)
    if train:
        label_check.check(samples)
    return samples


def source_of(options: SegmentationOptions, path: Path, train: bool) -> Source:
    """Training pairs are sorted by image name, so that files and shards give the same batches."""
    if train and options.data_file:
        return seg_records.Shards(options.data_file, path)
    seg_lists.check(path, train, options.data_lst, options.skip_corrupt)
    pairs = seg_lists.pairs(path, train, options.data_lst)
    return Files(path, sorted(pairs, key=lambda pair: PurePath(pair.image).name) if train else pairs)


class PairSource:
    """Batches of (images, labels); see train_batches."""

    def __init__(self, samples: Samples, order: TrainOrder, options: SegmentationOptions):
        self.samples, self.order, self.options = samples, order, options

    def batch(self, number: int) -> Unfilled:
        epoch, indices = self.order.batch(number, self.options.per_batch_size)
        pixels, classes = transform.empty(len(indices), self.options)

        def fill(row: int) -> None:
            index = int(indices[row])
            if self.options.skip_corrupt:
                index, pair = self.samples.next_good_pair(index)
            else:
                pair = self.samples.pair(index)
            rng = sample_rng(self.options.seed, epoch, index)
            transform.train_pair(pair, rng, self.options, (pixels[row], classes[row]))

        return Unfilled((pixels, classes), fill)


def train_batches(samples: Samples, options: SegmentationOptions, part: BatchRange) -> InThreads:
    """The batches of `part`: (image (B, 3, h, w) float32, label (B, h, w) int32).

    With options.as_pixels images are (B, h, w, 4) uint8, see train_pair.
    """
    batch = options.per_batch_size
    source = PairSource(samples, part.order(len(samples), batch, options.seed), options)
    return InThreads(source, range(part.first, part.last), batch, options.workers)
