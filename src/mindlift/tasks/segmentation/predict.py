"""What predict.py does to segment: the class of each pixel, as an evaluation finds it, and which share each class has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mindspore as ms
import numpy as np

from mindlift.data.segmentation.named_images import Pictures
from mindlift.data.segmentation.transform import side_of
from mindlift.interrupts import Deferred
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.named_images import Image
from mindlift.tasks.prediction_files import Class, Prediction, Segments, Writer
from mindlift.tasks.segmentation.objective import probabilities
from mindlift.tasks.segmentation.pictures import MaskFolder, Sheet, mask_files
from mindlift.tasks.segmentation.task import Segmenter

MEASURE = "share"
MAX_BATCH_PIXELS = 4 * 513 * 513


def check(cfg: Config, images: Sequence[Image]) -> None:
    """ConfigError for outputs that would replace images, or that a model can't give."""
    if cfg.output_dir:
        mask_files(Path(cfg.output_dir), images)


def max_batch_size(cfg: Config) -> int:
    """Images per batch: of small ones more, because each batch has a time of its own; of large ones as memory allows."""
    return max(1, MAX_BATCH_PIXELS // side_of(max(cfg.scales), max(cfg.image_size)) ** 2)


def opened(cfg: Config, images: Sequence[Image], workers: int) -> Pictures:
    return Pictures([image.path for image in images], min(workers, cfg.num_parallel_workers))


def writers(job: JobContext, images: Sequence[Image], names: list[str]) -> list[Writer]:
    cfg = job.cfg
    found: list[Writer] = [MaskFolder(Path(cfg.output_dir), job.log)] if cfg.output_dir else []
    if cfg.contact_sheet:
        found.append(Sheet(Path(cfg.contact_sheet), names, job.log))
    return found


def predictions(
    cfg: Config,
    network: Callable[[ms.Tensor], ms.Tensor],
    images: Sequence[Image],
    names: list[str],
    pictures: Pictures,
) -> Generator[Prediction, None, None]:
    """One prediction per image, in order, read and computed as they are asked for."""
    masks: Sequence[Path | None] = [None] * len(images)
    if cfg.output_dir:
        masks = mask_files(Path(cfg.output_dir), images)
    with Deferred() as interrupts, ThreadPoolExecutor(pictures.workers) as pool:
        share = probabilities(network, cfg.flip)
        segmenter = Segmenter(share, max(cfg.image_size), cfg.scales, cfg.per_batch_size, pool)
        with contextlib.closing(pictures.batches(pool, cfg.per_batch_size)) as source:
            for batch in source:
                labels = segmenter.labels([image for _, image in batch if image is not None])
                for index, image in batch:
                    if image is None:
                        yield Prediction(*images[index], [], pictures.failed[index])
                    else:
                        label = next(labels)
                        found = Segments(image, label, masks[index])
                        yield Prediction(*images[index], present(label, names), segments=found)
                interrupts.check()


def present(label: np.ndarray, names: list[str]) -> list[Class]:
    """The classes of (H, W) pixels, the largest first; of equal ones the first."""
    counts = np.bincount(label.ravel(), minlength=len(names))
    order = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    return [Class(int(number), names[number], float(counts[number] / label.size)) for number in order]
