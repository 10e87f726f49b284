"""What a training reads, opened and checked before there is a run folder, so that a mistake leaves none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindlift.data import layout
from mindlift.data.batches import Options, train_steps_per_epoch
from mindlift.errors import CheckpointError
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging.shared_arrays import Share, alone
from mindlift.runs import choose, manifest, provenance
from mindlift.tasks import base as tasks
from mindlift.training import rules
from mindlift.training.schedules import from_config, lr_table, phase_starts


@dataclass(frozen=True)
class Steps:
    """The steps of the whole training: `rates` is the learning rate of each that the schedule plans, `total` of them are
    trained, and before those in `resets` the optimiser's state is reset.
    """

    rates: np.ndarray
    resets: frozenset[int]
    per_epoch: int
    total: int


@dataclass(frozen=True)
class Opened:
    """The images of a training and, where it evaluates, those of its evaluations."""

    task: tasks.AnyTask
    options: Options
    samples: tasks.Samples
    evaluated: tasks.Samples | None
    steps: Steps

    def notes(self) -> list[str]:
        """What is to be said of the files."""
        found = [self.samples.note]
        if self.evaluated is not None and self.evaluated.note != self.samples.note:
            found.append(self.evaluated.note)
        return [note for note in found if note]

    @property
    def evaluates_itself(self) -> bool:
        """Whether evaluations read the images of the training."""
        names = self.evaluated.names if self.evaluated is not None else []
        return len(names) > 0 and names == self.samples.names


def open_data(cfg: Config, ranks: Ranks, workers: int, path: Path, share: Share = alone) -> Opened:
    """Raises DataError or ConfigError for images that can't be meant, CheckpointError for a run that can't be continued.

    The ranks of a node `share` what they find.
    """
    task = tasks.of(cfg)
    rules.check_metric(cfg, task.FIGURES)
    options = task.options(cfg, workers)
    samples = task.open_split(options, path, train=True, share=share)
    options = task.train_options(cfg, options, samples)
    evaluated = None
    if cfg.evaluates:
        place = Path(cfg.eval_data_dir) if cfg.eval_data_dir else path
        evaluated = task.open_split(
            task.eval_options(options), place, train=False, known=samples.classes, share=share
        )
    steps = steps_of(cfg, ranks, len(samples))
    check_resumed(cfg, samples.classes, steps.total)
    return Opened(task, options, samples, evaluated, steps)


def steps_of(cfg: Config, ranks: Ranks, images: int) -> Steps:
    per_epoch = train_steps_per_epoch(images, cfg.per_batch_size, ranks.size, cfg.accumulation_steps)
    schedule = from_config(cfg, ranks.size, images)
    rates = lr_table(per_epoch, schedule)
    total = min(len(rates), cfg.max_steps or len(rates))
    return Steps(rates, frozenset(phase_starts(per_epoch, schedule)), per_epoch, total)


def check_resumed(cfg: Config, classes: Sequence[str], total: int) -> None:
    """Whether the checkpoint that --resume names is one of this training."""
    checkpoint = choose.explicit_checkpoint(cfg.resume)
    if checkpoint is None:
        return
    check_classes(classes, checkpoint)
    saved = (each for each in manifest.listed(checkpoint.parent) if each.file == checkpoint.name)
    check_step(checkpoint, next((each.step for each in saved), 0), total)


def check_classes(classes: Sequence[str], continued: Path) -> None:
    """DataError if the run to continue was trained with other classes, as far as that is known here."""
    began = provenance.class_names(continued)
    if classes and began:
        layout.check_same(classes, began, continued)


def check_step(continued: Path, done: int, total: int) -> None:
    """CheckpointError for a run that has done more than this training is to do."""
    if done > total:
        raise CheckpointError(
            f"{continued} is after step {done}, and this training ends after step {total}: there is nothing left to"
            " train; raise --max_epoch or --max_steps, evaluate it with eval.py, or start a new training with"
            " --resume none"
        )
