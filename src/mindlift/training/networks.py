"""The networks of a training, built and checked before there is a run folder, so that a mistake leaves none."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore.nn as nn

from mindlift import models
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.devices import Device
from mindlift.tasks import network as networks
from mindlift.tasks.classification.distillation import WithTeacher
from mindlift.training import freezing, teacher
from mindlift.training.optimizers.groups import check_patterns, patterns_of
from mindlift.training.teacher import Teacher


@dataclass(frozen=True)
class Networks:
    """The network that is trained, before any weights are loaded, and its teacher, if it has one."""

    network: nn.Cell
    teacher: Teacher | None = None

    @property
    def shown(self) -> nn.Cell:
        """What sees the images of a batch: the network, and its teacher beside it."""
        return self.network if self.teacher is None else WithTeacher(self.network, self.teacher.network)


def build(cfg: Config, device: Device, ranks: int, weights_of_teacher: Sequence[Path] = ()) -> Networks:
    """ConfigError for options that the network has no use for, CheckpointError for weights that can't teach it."""
    network = networks.network(cfg, device, trained_by=ranks)
    names = [each.name for each in network.trainable_params()]
    check_patterns("weight_decay_exclude", patterns_of(cfg.weight_decay_exclude), names)
    freezing.of(cfg, network, functools.partial(models.head_of, cfg.net), done=0, per_epoch=1)
    if not cfg.teacher:
        return Networks(network)
    return Networks(network, teacher.of(cfg, weights_of_teacher, device))
