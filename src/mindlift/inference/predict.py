"""Classifies or segments images that the user names, with a checkpoint or an exported model.

What is a task's own is in its predictor, see src/mindlift/tasks/predictor.py.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mindspore.nn as nn

from mindlift.columns import columns
from mindlift.errors import PartialError
from mindlift.inference import export as exporter
from mindlift.language import localized
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.named_images import Image
from mindlift.models import layers
from mindlift.runs import provenance
from mindlift.tasks import network as build
from mindlift.tasks import predictor as predictors
from mindlift.tasks.prediction_files import CsvFile, JsonFile, Prediction, Printed, Writer


@dataclass(frozen=True)
class Opened:
    """Images and the network that looks at them; `pictures` counts what it has seen of the files."""

    job: JobContext
    predictor: predictors.AnyPredictor
    network: predictors.Network
    images: Sequence[Image]
    pictures: predictors.Pictures

    def predictions(self, names: list[str]) -> Generator[Prediction, None, None]:
        """One of each image, in order, computed as they are asked for; `names` are those of the classes."""
        return self.predictor.predictions(self.job.cfg, self.network, self.images, names, self.pictures)


def opened(job: JobContext, images: Sequence[Image], checkpoint: Path | None) -> Opened:
    """Without a checkpoint the network is the exported model that the options name."""
    predictor = predictors.of(job.cfg)
    predictor.check(job.cfg, images)
    network = model(job.cfg) if checkpoint is None else trained(job, checkpoint)
    most = min(predictor.max_batch_size(job.cfg), len(images))
    job = replace(job, cfg=job.cfg.replace(per_batch_size=batch_size(job.cfg, most)))
    return Opened(job, predictor, network, images, predictor.opened(job.cfg, images, job.workers))


def run(job: JobContext, images: Sequence[Image], names: list[str], checkpoint: Path | None) -> None:
    """Print and write what is on all images; PartialError, at the end, if some could not be read."""
    here = opened(job, images, checkpoint)
    job, predictor, pictures = here.job, here.predictor, here.pictures
    cfg, log = job.cfg, job.log
    started, failed = time.monotonic(), 0
    facts = {"net": cfg.net, "weights": str(checkpoint or cfg.model_file)}
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(writer)
            for writer in [
                *common_writers(job, predictor.MEASURE, facts, images),
                *predictor.writers(job, images, names),
            ]
        ]
        log.start_bar("predict", "image", len(images), first="compiling the graph")
        for prediction in here.predictions(names):
            failed += bool(prediction.error)
            for writer in writers:
                writer.add(prediction)
            log.advance()
        log.end_bar()
    seconds = time.monotonic() - started
    what = "1 image" if len(images) == 1 else f"{len(images)} images"
    print(localized(f"{what} in {seconds:.1f} s, {len(images) / seconds:.1f} images/s with compiling"))
    if pictures.rotated:
        print(
            localized(
                f"{pictures.rotated} of them have an EXIF rotation, which is not applied: training does not apply it"
            )
        )
    if failed:
        raise PartialError(f"{failed} of {what} could not be read; they are named above")


def model(cfg: Config) -> exporter.Exported:
    return exporter.Exported(provenance.read_model(Path(cfg.model_file)))


def trained(job: JobContext, checkpoint: Path) -> nn.Cell:
    """The network as evaluation runs it."""
    network = build.network(job.cfg, job.device)
    exporter.load(job.cfg.of_finished_weights(), network, checkpoint)
    inference = build.inference_network(job.cfg, network, job.device)
    layers.refill(inference, network)
    return inference.set_train(False)


def batch_size(cfg: Config, most: int) -> int:
    """Images per batch; an exported model's is fixed."""
    if cfg.model_file or cfg.origin("per_batch_size") == COMMAND_LINE:
        return cfg.per_batch_size
    return min(cfg.per_batch_size, most)


def common_writers(
    job: JobContext, measure: str, facts: dict[str, str], images: Sequence[Image]
) -> list[Writer]:
    """The terminal, and the files that predictions of all tasks may go to."""
    cfg, width = job.cfg, max(columns(image.name) for image in images)
    writers: list[Writer] = [Printed(job.log, width, measure=measure)]
    writers += [JsonFile(Path(cfg.output_json), facts, measure)] if cfg.output_json else []
    writers += [CsvFile(Path(cfg.output_csv), measure)] if cfg.output_csv else []
    return writers
