"""Pooled features of images that the user names, by a network of a checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mindlift import models
from mindlift.data.classification.named_images import batches
from mindlift.errors import ConfigError, DataError
from mindlift.files import atomic_path
from mindlift.inference import predict
from mindlift.interrupts import Deferred
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.named_images import Image
from mindlift.models.features import FeatureInfo, FeatureMaps, Pooled
from mindlift.tasks.classification import predict as classes


@dataclass(frozen=True)
class Features:
    """`values` (N, C) float32 has a row for each of `names`, in the order of the images; `failed` are (name, reason).

    `layer` says which feature map of the network was pooled.
    """

    names: list[str]
    values: np.ndarray
    layer: FeatureInfo
    failed: list[tuple[str, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """To a .npy file the values, to a .npz file `features` and `names`."""
        with atomic_path(path) as part, part.open("wb") as file:
            if path.suffix.lower() == ".npy":
                np.save(file, self.values)
            else:
                np.savez(file, features=self.values, names=np.array(self.names))


def run(job: JobContext, images: Sequence[Image], checkpoint: Path) -> Features:
    """DataError if none of the images can be read."""
    if models.task_of(job.cfg.net) != "classification":
        raise ConfigError(
            f"{job.cfg.net} segments: what it sees of an image has no features as a whole; use its maps,"
            f" mindlift.create_model({job.cfg.net!r}, features_only=True)"
        )
    maps = FeatureMaps(predict.trained(job, checkpoint), [job.cfg.feature_stage])
    network = Pooled(maps).set_train(False)
    size = predict.batch_size(job.cfg, min(classes.max_batch_size(job.cfg), len(images)))
    cfg, log = job.cfg.replace(per_batch_size=size), job.log
    pictures = classes.opened(cfg, images, job.workers)
    rows: list[np.ndarray] = []
    log.start_bar("features", "image", len(images))
    with Deferred() as interrupts, contextlib.closing(iter(batches(pictures))) as source:
        for pixels, numbers, _ in source:
            found = network(pixels).asnumpy()[: len(images) - int(numbers[0])]
            rows.append(found)
            log.advance(len(found))
            interrupts.check()
    log.end_bar()
    failed = [(images[number].name, pictures.failed[number]) for number in sorted(pictures.failed)]
    good = [number for number in range(len(images)) if number not in pictures.failed]
    if not good:
        name, reason = failed[0]
        raise DataError(f"none of the {len(images)} images can be read; {name}: {reason}")
    values = np.concatenate(rows)[good]
    return Features([images[number].name for number in good], values, maps.feature_info[0], failed)
