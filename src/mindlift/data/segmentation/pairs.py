"""Images and their label images: pairs of one split, and the batches that a rank trains on.

As in mindlift.data.classification.sources, item n of a rank is computed from (seed, epoch, image) alone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mindlift.backports import Protocol
from mindlift.data import batches, decoding, strings
from mindlift.data.mindrecord import pairs as seg_records
from mindlift.data.order import BatchRange, TrainOrder, sample_rng
from mindlift.data.segmentation import label_check, transform, voc
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.options import SegmentationOptions
from mindlift.data.strings import StringArray
from mindlift.data.workers import InThreads, Unfilled
from mindlift.errors import DataError
from mindlift.model_utils.staging.shared_arrays import Arrays, Share, alone
from mindlift.model_utils.streaming import arrivals


class Source(Protocol):
    """Encoded pairs, from files or from shards. `names` are the images' as lists and shards have them."""

    @property
    def names(self) -> Sequence[str]: ...

    def image_bytes(self, index: int) -> bytes: ...

    def label_bytes(self, index: int) -> bytes: ...

    def image_name(self, index: int) -> str: ...

    def label_name(self, index: int) -> str: ...

    def paths_of(self, index: int) -> tuple[str, ...]: ...


class Files:
    """The pairs of a list, with paths below `root`."""

    def __init__(self, root: Path, names: StringArray, labels: StringArray):
        self.root, self.names, self.labels = root, names, labels

    @staticmethod
    def of(root: Path, pairs: Iterable[seg_lists.Pair]) -> Files:
        """In the order of the pairs."""
        return Files.from_arrays(root, table_of(pairs))

    @staticmethod
    def from_arrays(root: Path, found: Arrays) -> Files:
        """Of a `table_of`."""
        images = StringArray(found["images"], found["image_ends"])
        labels = StringArray(found["labels"], found["label_ends"])
        order = found.get("order")
        if order is None:
            return Files(root, images, labels)
        return Files(root, images.ordered(order), labels.ordered(order))

    def __iter__(self) -> Iterator[seg_lists.Pair]:
        return map(seg_lists.Pair, self.names, self.labels)

    def image_name(self, index: int) -> str:
        return str(self.root / self.names[index])

    def label_name(self, index: int) -> str:
        return str(self.root / self.labels[index])

    def paths_of(self, index: int) -> tuple[str, ...]:
        return self.image_name(index), self.label_name(index)

    def image_bytes(self, index: int) -> bytes:
        return read(self.image_name(index), "image")

    def label_bytes(self, index: int) -> bytes:
        return read(self.label_name(index), "label")


def table_of(pairs: Iterable[seg_lists.Pair]) -> Arrays:
    """The names of images and labels."""
    images, labels = strings.Builder(), strings.Builder()
    for portion in strings.portions(pairs):
        images.extend(pair.image for pair in portion)
        labels.extend(pair.label for pair in portion)
    names, others = images.built(), labels.built()
    return {
        "images": names.letters,
        "image_ends": names.ends,
        "labels": others.letters,
        "label_ends": others.ends,
    }


class Chained:
    """Strings one array after another, as often as they are iterated over."""

    def __init__(self, *arrays: Iterable[str]):
        self.arrays = arrays

    def __iter__(self) -> Iterator[str]:
        return itertools.chain(*self.arrays)


def checked_table(options: SegmentationOptions, path: Path, train: bool) -> Arrays:
    """The pairs of a list whose files are there, for training in the order of the images' names, wherever they lie."""
    found = table_of(seg_lists.each_pair(path, train, options.data_lst))
    files = Files.from_arrays(path, found)
    seg_lists.check_there(path, Chained(files.names, files.labels), train, options.skip_corrupt)
    if train:
        order = strings.sorting(name.rpartition("/")[2] for name in files.names)
        found["order"] = order.astype(np.int32)
    return found


def read(path: str, what: str) -> bytes:
    try:
        return arrivals.read_bytes(path)
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
    def names(self) -> Sequence[str]:
        return self.source.names

    def paths_of(self, index: int) -> tuple[str, ...]:
        """The files of pair `index`; none for rows of shards."""
        return self.source.paths_of(index)

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
        decode = functools.partial(
            self.attempted, self.decoded_pair, fatal=(voc.LabelKindError, arrivals.ArrivalError)
        )
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


def open_split(
    options: SegmentationOptions,
    path: Path,
    train: bool,
    known: Sequence[str] = (),
    share: Share = alone,
) -> Samples:
    """The pairs to train on or to evaluate, checked as far as lists and names show it; raises DataError.

    Training reads the shards of `options.data_file` if that is set; else pairs come from mindlift.data.segmentation.lists.pairs.
    """
    cv2.setNumThreads(1)  # our own threads are as many as the CPUs
    samples = Samples(source_of(options, path, train, share), options.num_classes, options.ignore_label)
    if train:
        label_check.check(samples)
    return samples


def source_of(options: SegmentationOptions, path: Path, train: bool, share: Share = alone) -> Source:
    """Training pairs are sorted by image name, so that files and shards give the same batches."""
    if train and options.data_file:
        return seg_records.Shards(options.data_file, path, share)
    found = share(f"read the list of images of {path}", lambda: checked_table(options, path, train))
    return Files.from_arrays(path, found)


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
    return InThreads(source, range(part.first, part.last), batch, options.workers, arrivals.ARRIVALS.passed)
