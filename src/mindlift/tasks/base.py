"""What a network is trained for: the tasks, and `Task`, which says what the module of one has.

What predict.py does with a task is in src/mindlift/tasks/predictor.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import mindspore.nn as nn

from mindlift import models
from mindlift.backports import Protocol
from mindlift.data import batches
from mindlift.data.classification import split
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.order import BatchRange, EpochOrder
from mindlift.data.segmentation import pairs
from mindlift.data.segmentation.options import SegmentationOptions
from mindlift.data.workers import InThreads
from mindlift.errors import ConfigError
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.staging.shared_arrays import Share, alone
from mindlift.tasks.classification import task as classify
from mindlift.tasks.multilabel import task as multilabel
from mindlift.tasks.progress import Progress
from mindlift.tasks.segmentation import task as segment


class Samples(Protocol):
    """The images of a split. `skipped` counts those that could not be read, `classes` are the names that labels number
    (empty where the data has none), `note` says which files are no images of it.
    """

    skipped: int
    unread: dict[int, str]
    classes: list[str]
    note: str

    def news(self, what_follows: str) -> list[str]:
        """A line for each image that was found unreadable since the last call."""

    @property
    def names(self) -> Sequence[str]:
        """Of the images' files; empty where there are none."""

    def paths_of(self, index: int) -> tuple[str, ...]:
        """The files that image `index` is read from; none where it has no files of its own."""

    def __len__(self) -> int: ...


O = TypeVar("O", bound=batches.Options)  # noqa: E741
S = TypeVar("S", bound=Samples)
E = TypeVar("E")


class Task(Protocol[O, S, E]):
    """A module: of options O, samples S and an Evaluator E."""

    @property
    def DATASETS(self) -> tuple[str, ...]:
        """The data sets that it can read."""

    @property
    def OPTIONS_OF(self) -> tuple[str, ...]:
        """Which `task`s of default_config.yaml have the options that this one uses."""

    @property
    def FIGURES(self) -> tuple[str, ...]:
        """What `evaluate` gives that tells checkpoints apart; by the first, of which more is better, the best is named."""

    @property
    def AUGMENTATION(self) -> int:
        """Higher than before where the same seed gives other pixels than an earlier version of this program."""

    def options(self, cfg: Config, workers: int) -> O:
        """What of the configuration decides the batches."""

    def train_options(self, cfg: Config, data: O, samples: S) -> O:
        """The same for a training on these images."""

    def eval_options(self, data: O) -> O:
        """What a training's options mean for its own evaluations."""

    def open_split(
        self, options: O, path: Path, train: bool, known: Sequence[str] = (), share: Share = alone
    ) -> S:
        """To evaluate, labels number the classes that are `known` from the training, where names are known.

        What all ranks of a node find alike is found once, by `share`.
        """

    def epoch_order(self, samples: S, data: O) -> EpochOrder:
        """Which images an epoch of all ranks takes, in order."""

    def train_batches(self, samples: S, options: O, part: BatchRange) -> InThreads: ...

    def objective(self, cfg: Config, net: nn.Cell, data: O) -> nn.Cell:
        """A cell that computes the loss of the arrays of a batch."""

    def loss_of_guessing(self, cfg: Config) -> float:
        """A loss that a network which knows nothing may have; a training whose loss is far above it diverges."""

    def Evaluator(self, cfg: Config, network: nn.Cell, data: O) -> E:
        """What evaluates a network, with whatever weights it has then; its cells are compiled once."""

    def evaluate(self, job: JobContext, evaluator: E, samples: S, path: Path) -> dict[str, object]:
        """The figures of a checkpoint, as eval.py is asked for them."""

    def final_figures(self, job: JobContext, evaluator: E, samples: S, step: int) -> dict[str, object]:
        """Figures of a training's weights after `step`, of which result.json has some; writes the run's
        evaluation.json.
        """

    def original_lines(self, at: Progress) -> list[str]:
        """What the log says of a step in the original's words (--log_style original)."""

    def input_size(self, cfg: Config) -> tuple[int, int]:
        """An exported model's (height, width)."""

    def describe(self, cfg: Config, batch: int) -> dict[str, object]:
        """What the side file of an exported model says of it."""


AnyTask = Task[Any, Any, Any]  # whose options and samples go from one of its functions to another
CLASSIFICATION: Task[ClassificationOptions, split.Samples, classify.Evaluator] = classify
MULTILABEL: Task[ClassificationOptions, split.Samples, multilabel.Evaluator] = multilabel
SEGMENTATION: Task[SegmentationOptions, pairs.Samples, segment.Evaluator] = segment
TASKS: dict[str, AnyTask] = {
    "classification": CLASSIFICATION,
    "multilabel": MULTILABEL,
    "segmentation": SEGMENTATION,
}
BY_DATA = {
    ("classification", multilabel.rules.NAME): "multilabel"
}  # of networks of a task, where the data set decides


def of(cfg: Config) -> AnyTask:
    """The task of cfg.net on its data set; ConfigError for a data set or an option that it has no use for."""
    try:
        name = models.task_of(cfg.net)
    except KeyError as err:
        raise ConfigError(str(err.args[0])) from err
    name = BY_DATA.get((name, cfg.dataset), name)
    found = TASKS[name]
    if cfg.dataset not in found.DATASETS:
        known = ", ".join(found.DATASETS)
        raise ConfigError(
            f"--dataset {cfg.dataset} is not for {name}, which {cfg.net} does; choose one of {known}"
        )
    for option in sorted(cfg.declared(), key=lambda each: each.name):
        value = getattr(cfg, option.name)
        if option.task not in ("", *found.OPTIONS_OF) and value != option.default:
            raise ConfigError(
                f"--{option.name} {value} (from {cfg.origin(option.name)}) has no effect on {name},"
                f" which {cfg.net} does; leave it out"
            )
    return found
