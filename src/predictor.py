"""Classifies images that the user names, with a checkpoint or an exported model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from src import build, classify, exporter
from src.contact_sheet import ContactSheet
from src.data.pictures import Pictures, batches
from src.model_utils.config import COMMAND_LINE
from src.model_utils.errors import CheckpointError, PartialError
from src.model_utils.image_inputs import Image
from src.model_utils.interrupts import Deferred
from src.models import layers
from src.prediction_files import Class, CsvFile, JsonFile, Prediction, Printed
from src.run_log import RunLog

MOST_AT_ONCE = 32  # images per batch unless the user says otherwise: a recipe's batch is meant for training


def run(cfg: Any, images: Sequence[Image], names: list[str], checkpoint: Path | None, workers: int) -> None:
    """Print and write the classes of all images; PartialError, at the end, if some could not be read."""
    network = model(Path(cfg.model_file)) if checkpoint is None else trained(cfg, checkpoint)
    cfg = cfg.replace(per_batch_size=batch_size(cfg, len(images)))
    started, failed = time.monotonic(), 0
    facts = {"net": cfg.net, "weights": str(checkpoint or cfg.model_file)}
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(RunLog(None, 0, cfg.progress))
        writers = [stack.enter_context(writer) for writer in writers_of(cfg, facts, images, names, log)]
        log.start_bar("predict", "image", len(images))
        pictures = Pictures([image.path for image in images], classify.options(cfg, workers))
        for prediction in predictions(cfg, network, images, names, pictures):
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


def model(path: Path) -> nn.Cell:
    """An exported model; CheckpointError if this mindspore can't read it."""
    try:
        return nn.GraphCell(ms.load(str(path)))
    except (RuntimeError, ValueError) as err:
        raise CheckpointError(
            f"mindspore {ms.__version__} can't load {path}: {exporter.first_line(err)}; export again"
        ) from err


def trained(cfg: Any, checkpoint: Path) -> nn.Cell:
    """The network as evaluation runs it."""
    device = ms.get_context("device_target")
    network = build.network(cfg, device)
    exporter.load(cfg, network, checkpoint)
    inference = build.inference_network(cfg, network, device)
    layers.refill(inference, network)
    return inference.set_train(False)


def batch_size(cfg: Any, count: int) -> int:
    """Images per batch; an exported model's is fixed."""
    if cfg.model_file or cfg.origin("per_batch_size") == COMMAND_LINE:
        return cfg.per_batch_size
    return min(cfg.per_batch_size, MOST_AT_ONCE, count)


def writers_of(cfg: Any, facts: dict, images: Sequence[Image], names: list[str], log: RunLog) -> list[Any]:
    width = max(len(image.name) for image in images)
    writers: list[Any] = [Printed(log, width)]
    writers += [JsonFile(Path(cfg.output_json), facts)] if cfg.output_json else []
    writers += [CsvFile(Path(cfg.output_csv))] if cfg.output_csv else []
    writers += [ContactSheet(Path(cfg.contact_sheet), len(images), names, log)] if cfg.contact_sheet else []
    return writers


def predictions(
    cfg: Any, network: nn.Cell, images: Sequence[Image], names: list[str], pictures: Pictures
) -> Generator[Prediction, None, None]:
    """One prediction per image, in order, read and computed as they are asked for."""
    with Deferred() as interrupts, contextlib.closing(iter(batches(pictures))) as source:
        for pixels, numbers, _ in source:
            logits = network(pixels).asnumpy().astype(np.float32)
            first = int(numbers[0])
            for image, row in zip(range(first, len(images)), logits):
                error = pictures.failed.get(image, "")
                top = [] if error else ranked(row, cfg.top_k, names)
                yield Prediction(*images[image], top, error)
            interrupts.check()


def ranked(logits: np.ndarray, count: int, names: list[str]) -> list[Class]:
    """The `count` likeliest classes; of equal ones the first, as evaluation counts. Logits (K,)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    share = shifted / shifted.sum()
    order = np.argsort(-logits, kind="stable")[:count]
    return [Class(int(number), names[number], float(share[number])) for number in order]
