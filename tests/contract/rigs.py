"""What the suites of tasks and predictors run on: for each task a small network, and a few images of its first data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mindlift import models
from mindlift.checkout import PACKAGE
from mindlift.data.classification import cifar10
from mindlift.data.segmentation import lists, voc
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.ranks import Ranks
from mindlift.runs.log import RunLog
from mindlift.tasks import base as tasks

TRAIN, VAL = 21, 7  # images; no batch size that the suites use divides them
CLASSES, SIDE = 4, 33  # of voc; digits have ten and 32 pixels
SMALL = {
    "classification": "densenet22",
    "multilabel": "densenet22",
    "segmentation": "deeplab_v3_r26_s16",
}


@dataclass(frozen=True)
class Rig:
    """A task with options and data that it can work with."""

    name: str
    task: tasks.AnyTask
    arguments: tuple[str, ...]
    path: Path

    def cfg(self, *more: str) -> Config:
        return config.load([*self.arguments, *more])

    def job(self, log: RunLog, *more: str) -> JobContext:
        return JobContext(self.cfg(*more), Ranks(), devices.of(devices.CPU), 2, log)


def make(name: str, folder: Path) -> Rig:
    """The rig of the task `name`, its images written to `folder`."""
    task = tasks.TASKS[name]
    dataset = task.DATASETS[0]
    arguments = ["--net", SMALL.get(name) or first_net(name), "--dataset", dataset, "--per_batch_size", "2"]
    return Rig(name, task, (*arguments, *WRITERS[dataset](folder)), folder)


def first_net(task: str) -> str:
    """A network that is trained for the task."""
    nets = [net for family in models.families().values() for net in family.VARIANTS]
    return next(net for net in nets if models.task_of(net) == task)


def write_digits(folder: Path) -> list[str]:
    for file, count in (("data_batch_1.bin", TRAIN), ("test_batch.bin", VAL)):
        rng = np.random.default_rng(count)
        images = rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
        cifar10.write_batch(folder / file, images, np.arange(count) % 10)
    return []


def write_voc(folder: Path) -> list[str]:
    """Pairs of different sizes."""
    for file, count in ((lists.TRAIN_LIST, TRAIN), (lists.VAL_LIST, VAL)):
        rng, pairs = np.random.default_rng(count), []
        for number in range(count):
            size = (30 + number, 50 - number)
            pair = lists.Pair(f"{count}_{number:02}.jpg", f"{count}_{number:02}.png")
            pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / pair.image, quality=90)
            label = rng.integers(0, CLASSES, size).astype(np.uint8)
            label[0] = 255  # ignored
            (folder / pair.label).write_bytes(voc.as_png(label, coloured=True))
            pairs.append(pair)
        lists.write(folder / file, pairs)
    return ["--num_classes", str(CLASSES), "--image_size", str(SIDE)]


def write_labelled(folder: Path) -> list[str]:
    """Photos with none to four labels each; ending with the recipe that a data set without its own is read with."""
    for split, count in (("train", TRAIN), ("val", VAL)):
        rng, lines = np.random.default_rng(count), ["image,a,b,c,d"]
        (folder / split).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (30 + number, 50 - number, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{number:02}.jpg", quality=90)
            lines.append(",".join([f"{number:02}.jpg", *map(str, rng.integers(0, 2, CLASSES))]))
        (folder / split / "labels.csv").write_text("\n".join(lines))
    recipe = PACKAGE / "models/densenet/recipes/densenet22_digits.yaml"
    return ["--num_classes", str(CLASSES), "--image_size", "32", "--config_path", str(recipe)]


WRITERS: dict[str, Callable[[Path], list[str]]] = {
    "digits": write_digits,
    "multilabel": write_labelled,
    "voc": write_voc,
}
