"""The 144-crop evaluation: softmax of every crop and its mirror image, averaged over an image's crops.

What an image came to is appended to a file at once, so that an evaluation of days continues after a kill, also on
another number of ranks. See src/mindlift/data/classification/crops.py for the crops and docs/evaluation.md for the protocol.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.data.ahead import Ahead
from mindlift.data.classification import crops, split
from mindlift.files import append_line, make_folder
from mindlift.interrupts import Deferred
from mindlift.json_text import Record
from mindlift.model_utils.collectives import Peers, all_sum
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.runs.log import RunLog
from mindlift.runs.records import integer, read_records
from mindlift.tasks.function_key import function_key
from mindlift.tasks.pixels import FromPixels

LINE_SECONDS = 60.0  # between two lines of a log


class CropProbabilities(FromPixels):
    """(B, S, S, 3) uint8 crops -> (B, K) float32: softmax of each plus that of its mirror image."""

    def __init__(self, network: nn.Cell, mean: list[float], std: list[float]):
        super().__init__(network, mean, std)
        self.mirror = ops.ReverseV2([3])

    def construct(self, images):
        x = self.normalised(images)
        one = ops.softmax(self.network(x).astype(ms.float32), -1)
        return one + ops.softmax(self.network(self.mirror(x)).astype(ms.float32), -1)


class Journal:
    """What is known of each image so far: one file of JSON lines per rank in a folder of this evaluation."""

    def __init__(self, folder: Path, ranks: Peers, count: int):
        self.folder, self.size, self.count = folder, ranks.size, count
        self.file = folder / f"rank_{ranks.rank}.jsonl"

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """(places, seen) (N,): of the images in any rank's file, gathered over all nodes. All ranks call it."""
        places, seen = np.zeros(self.count, np.int64), np.zeros(self.count, np.int64)
        for file in sorted(self.folder.glob("rank_*.jsonl")):
            for line in read_records(file, self.is_ours):
                places[line["image"]], seen[line["image"]] = line["place"], 1
        total = all_sum(np.concatenate([places, seen]), self.size).reshape(2, -1)
        return total[0] // np.maximum(total[1], 1), (total[1] > 0).astype(np.int64)

    def is_ours(self, line: Record) -> bool:
        image, place = integer(line.get("image")), integer(line.get("place"))
        return image is not None and 0 <= image < self.count and place is not None and place >= 0

    def add(self, image: int, label: int, mean: np.ndarray, place: int) -> None:
        top = np.argsort(-mean, kind="stable")[:5]
        append_line(
            self.file,
            {
                "image": image,
                "label": label,
                "place": place,
                "top": top.tolist(),
                "probabilities": [round(float(mean[i]), 6) for i in top],
            },
        )


def journal_folder(cfg: Config, cell: nn.Cell, checkpoint: Path, samples: split.Samples) -> Path:
    """The same for what computes the same of the same images, and another one otherwise.

    `cell` holds the weights as they are evaluated and the statistics of the images; crops depend on two options.
    """
    assert samples.files is not None
    names = ["/".join(Path(file).parts[-2:]) for file in samples.files]
    facts = {
        "function": function_key(cell),
        "crops": [cfg.crops, cfg.image_size, cfg.crop_scales],
        "images": [names, np.asarray(samples.labels).tolist()],
    }
    mark = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return Path(cfg.eval_path or cfg.ckpt_path) / f"eval-{cfg.crops}-{checkpoint.stem}-{mark}"


def evaluate(
    job: JobContext, cell: CropProbabilities, samples: split.Samples, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """(places (N,), evaluated (N,) bool) of all images, the same on every rank, by the checkpoint at `path`."""
    cfg, ranks, log = job.cfg, job.ranks, job.log
    cell.set_train(False)
    folder = journal_folder(cfg, cell, path, samples)
    make_folder(folder)
    journal = Journal(folder, ranks, len(samples))
    places, seen = journal.read()
    left = np.flatnonzero(seen == 0)
    if len(left) < len(samples):
        log.info(f"continuing: {len(samples) - len(left)} of {len(samples)} images are in {folder}")
    own = left[ranks.rank :: ranks.size]
    progress = Progress(log, len(samples), len(samples) - len(left), ranks.size)
    classes, found = np.arange(cfg.num_classes), np.zeros((2, len(samples)), np.int64)
    with Deferred() as interrupts:
        for image, mean in averages(cell, own, samples, cfg, min(cfg.num_parallel_workers, job.workers)):
            label = int(samples.labels[image])
            place = int(((mean > mean[label]) | ((mean == mean[label]) & (classes < label))).sum())
            place = place if np.isfinite(mean).all() else cfg.num_classes
            journal.add(image, label, mean, place)
            found[:, image] = place, 1
            progress.advance()
            interrupts.check()
    log.end_bar()
    found = np.array([places, seen]) + all_sum(found.ravel(), ranks.size).reshape(2, -1)
    places, seen = found
    skipped = int(all_sum(np.array([samples.skipped]), ranks.size)[0])
    if seen.sum() + skipped != len(samples):
        raise RuntimeError(f"evaluated {seen.sum()} of {len(samples)} images ({skipped} skipped)")
    return places, seen > 0


def averages(
    cell: nn.Cell, images: np.ndarray, samples: split.Samples, cfg: Config, workers: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(image, mean probabilities (K,) float64) one after another; forward passes are full across images."""
    views, size = crops.views_of(cfg.crop_scales), cfg.image_size[0]
    batch = np.zeros((cfg.crop_batch, size, size, 3), np.uint8)
    weights, owners = np.zeros(cfg.crop_batch), [-1] * cfg.crop_batch
    sums: dict[int, np.ndarray] = {}
    row = 0

    def flush() -> None:
        found = cell(ms.Tensor(batch)).asnumpy().astype(np.float64)
        for i in range(row):
            sums[owners[i]] = sums.get(owners[i], 0.0) + weights[i] * found[i]

    ended: deque[int] = deque()
    for image, taken in prepared(images, samples, cfg.crop_scales, size, workers, cfg.skip_corrupt):
        for crop, weight in taken:
            batch[row], weights[row], owners[row] = crop, weight, image
            row += 1
            if row == cfg.crop_batch:
                flush()
                row = 0
        ended.append(image)
        while ended and ended[0] not in owners[:row]:
            done = ended.popleft()
            yield done, sums.pop(done) / views
    if row:
        flush()
    while ended:
        done = ended.popleft()
        yield done, sums.pop(done) / views


def prepared(
    images: np.ndarray,
    samples: split.Samples,
    scales: tuple[int, ...],
    size: int,
    workers: int,
    skips: bool,
) -> Iterator[tuple[int, list]]:
    """(image, its crops with weights) in order, made by threads while the network computes; corrupt ones left out."""

    def make(image: int) -> list | None:
        pixels = samples.decode(image) if skips else samples.pixels(image)
        return None if pixels is None else list(crops.crops(pixels, scales, size))

    waiting: deque = deque()
    source, files = enumerate(images.tolist()), Ahead(samples.paths_of, images.tolist(), 1)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            while True:
                for number, image in itertools.islice(source, workers + 1 - len(waiting)):
                    files.ask(number)
                    waiting.append((image, pool.submit(make, image)))
                if not waiting:
                    return
                image, future = waiting.popleft()
                taken = future.result()
                if taken is not None:
                    yield image, taken
        finally:
            for _, future in waiting:
                future.cancel()


class Progress:
    """The bar on a terminal; in a log a line with the rate and the time that is left."""

    def __init__(self, log: RunLog, total: int, done: int, size: int):
        self.log, self.total, self.size = log, total, size
        self.before, self.done, self.started = done, 0, time.monotonic()
        self.said = self.started
        log.start_bar("evaluate 144 crops", "image", total, done, first="compiling the graph")

    def advance(self) -> None:
        """One more image on this rank, and as many on the others."""
        self.done += 1
        done = min(self.total, self.before + self.done * self.size)
        self.log.advance(min(self.size, self.total - (done - self.size)))
        now = time.monotonic()
        if not self.log.show_bar and now - self.said > LINE_SECONDS:
            self.said = now
            rate = self.done * self.size / (now - self.started)
            left = (self.total - done) / rate
            self.log.info(f"{done} of {self.total} images, {rate:.2f} images/s, {left / 3600:.1f} h left")
