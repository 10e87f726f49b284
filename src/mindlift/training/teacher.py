"""The teacher of a distillation: a trained network that stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import numpy as np

from mindlift import models
from mindlift.data.classification.options import statistics
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils.config import config
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.devices import Device
from mindlift.models import layers
from mindlift.models.weights.fit import Known
from mindlift.runs import checkpoint, named_weights, provenance
from mindlift.tasks import network as networks
from mindlift.tasks.classification import task as classification

PREFIX = "teacher."
DIGEST = "distillation.teacher"  # in checkpoints; weights.fit knows that it is no weight
DIGITS = 8  # of 30 bits each, what integers keep on their way between ranks


@dataclass(frozen=True)
class Teacher:
    """`network` with its weights, in the form for inference, made with `options`.

    `digest` (DIGITS,) int32 tells its weights from others; a run's checkpoints have that of the teacher that it began with.
    `said` is what a user should know of it.
    """

    network: nn.Cell
    digest: ms.Parameter
    options: Mapping[str, object]
    said: str

    @property
    def parameters(self) -> ms.ParameterTuple:
        return ms.ParameterTuple(self.network.get_parameters())

    def check(self, run: Path) -> None:
        """ConfigError if the digest, as `run` or rank 0 has it, is of other weights than these."""
        if not np.array_equal(self.digest.asnumpy(), digest_of(self.network)):
            raise ConfigError(
                f"{run} is trained with other weights of the teacher than --teacher_weights has here now; name the file that"
                " it was begun with, or begin a new training with --resume none"
            )


def of(cfg: Config, weights: Sequence[Path], device: Device) -> Teacher:
    """The network of cfg.teacher with the first of the `weights`, to be shown the images of this training.

    CheckpointError or ConfigError for weights that can't teach it.
    """
    named = named_weights.find(weights, Path())
    path = named.files[0]
    if models.task_of(cfg.teacher) != "classification":
        raise ConfigError(f"--teacher {cfg.teacher} does not classify, and so can't teach {cfg.net}")
    check_images(cfg, path)
    wanted = config.of_network(
        {
            "net": cfg.teacher,
            "num_classes": cfg.num_classes,
            "image_size": cfg.image_size,
            "amp_level": cfg.amp_level,
            "amp_dtype": cfg.amp_dtype,
            "weights_channels": cfg.weights_channels,
        },
        "export.py",
    )
    trained = networks.network(wanted, device)
    known = checkpoint.known_weights(path, models.family_name(cfg.teacher), True, cfg.weights_channels)
    check_classes(cfg, path, known)
    needs = {
        name: allowed[0] for name, allowed in known.needs.items() if getattr(wanted, name) not in allowed
    }
    if needs:
        wanted = wanted.replace(**needs)
        trained = networks.network(wanted, device)
    options = checkpoint.LoadOptions(average=True, channels=cfg.weights_channels)
    checkpoint.load_weights(path, trained, models.family_name(cfg.teacher), wanted.to_dict(), options)
    network = networks.inference_network(wanted, trained, device)
    layers.refill(network, trained)
    for name, parameter in network.parameters_and_names():
        parameter.name, parameter.requires_grad = f"{PREFIX}{name}", False
    digest = ms.Parameter(ms.Tensor(digest_of(network)), DIGEST, requires_grad=False)
    which = ", the moving average of its weights" if known.is_average else ""
    said = "; ".join(part for part in (named.taken, f"teacher: {cfg.teacher} of {path}{which}") if part)
    return Teacher(network, digest, networks.network_options(wanted), said)


def check_classes(cfg: Config, path: Path, known: Known) -> None:
    """CheckpointError for a teacher that knows another number of classes."""
    rows = next((len(known.tensors[name]) for name in known.layout.head() if name in known.tensors), 0)
    spare = 0 if known.layout.unused_row is None else 1
    if cfg.num_classes not in (rows, rows - spare):
        raise CheckpointError(
            f"--teacher_weights {path} knows {rows} classes, and --num_classes is {cfg.num_classes}; a teacher must know the"
            " same classes"
        )


def check_images(cfg: Config, path: Path) -> None:
    """ConfigError if the run of the weights saw otherwise normalised images, as far as there is one."""
    if provenance.run_of(path) is None:
        return
    its = config.of_options({"pretrained": str(path)}, "export.py")
    if its.net != cfg.teacher:
        raise ConfigError(
            f"--teacher_weights {path} is of {its.net}, not of --teacher {cfg.teacher}; name that"
        )
    mine, theirs = (statistics(classification.options(each, 1)) for each in (cfg, its))
    if mine != theirs:
        raise ConfigError(
            f"--teacher_weights {path} was trained on images with a mean of {shown(theirs[0])}, and this training's have"
            f" {shown(mine[0])}; both see the same ones: pass --normalize as the teacher's run had it"
        )


def shown(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def digest_of(network: nn.Cell) -> np.ndarray:
    """(DIGITS,) int32, not negative: of the values of all tensors, by their names."""
    found = hashlib.sha256()
    for parameter in sorted(network.get_parameters(), key=lambda each: each.name):
        found.update(parameter.asnumpy().tobytes())
    return (np.frombuffer(found.digest(), np.uint32)[:DIGITS] >> 2).astype(np.int32)
