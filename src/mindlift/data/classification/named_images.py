"""Images that a user names, read one after another as evaluation reads its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from mindlift.data import image_folder, layout
from mindlift.data.classification import pipeline, pixels, split
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.workers import InThreads
from mindlift.errors import DataError


class Pictures(split.Samples):
    """Files as samples whose label is their own number; threads may read at once. What can't be read is in `failed`:
    number -> reason.

    The pixels go the way of `pipeline.eval_batches`. A data set of files is resized and cropped there; of CIFAR-10
    and the digits, which are arrays, an image is brought to the evaluation's size here, by what resizes the arrays.
    """

    def __init__(self, files: list[Path], options: ClassificationOptions):
        super().__init__(np.arange(len(files), dtype=np.int32), files=[str(file) for file in files])
        self.encoded = options.dataset in layout.FILES
        self.options = replace(options, skip_corrupt=True, drop_remainder=False)
        self.failed: dict[int, str] = {}
        self.is_rotated: set[int] = set()

    @property
    def rotated(self) -> int:
        """Images with an EXIF rotation, which is not applied, because training does not apply it."""
        return len(self.is_rotated)

    def decode(self, index: int) -> np.ndarray | None:
        """(H, W, 3) uint8, or None for a file that is no whole image."""
        assert self.files is not None
        file = self.files[index]
        try:
            data = image_folder.read_bytes(file)
            if image_folder.is_rotated(data):
                self.is_rotated.add(index)
            return image_folder.decode(data, file)
        except DataError as err:
            self.failed[index] = reason(err)
            return None

    def read(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 of the evaluation's size; black for a file that is no whole image."""
        image = self.decode(index)
        if image is None:
            return np.zeros((*self.options.eval_size, 3), np.uint8)
        return pixels.fit(image, self.options.eval_size, self.options.interpolation)


def batches(pictures: Pictures) -> InThreads:
    """(image (B, 3, H, W) float32, number (B,) int32, weight (B,) int32), the last batch filled up to B."""
    return pipeline.eval_batches(pictures, pictures.options, 0, 1)


def reason(err: DataError) -> str:
    """Why an image could not be read, without its name."""
    cause = err.__cause__
    if isinstance(cause, UnidentifiedImageError):
        return "not an image of a known format"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause or err)
