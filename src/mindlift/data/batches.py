"""What the pipelines of both tasks share: options, failed samples, and the batches themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mindlift.backports import Protocol
from mindlift.data.order import TrainOrder, steps_per_epoch
from mindlift.errors import DataError
from mindlift.forks import Shared

if TYPE_CHECKING:
    import mindspore.dataset as ds

T = TypeVar("T")
STATISTICS = {
    "imagenet": ([0.485 * 255, 0.456 * 255, 0.406 * 255], [0.229 * 255, 0.224 * 255, 0.225 * 255]),
    "half": ([127.5] * 3, [127.5] * 3),
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
    """What samples of all kinds share: the first failure, for `explain`, and the number of those left out."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0
        self.failure: DataError | None = None

    def remembered(self, read: Callable[[int], T], index: int) -> T:
        """What `read` gives; remembers the first DataError."""
        try:
            return read(index)
        except DataError as err:
            self.failure = self.failure or err
            raise

    def attempted(
        self, read: Callable[[int], T], index: int, fatal: type[DataError] | tuple[type[DataError], ...] = ()
    ) -> T | None:
        """What `read` gives, or None, counted in `skipped`, if it raises DataError that is not `fatal`."""
        try:
            return read(index)
        except fatal:
            raise
        except DataError:
            with self.lock:
                self.skipped += 1
            return None

    def next_good(self, decode: Callable[[int], T | None], index: int, count: int) -> tuple[int, T]:
        """The first of index, index + 1 ... (of `count`, in a circle) for which `decode` is not None, and what it gives."""
        for step in range(count):
            candidate = (index + step) % count
            found = decode(candidate)
            if found is not None:
                return candidate, found
        raise DataError(f"none of the {count} images can be decoded")

    def explain(self, err: RuntimeError) -> Exception:
        """The error to show for a failed pipeline."""
        return self.failure or err


class Stream:
    """Random access to what one rank trains on: items `start` .. `stop` - 1 of `order`, numbered from 0."""

    def __init__(self, samples: Failures, order: TrainOrder, start: int, stop: int, options: Options):
        self.samples, self.order, self.start, self.options = samples, order, start, options
        self.count = stop - start

    def __len__(self) -> int:
        return self.count


class Batches:
    """Iterates over tuples of numpy arrays, each (batch, ...); `samples` says what was skipped.

    Of an evaluation `indices` (rows,) are the images of the rows. `ahead` is the number of rows and batches that
    each stage of the pipeline may be ahead of the next one; not given: mindspore's, 16.
    """

    def __init__(
        self,
        dataset: ds.Dataset,
        samples: Failures,
        indices: np.ndarray | None = None,
        ahead: int | None = None,
    ):
        self.dataset, self.samples, self.indices, self.ahead = dataset, samples, indices, ahead

    def __len__(self) -> int:
        return self.dataset.get_dataset_size()

    def indices_by_batch(self) -> list[np.ndarray]:
        assert self.indices is not None
        return np.array_split(self.indices, len(self)) if len(self) else []

    def __iter__(self) -> Generator[tuple, None, None]:
        """Ends mindspore's threads when it is done or closed, and not only when the process ends."""
        iterator = self.iterator()
        try:
            while True:
                try:
                    row = next(iterator)
                except StopIteration:
                    return
                except RuntimeError as err:
                    explained = self.samples.explain(err)
                    raise explained from (None if explained is not err else err.__cause__)
                yield tuple(row)
        finally:
            iterator.stop()

    def iterator(self) -> Any:
        import mindspore.dataset as ds  # here, because who only decodes images, as for MindSpore Lite, may not have it

        usual = ds.config.get_prefetch_size()
        ds.config.set_prefetch_size(self.ahead or usual)
        try:
            return self.dataset.create_tuple_iterator(num_epochs=1, do_copy=False)
        finally:
            ds.config.set_prefetch_size(usual)


class Rows(Protocol):
    """What a pipeline reads: rows by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int) -> tuple: ...


class InOrder:
    """The rows of a source, one after another.

    MindSpore writes down the numbers of all rows that it will read, before the first, of a source with `__getitem__`: of
    ImageNet in 300 epochs 6 GB.
    """

    def __init__(self, rows: Rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple]:
        return map(self.rows.__getitem__, range(len(self.rows)))


def generator(source: Rows, columns: list[str]) -> ds.GeneratorDataset:
    """One Python thread: a second one only fights for the interpreter lock (4 x slower on 16 x 16 images)."""
    import mindspore.dataset as ds

    return ds.GeneratorDataset(
        InOrder(source), columns, shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )


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
