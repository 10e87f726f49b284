"""Images with a class each: opening one split of a data set."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mindlift.data import image_folder, layout
from mindlift.data.batches import Failures
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.mindrecord import read as record_read
from mindlift.errors import DataError

RECENT = 4096  # rows to search for the image that the C++ decoder refused


class Samples(Failures):
    """The images of one split. `encoded` ones are bytes of files, the others (H, W, 3) uint8.

    `fetch(index)` gives the bytes of image `index`, called `files[index]`; without it, that file is read.
    """

    def __init__(
        self,
        labels: np.ndarray,
        images: np.ndarray | None = None,
        files: list[str] | None = None,
        fetch: Callable[[int], bytes] | None = None,
    ):
        super().__init__()
        self.labels, self.images, self.files, self.fetch = labels, images, files, fetch
        self.encoded = files is not None
        self.recent: deque[int] = deque(maxlen=RECENT)

    def __len__(self) -> int:
        return len(self.labels)

    def encoded_bytes(self, index: int) -> bytes:
        assert self.files is not None
        return self.fetch(index) if self.fetch else image_folder.read_bytes(self.files[index])

    def read(self, index: int) -> np.ndarray:
        """Pixels, or the bytes of the file as (n,) uint8; remembers the first failure for `explain`."""
        if self.images is not None:
            return self.images[index]
        assert self.files is not None
        self.recent.append(index)
        return np.frombuffer(self.remembered(self.encoded_bytes, index), np.uint8)

    def pixels(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 of image `index`; DataError that names the file if it is corrupt."""
        if self.files is None:
            return self.read(index)
        return image_folder.decode(self.encoded_bytes(index), self.files[index])

    def decode(self, index: int) -> np.ndarray | None:
        """Pixels of image `index`, or None, counted in `skipped`, if it is corrupt."""
        assert self.files is not None
        return self.attempted(self.pixels, index)

    def explain(self, err: RuntimeError) -> Exception:
        """The error to show for a failed pipeline: the image that can't be read, if there is one."""
        if self.failure is None and self.files is not None:
            for index in list(self.recent):  # the pipeline's threads may still read on
                try:
                    image_folder.decode(self.encoded_bytes(index), self.files[index])
                except DataError as found:
                    return found
        return super().explain(err)


def open_split(options: ClassificationOptions, path: Path, train: bool) -> Samples:
    """Open the training or evaluation images below `path`; raises DataError."""
    if options.data_format == "mindrecord":
        shards = record_read.open_split(path, train, options)
        if options.dataset == "imagenet":
            return Samples(shards.labels, files=shards.names, fetch=shards.read)
        return Samples(shards.labels, images=shards.pixels())
    if options.dataset == "imagenet":
        folder = layout.split_folder(path, train)
        files, labels = image_folder.scan(folder, options.num_classes, options.allow_unused_classes)
        return Samples(labels, files=files)
    reader = importlib.import_module(f"mindlift.data.classification.{layout.PIXELS[options.dataset]}")
    images, labels = reader.load(path, train, options.num_classes, options.allow_unused_classes)
    return Samples(labels, images=images)
