"""Images with a class each: opening one split of a data set."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mindlift.data import decoding, image_folder, layout
from mindlift.data.batches import Failures
from mindlift.data.classification.held_out import held_out
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.mindrecord import read as record_read
from mindlift.model_utils.staging.shared_arrays import Share, alone
from mindlift.model_utils.streaming.arrivals import ArrivalError


class Samples(Failures):
    """The images of one split. `encoded` ones are bytes of files, the others (H, W, 3) uint8.

    `fetch(index)` gives the bytes of image `index`, called `files[index]`, from the files `paths(index)`, if these are its own;
    without it, that file is read. `classes` are
    the names that labels number, where the data has names; `note` says what is no image.
    """

    def __init__(
        self,
        labels: np.ndarray,
        images: np.ndarray | None = None,
        files: Sequence[str] | None = None,
        fetch: Callable[[int], bytes] | None = None,
        classes: Sequence[str] = (),
        note: str = "",
        paths: Callable[[int], tuple[str, ...]] | None = None,
    ):
        super().__init__()
        self.classes, self.note = list(classes), note
        self.labels, self.images, self.files, self.fetch, self.paths = labels, images, files, fetch, paths
        self.encoded = files is not None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> Sequence[str]:
        """Of the files, empty where there are none."""
        return self.files or []

    def paths_of(self, index: int) -> tuple[str, ...]:
        """The files of image `index`; none for rows in shards and images in memory."""
        if self.paths:
            return self.paths(index)
        return (self.files[index],) if self.files is not None and not self.fetch else ()

    def encoded_bytes(self, index: int) -> bytes:
        assert self.files is not None
        return self.fetch(index) if self.fetch else image_folder.read_bytes(self.files[index])

    def named_bytes(self, index: int) -> tuple[bytes, str]:
        """The encoded image, and its name, which takes as long to make as to read a byte of it."""
        assert self.files is not None
        name = self.files[index]
        return self.fetch(index) if self.fetch else image_folder.read_bytes(name), name

    def read(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 of image `index`, where images are arrays."""
        assert self.images is not None
        return self.images[index]

    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 of image `index`; DataError that names the file if it is corrupt."""
        if self.files is None:
            return self.read(index)
        return decoding.decode(self.encoded_bytes(index), self.files[index])

    def decode(self, index: int) -> np.ndarray | None:
        """Pixels of image `index`, or None, counted in `skipped`, if it is corrupt."""
        assert self.files is not None
        return self.attempted(self.pixels, index, ArrivalError)


def open_split(
    options: ClassificationOptions,
    path: Path,
    train: bool,
    known: Sequence[str] = (),
    share: Share = alone,
) -> Samples:
    """Open the training or evaluation images below `path`; raises DataError.

    To evaluate, `known` are the classes of the training, which labels number; see layout.known_classes. The ranks of a node
    `share` what is found.
    """
    if options.data_format == "mindrecord":
        shards = record_read.open_split(path, train, options, known, share)
        if options.dataset == "imagenet":
            classes = list(known) or shards.classes
            return Samples(
                shards.labels,
                files=shards.names,
                fetch=shards.read,
                classes=classes,
                paths=shards.paths_of,
            )
        return Samples(shards.labels, images=shards.pixels())
    if options.dataset == "imagenet":
        known, folder = layout.known_classes(path, train, known), layout.split_folder(path, train)
        may_be_empty = not train or options.allow_unused_classes
        found = image_folder.scan(
            folder, options.num_classes, options.allow_unused_classes, known, may_be_empty, share
        )
        if options.validation_split:
            found = one_side(found, folder, options, train)
        return Samples(found.labels, files=found.files, classes=found.classes, note=found.note)
    reader = importlib.import_module(f"mindlift.data.classification.{layout.PIXELS[options.dataset]}")
    images, labels = reader.load(path, train, options.num_classes, options.allow_unused_classes)
    return Samples(labels, images=images)


def one_side(
    found: image_folder.Scan, folder: Path, options: ClassificationOptions, train: bool
) -> image_folder.Scan:
    """Of a folder without splits the images to train on, or those that are held out."""
    start = len(str(folder)) + 1
    names = [file[start:] for file in found.files]
    is_held = held_out(names, found.labels.tolist(), options.validation_split, options.seed)
    is_taken = np.array(is_held) != train
    files = found.files.ordered(np.flatnonzero(is_taken))
    return found._replace(files=files, labels=found.labels[is_taken])
