"""What predict.py does to classify: the classes of each image, the likeliest ones first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import numpy as np

from mindlift.data.classification.named_images import Pictures, batches
from mindlift.interrupts import Deferred
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.named_images import Image
from mindlift.tasks.classification import task as classify
from mindlift.tasks.classification.contact_sheet import ContactSheet
from mindlift.tasks.prediction_files import PROBABILITY, Class, Prediction, Writer

MEASURE = PROBABILITY
MAX_BATCH = 32


def check(cfg: Config, images: Sequence[Image]) -> None:
    """Nothing is wrong that mindlift.api.inference_job does not find."""


def max_batch_size(cfg: Config) -> int:
    """Images per batch unless the user says otherwise: a recipe's batch is meant for training."""
    return MAX_BATCH


def opened(cfg: Config, images: Sequence[Image], workers: int) -> Pictures:
    options = replace(
        classify.options(cfg, workers), as_pixels=False
    )  # exported models take normalised images
    return Pictures([image.path for image in images], options)


def writers(job: JobContext, images: Sequence[Image], names: list[str]) -> list[Writer]:
    sheet = job.cfg.contact_sheet
    return [ContactSheet(Path(sheet), len(images), names, job.log)] if sheet else []


def predictions(
    cfg: Config,
    network: Callable[[ms.Tensor], ms.Tensor],
    images: Sequence[Image],
    names: list[str],
    pictures: Pictures,
) -> Generator[Prediction, None, None]:
    """One prediction per image, in order, read and computed as they are asked for."""
    return of_logits(network, images, pictures, lambda row: ranked(row, cfg.top_k, names))


def of_logits(
    network: Callable[[ms.Tensor], ms.Tensor],
    images: Sequence[Image],
    pictures: Pictures,
    classes_of: Callable[[np.ndarray], list[Class]],
) -> Generator[Prediction, None, None]:
    """One prediction per image, with the classes that its logits (K,) float32 mean."""
    with Deferred() as interrupts, contextlib.closing(iter(batches(pictures))) as source:
        for pixels, numbers, _ in source:
            logits = network(pixels).asnumpy().astype(np.float32)
            first = int(numbers[0])
            for image, row in zip(range(first, len(images)), logits):
                error = pictures.failed.get(image, "")
                top = [] if error else classes_of(row)
                yield Prediction(*images[image], top, error)
            interrupts.check()


def ranked(logits: np.ndarray, count: int, names: list[str]) -> list[Class]:
    """The `count` likeliest classes; of equal ones the first, as evaluation counts. Logits (K,)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    share = shifted / shifted.sum()
    order = np.argsort(-logits, kind="stable")[:count]
    return [Class(int(number), names[number], float(share[number])) for number in order]
