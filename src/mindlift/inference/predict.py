"""Classifies or segments images that the user names, with a checkpoint or an exported model.

What is a task's own is in a module that is a `Kind`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import mindspore.nn as nn

from mindlift.errors import PartialError
from mindlift.inference import export as exporter
from mindlift.model_utils import devices
from mindlift.model_utils.config.config import COMMAND_LINE, Config
from mindlift.model_utils.staging.named_images import Image
from mindlift.models import layers
from mindlift.runs import provenance
from mindlift.runs.log import RunLog
from mindlift.tasks import base as task
from mindlift.tasks import network as build
from mindlift.tasks.classification import predict as predict_classes
from mindlift.tasks.prediction_files import CsvFile, JsonFile, Prediction, Printed, Writer
from mindlift.tasks.segmentation import predict as predict_pixels


class Pictures(Protocol):
    """The images to read: `failed` are reasons by number, `turned` counts those with an EXIF rotation."""

    failed: dict[int, str]

    @property
    def turned(self) -> int: ...


P = TypeVar("P", bound=Pictures)


class Kind(Protocol[P]):
    """What prediction needs of a task."""

    @property
    def MEASURE(self) -> str:
        """What the share of a class is called in tables and files."""

    def check(self, cfg: Config, images: Sequence[Image]) -> None:
        """Raises ConfigError for what the task can't do."""

    def most_at_once(self, cfg: Config) -> int:
        """Images per batch unless the user says otherwise, because a recipe's batch is meant for training."""

    def opened(self, cfg: Config, images: Sequence[Image], workers: int) -> P: ...

    def writers(self, cfg: Config, images: Sequence[Image], names: list[str], log: RunLog) -> list[Writer]:
        """Where predictions go besides terminal, JSON and CSV."""

    def predictions(
        self, cfg: Config, network: Callable, images: Sequence[Image], names: list[str], pictures: P
    ) -> Generator[Prediction, None, None]:
        """One of each image, in order."""


KINDS: dict[task.AnyTask, Kind[Any]] = {
    task.CLASSIFICATION: predict_classes,
    task.SEGMENTATION: predict_pixels,
}


def run(
    cfg: Config, images: Sequence[Image], names: list[str], checkpoint: Path | None, workers: int
) -> None:
    """Print and write what is on all images; PartialError, at the end, if some could not be read."""
    kind = KINDS[task.of(cfg)]
    kind.check(cfg, images)
    network = model(cfg) if checkpoint is None else trained(cfg, checkpoint)
    cfg = cfg.replace(per_batch_size=batch_size(cfg, min(kind.most_at_once(cfg), len(images))))
    started, failed = time.monotonic(), 0
    facts = {"net": cfg.net, "weights": str(checkpoint or cfg.model_file)}
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(RunLog(None, 0, cfg.progress))
        writers = [stack.enter_context(writer) for writer in writers_of(cfg, kind, facts, images, names, log)]
        log.start_bar("predict", "image", len(images))
        pictures = kind.opened(cfg, images, workers)
        for prediction in kind.predictions(cfg, network, images, names, pictures):
            failed += bool(prediction.error)
            for writer in writers:
                writer.add(prediction)
            log.advance()
        log.end_bar()
    seconds = time.monotonic() - started
    what = "1 image" if len(images) == 1 else f"{len(images)} images"
    print(f"{what} in {seconds:.1f} s, {len(images) / seconds:.1f} images/s with compiling")
    if pictures.turned:
        print(
            f"{pictures.turned} of them have an EXIF rotation, which is not applied: training does not apply it"
        )
    if failed:
        raise PartialError(f"{failed} of {what} could not be read; they are named above")


def model(cfg: Config) -> exporter.Exported:
    return exporter.Exported(provenance.read_model(Path(cfg.model_file)))


def trained(cfg: Config, checkpoint: Path) -> nn.Cell:
    """The network as evaluation runs it."""
    device = devices.current()
    network = build.network(cfg, device)
    exporter.load(cfg, network, checkpoint)
    inference = build.inference_network(cfg, network, device)
    layers.refill(inference, network)
    return inference.set_train(False)


def batch_size(cfg: Config, most: int) -> int:
    """Images per batch; an exported model's is fixed."""
    if cfg.model_file or cfg.origin("per_batch_size") == COMMAND_LINE:
        return cfg.per_batch_size
    return min(cfg.per_batch_size, most)


def writers_of(
    cfg: Config, kind: Kind[Any], facts: dict, images: Sequence[Image], names: list[str], log: RunLog
) -> list[Writer]:
    width = max(len(image.name) for image in images)
    writers: list[Writer] = [Printed(log, width, measure=kind.MEASURE)]
    writers += [JsonFile(Path(cfg.output_json), facts, kind.MEASURE)] if cfg.output_json else []
    writers += [CsvFile(Path(cfg.output_csv), kind.MEASURE)] if cfg.output_csv else []
    return [*writers, *kind.writers(cfg, images, names, log)]
