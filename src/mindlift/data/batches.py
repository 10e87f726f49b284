"""What the batches of both tasks share: options, failed samples, and how many batches there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mindlift.data.order import steps_per_epoch
from mindlift.errors import DataError
from mindlift.forks import Shared

T = TypeVar("T")
MOST_LINES = 5  # about images that can't be read, at a time
REPLACED, NOT_COUNTED = "another image takes its place", "it is not counted"  # in training, in an evaluation
STATISTICS = {  # of channels, in steps of 0 - 255
    "imagenet": ([0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]),
    "half": ([127.5] * 3, [127.5] * 3),
    "cifar10": ([0.4914 * 255, 0.4822 * 255, 0.4465 * 255], [0.2470 * 255, 0.2435 * 255, 0.2616 * 255]),
    "cifar100": ([0.5071 * 255, 0.4865 * 255, 0.4409 * 255], [0.2673 * 255, 0.2564 * 255, 0.2762 * 255]),
    "clip": (
        [0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255],
        [0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255],
    ),
    "dpn": ([124.0, 117.0, 104.0], [1 / 0.0167] * 3),
}


@dataclass(frozen=True)
class Options:
    """What of the configuration decides the batches of any task; `image_size` is (height, width)."""

    dataset: str
    num_classes: int
    image_size: tuple[int, int]
    per_batch_size: int
    workers: int
    seed: int
    hflip: float
    skip_corrupt: bool


class Failures(Shared):
    """What samples of all kinds share: the number of those left out, and why each image was, by its index."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0
        self.unread: dict[int, str] = {}
        self.untold: list[int] = []

    def attempted(
        self, read: Callable[[int], T], index: int, fatal: type[DataError] | tuple[type[DataError], ...] = ()
    ) -> T | None:
        """What `read` gives, or None, counted in `skipped`, if it raises DataError that is not `fatal`."""
        try:
            return read(index)
        except fatal:
            raise
        except DataError as err:
            with self.lock:
                self.skipped += 1
                if index not in self.unread:
                    self.unread[index] = str(err).rpartition("; ")[0] or str(err)  # without the advice
                    self.untold.append(index)
            return None

    def news(self, what_follows: str) -> list[str]:
        """A line for each image that was found unreadable since the last call, with what is done about it."""
        with self.lock:
            found, self.untold = self.untold, []
        lines = [f"{self.unread[index]}; {what_follows}" for index in found[:MOST_LINES]]
        rest = len(found) - len(lines)
        return [*lines, f"and {rest} more images that can't be read"] if rest else lines

    def next_good(self, decode: Callable[[int], T | None], index: int, count: int) -> tuple[int, T]:
        """The first of index, index + 1 ... (of `count`, in a circle) for which `decode` is not None, and what it gives."""
        for step in range(count):
            candidate = (index + step) % count
            found = decode(candidate)
            if found is not None:
                return candidate, found
        raise DataError(f"none of the {count} images can be decoded")


def train_steps_per_epoch(count: int, batch: int, size: int, accumulation: int) -> int:
    """Optimiser steps in an epoch; raises DataError if the images don't fill one step of all ranks."""
    if count < size:
        raise DataError(f"{size} ranks but only {count} training images; use at most {count} ranks")
    steps = steps_per_epoch(count, batch * size * accumulation)
    if steps == 0:
        parts = [f"{size} ranks"] * (size > 1) + [f"--accumulation_steps {accumulation}"] * (accumulation > 1)
        how = f": {' x '.join([*parts, f'--per_batch_size {batch}'])}" if parts else ""
        most = count // (size * accumulation)
        advice = (
            f"--per_batch_size of at most {most}"
            if most
            else f"--accumulation_steps of at most {count // size}"
        )
        raise DataError(
            f"{count} images are fewer than one batch ({batch * size * accumulation}{how}); pass a {advice}"
        )
    return steps
