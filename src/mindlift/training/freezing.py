"""Weights that are not trained, for the whole training or up to an epoch, and the norms among them.

Frozen weights have no gradient, no state of the optimiser and no weight decay, so that a step costs less. A batch norm
whose gamma is frozen uses its moving statistics and leaves them as they are, as in evaluation: else the network that the
weights come from would change all the same.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn

from mindlift.errors import ConfigError
from mindlift.model_utils.config.frozen import Config
from mindlift.training.step import TrainStep

STAGES = re.compile(r"stages:(\d+)")
BACKBONE = "backbone"
# How tensors of a stage begin: stages.0., layer1., blocks.0., features.3.; conv1. and bn1. are no stages.
NUMBERED = re.compile(r"(?:[a-z_]+\.)*?(?:stages?|layers?|blocks?|features?|groups?)[._]?\d+\.")


@dataclass(frozen=True)
class Freezing:
    """What of a network is frozen; before step `until` all of it is released, None: never."""

    parameters: tuple[ms.Parameter, ...]
    norms: tuple[nn.Cell, ...]
    until: int | None = None

    def apply(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad = False
        for norm in self.norms:
            norm.use_batch_statistics = (
                False  # not True: True would take those of the images in evaluation, too
            )

    def release(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad = True
        for norm in self.norms:
            norm.use_batch_statistics = None


def of(
    cfg: Config, network: nn.Cell, head: Callable[[], Sequence[str]], done: int, per_epoch: int
) -> Freezing | None:
    """What is frozen in the training after `done` steps; None for nothing. ConfigError for a part that there is not."""
    if not cfg.freeze:
        if cfg.unfreeze_epoch is not None:
            raise ConfigError(
                f"--unfreeze_epoch {cfg.unfreeze_epoch} has no effect without --freeze; leave it out"
            )
        return None
    until = None if cfg.unfreeze_epoch is None else cfg.unfreeze_epoch * per_epoch
    names = [parameter.name for parameter in network.trainable_params()]
    frozen = chosen(cfg.freeze, names, head)
    if frozen >= set(names):
        raise ConfigError(f"--freeze {cfg.freeze} leaves nothing to train; name fewer parts")
    if until is not None and done > until:
        return None
    parameters = [parameter for parameter in network.trainable_params() if parameter.name in frozen]
    return Freezing(tuple(parameters), tuple(norms_of(network, frozen)), until)


def norms_of(network: nn.Cell, names: frozenset[str]) -> list[nn.Cell]:
    """The batch norms with a gamma of these names, but those that never use the statistics of a batch."""
    found = []
    for _, cell in network.cells_and_names():
        gamma = getattr(cell, "gamma", None)
        follows = getattr(cell, "use_batch_statistics", False) is None
        if follows and gamma is not None and gamma.name in names:
            found.append(cell)
    return found


def chosen(text: str, names: Sequence[str], head: Callable[[], Sequence[str]]) -> frozenset[str]:
    """The names that a list of parts means; `head` tells those of the classifier."""
    found: set[str] = set()
    for part in filter(None, (word.strip() for word in text.split(","))):
        stages = STAGES.fullmatch(part)
        if part == BACKBONE:
            behind = head()
            some = [name for name in names if name not in behind]
        elif stages:
            some = before_stage(int(stages[1]), names)
        else:
            some = [name for name in names if fnmatch.fnmatchcase(name, part) or name.startswith(f"{part}.")]
        if not some:
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise ConfigError(
                f"--freeze {part}: no weight of this network is called so; write {BACKBONE}, stages:N, or patterns of"
                f" names such as {names[0]}, which begin with {known}"
            )
        found.update(some)
    return frozenset(found)


def before_stage(count: int, names: Sequence[str]) -> list[str]:
    """The stem and the first `count` stages: all before the first name of the next stage."""
    seen: list[str] = []
    for at, name in enumerate(names):
        match = NUMBERED.match(name)
        stage = match[0] if match else ""
        if stage and stage not in seen:
            seen.append(stage)
        if len(seen) > count:
            return list(names[:at])
    return []


def continue_with(step: TrainStep, other: TrainStep, state: list[ms.Parameter]) -> None:
    """Make `step` the same as `other`, which trains more weights, with the values of the state that both have.

    `state` is what checkpoints keep; it has the state of `other` then.
    """
    kept = {parameter.name: parameter for parameter in step.state}
    for parameter in other.state:
        if parameter.name in kept:
            parameter.set_data(ms.Tensor(kept[parameter.name].asnumpy(), parameter.dtype))
    other.signals.set_data(ms.Tensor(step.signals.asnumpy(), ms.float32))
    rest = [parameter for parameter in state if parameter.name not in kept]
    step.__dict__.update(other.__dict__)
    known = {parameter.name for parameter in rest}
    state[:] = [*rest, *(parameter for parameter in step.state if parameter.name not in known)]
