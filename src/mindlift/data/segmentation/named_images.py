"""Images that a user names, read as an evaluation of segmentation reads its own."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Executor
from pathlib import Path

import cv2
import numpy as np

from mindlift.data import image_folder
from mindlift.data.classification.named_images import reason
from mindlift.data.decoding import decode
from mindlift.errors import DataError


class Pictures:
    """Files, decoded one by one; threads may read at once. What can't be read is in `failed`: number -> reason."""

    def __init__(self, files: list[Path], workers: int):
        cv2.setNumThreads(1)  # our own threads are as many as the CPUs
        self.files, self.workers = files, max(1, workers)
        self.failed: dict[int, str] = {}
        self.is_rotated: set[int] = set()

    @property
    def rotated(self) -> int:
        """Images with an EXIF rotation, which is not applied, because training does not apply it."""
        return len(self.is_rotated)

    def read(self, index: int) -> np.ndarray | None:
        """(H, W, 3) uint8, or None for a file that is no whole image."""
        name = str(self.files[index])
        try:
            data = image_folder.read_bytes(name)
            if image_folder.is_rotated(data):
                self.is_rotated.add(index)
            return decode(data, name)
        except DataError as err:
            self.failed[index] = reason(err)
            return None

    def batches(
        self, pool: Executor, size: int
    ) -> Generator[list[tuple[int, np.ndarray | None]], None, None]:
        """(index, image) of `size` files at a time, the last batch as long as it is; the next one is read meanwhile."""
        groups = [range(i, min(i + size, len(self.files))) for i in range(0, len(self.files), size)]
        ahead = [pool.submit(self.read, index) for index in groups[0]] if groups else []
        for group, following in zip(groups, [*groups[1:], range(0)]):
            found = [future.result() for future in ahead]
            ahead = [pool.submit(self.read, index) for index in following]
            yield list(zip(group, found))
