"""Learning rates, step by step. Pure functions; tested by tables.

Which of them a network's published recipe takes stands in its recipe file. `cosine_annealing` and `exponential`
are staircases over epochs with the warm-up laid over them, so a milestone inside the warm-up counts; `linear`,
`poly` and `cosine` (the MindSpore zoo's of ResNet-50) fall with every step from the end of the warm-up on, and so do
`cos` and `exp` (the zoo's of DeepLabV3, which shares `poly`);
`cosine_restarts` is SGDR's, by step, and `plateau` stays at lr, for what lowers it then is no plan (training/standing.py);
`staircase` and `hyperrule` are BigTransfer's, the port's and the paper's, with warm-ups of their own; `phases` is the
report of InceptionV4: trainings one after another, each with a warm-up and a decay of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mindlift.errors import ConfigError

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options

CODE_START = 1e-5  # where the warm-up of the report's program starts; its text says 0
STEPS_AT = (0.3, 0.6, 0.8)
ZOO_COSINE = 0.94  # of a half wave: the zoo's cosine ends before its end
ZOO_FLOOR = 1e-5
AT_ONCE = 1 << 16  # steps


@dataclass(frozen=True)
class Phase:
    """A training inside a training: `epochs` with `lr` after `warmup` epochs, times `decay` every `every` epochs."""

    epochs: int
    lr: float
    warmup: int
    decay: float
    every: int


@dataclass(frozen=True)
class ScheduleOptions:
    """`period` (T_max), `milestones`, `warmup_epochs` and `max_epoch` are in epochs; `warmup_steps` counts instead of
    `warmup_epochs` where it is not None. A period of cosine_restarts is `longer` times the one before, its top `lower`.
    """

    kind: str
    lr: float
    max_epoch: int
    warmup_epochs: float = 0.0
    eta_min: float = 0.0
    period: int | None = None
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    lr_init: float = 0.0
    power: float = 2.0
    phases: tuple[Phase, ...] = ()
    reading: str = "text"
    images: int = 0
    drop: float = 1.0
    epochs_per_drop: float = 1.0
    steps_per_drop: int = 1
    rate_of_drop: float = 1.0
    warmup_steps: int | None = None
    longer: float = 1.0
    lower: float = 1.0

    @property
    def epochs(self) -> int:
        """Epochs of the training: max_epoch, but no more than the phases have."""
        planned = sum(phase.epochs for phase in self.phases)
        return min(self.max_epoch, planned) if self.kind == "phases" else self.max_epoch


def from_config(cfg: Options, size: int, images: int) -> ScheduleOptions:
    """The schedule of `size` ranks for so many training images; see lr_base_batch for the scale of the rates."""
    scale = batch_scale(cfg, size)
    if cfg.warmup_steps is not None and cfg.lr_scheduler == "phases":
        raise ConfigError(
            f"--warmup_steps {cfg.warmup_steps}: each phase has a warm-up of its own; see --phase_warmup"
        )
    lr = cfg.lr_init if cfg.lr_scheduler == "staircase" and cfg.lr_init else cfg.lr
    return ScheduleOptions(
        cfg.lr_scheduler,
        lr * scale,
        cfg.max_epoch,
        cfg.warmup_epochs,
        cfg.eta_min,
        cfg.T_max,
        cfg.lr_epochs,
        cfg.lr_gamma,
        cfg.lr_init,
        cfg.lr_power,
        phases_of(cfg, scale),
        cfg.phase_reading,
        images,
        cfg.lr_decay,
        cfg.lr_num_epochs_per_decay,
        cfg.lr_decay_step,
        cfg.lr_decay_rate,
        cfg.warmup_steps,
        cfg.lr_cycle_mul,
        cfg.lr_cycle_decay,
    )


def batch_scale(cfg: Options, size: int) -> float:
    """The factor of the learning rate for the global batch of `size` ranks.

    Linear: Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.1. With the root: Krizhevsky, One weird trick
    (2014), section 5, and You et al., LAMB (ICLR 2020), section 4.
    """
    if not cfg.lr_base_batch:
        return 1.0
    ratio = cfg.per_batch_size * cfg.accumulation_steps * size / cfg.lr_base_batch
    return math.sqrt(ratio) if cfg.lr_base_scale == "sqrt" else ratio


def scale_note(cfg: Options, size: int) -> str:
    """What a log says of the scaled learning rate; '' where it is used as it is."""
    if not cfg.lr_base_batch:
        return ""
    scale, batch = batch_scale(cfg, size), cfg.per_batch_size * cfg.accumulation_steps * size
    first = cfg.lr_init if cfg.lr_scheduler == "staircase" and cfg.lr_init else cfg.lr
    given = cfg.phase_lr if cfg.lr_scheduler == "phases" else (first,)
    before, after = (", ".join(f"{lr * by:.4g}" for lr in given) for by in (1.0, scale))
    root = "the root of " if cfg.lr_base_scale == "sqrt" else ""
    return (
        f"learning rate {after}: {before} for a global batch of {cfg.lr_base_batch}, scaled with {root}this job's of"
        f" {batch} (--lr_base_batch)"
    )


def phases_of(cfg: Options, scale: float) -> tuple[Phase, ...]:
    """The phases to train, one after another; ConfigError if their lists differ in length."""
    if cfg.lr_scheduler != "phases":
        return ()
    names = ("phase_epochs", "phase_lr", "phase_warmup", "phase_decay", "phase_decay_epochs")
    lists = [getattr(cfg, name) for name in names]
    counts = {len(values) for values in lists}
    if len(counts) > 1 or 0 in counts:
        given = ", ".join(f"--{name} {','.join(map(str, values))}" for name, values in zip(names, lists))
        raise ConfigError(f"every phase needs one value of each: {given}")
    found = [Phase(epochs, lr * scale, *rest) for epochs, lr, *rest in zip(*lists)]
    if cfg.phase is not None and cfg.phase > len(found):
        raise ConfigError(f"--phase {cfg.phase}: there are {len(found)} phases; see --phase_epochs")
    return tuple(found if cfg.phase is None else found[cfg.phase - 1 : cfg.phase])


def cosine_annealing(epoch: int, options: ScheduleOptions) -> float:
    """Loshchilov and Hutter, SGDR, eq. 5, once per epoch; stays at eta_min after the period."""
    period = options.period or options.max_epoch
    share = min(epoch, period) / period
    return options.eta_min + (options.lr - options.eta_min) * (1 + math.cos(math.pi * share)) / 2


def exponential(epoch: int, options: ScheduleOptions) -> float:
    """lr * gamma ** (milestones reached): what the original calls exponential is multi-step."""
    return options.lr * options.gamma ** sum(epoch >= milestone for milestone in options.milestones)


def linear(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """From lr to eta_min in a straight line."""
    return options.lr - (options.lr - options.eta_min) * (steps - warmup) / (total - warmup)


def poly(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """From lr to eta_min as (1 - share) ** power."""
    left = 1 - (steps - warmup) / (total - warmup)
    return options.eta_min + (options.lr - options.eta_min) * mapped(lambda x: x**options.power, left)


def cosine(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """The zoo's product of a line and a cosine; the cosine counts from the first step, also after a warm-up."""
    left = (total - steps) / (total - warmup)
    wave = (1 + mapped(math.cos, math.pi * ZOO_COSINE * steps / (total - warmup))) / 2
    return options.lr * (left * wave + ZOO_FLOOR)


def cos(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """From lr to 0 in half a wave (Loshchilov and Hutter, SGDR, eq. 5, with every step)."""
    return options.lr * (1 + mapped(math.cos, math.pi * (steps - warmup) / (total - warmup))) / 2


def cosine_restarts(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """From lr to eta_min in half a wave, again and again (Loshchilov and Hutter, SGDR, ICLR 2017, section 3 and eq. 5).

    `period` is T_0, `longer` T_mult; a lower top for each period is of the authors' outlook and timm's CosineLRScheduler.
    """
    first = float(total - warmup)
    if options.period is not None:
        first = options.period * (total / options.max_epoch)

    def rate(step: int) -> float:
        at, length, number = float(step - warmup), first, 0
        while at >= length:
            at, length, number = at - length, length * options.longer, number + 1
        top = options.lr * options.lower**number
        return options.eta_min + (top - options.eta_min) * (1 + math.cos(math.pi * at / length)) / 2

    return mapped(rate, steps)


def plateau(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """What is planned: lr. Evaluations lower it; see standing.after."""
    return np.full(len(steps), options.lr)


def exp(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """A staircase: times rate_of_drop every steps_per_drop steps."""
    return options.lr * powers(options.rate_of_drop, (steps - warmup) // options.steps_per_drop)


def at_shares(steps: np.ndarray, warmup: int, total: int, options: ScheduleOptions) -> np.ndarray:
    """Times gamma at 30, 60 and 80 % of all steps."""
    drops = (steps[:, None] >= np.multiply(STEPS_AT, total)).sum(1)
    return options.lr * powers(options.gamma, drops)


def staircase(steps: np.ndarray, steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    """The BigTransfer port's: from 0, which the first step has, to lr in the warm-up; then a drop every so many epochs.

    Both lengths are rounded down to whole steps.
    """
    warmup = warmup_of(options, steps_per_epoch, round_to=int)
    period = max(1, int(steps_per_epoch * options.epochs_per_drop))
    later = options.lr * powers(options.drop, np.maximum(0, steps - warmup) // period)
    return np.where(steps < warmup, options.lr * steps / max(1, warmup), later)


def hyperrule(steps: np.ndarray, steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    """BiT-HyperRule: warm-up from 0, then a tenth at each milestone but the last, where the training ends."""
    warmup, *milestones = hyperrule_milestones(options.images)
    warmup = warmup if options.warmup_steps is None else options.warmup_steps
    drops = (steps[:, None] > milestones[:-1]).sum(1)
    return np.where(steps < warmup, options.lr * steps / max(1, warmup), options.lr * powers(0.1, drops))


def hyperrule_milestones(images: int) -> tuple[int, ...]:
    """Steps: end of the warm-up, drops, end of the training (Kolesnikov et al. 2020, section 3.3, and their code)."""
    if images < 20_000:
        return 100, 200, 300, 400, 500
    if images < 500_000:
        return 500, 3000, 6000, 9000, 10_000
    return 500, 6000, 12_000, 18_000, 20_000


BY_EPOCH = {"cosine_annealing": cosine_annealing, "exponential": exponential}
OWN_WARMUP = {"staircase": staircase, "hyperrule": hyperrule}
BY_STEP = {
    "linear": linear,
    "poly": poly,
    "cosine": cosine,
    "steps": at_shares,
    "cos": cos,
    "exp": exp,
    "cosine_restarts": cosine_restarts,
    "plateau": plateau,
}


def warmup_of(
    options: ScheduleOptions, steps_per_epoch: int, round_to: Callable[[float], int] = round
) -> int:
    """Steps of the warm-up."""
    if options.warmup_steps is not None:
        return options.warmup_steps
    return round_to(options.warmup_epochs * steps_per_epoch)


def mapped(function: Callable[..., float], values: np.ndarray) -> np.ndarray:
    """`function` of each value. NumPy's own cosine and power may round otherwise, and otherwise on each processor."""
    return np.fromiter(map(function, values.tolist()), np.float64, len(values))


def of_each(function: Callable[[int], float], numbers: np.ndarray) -> np.ndarray:
    """The same of numbers among which few are different: `function` is called once for each of these."""
    different, places = np.unique(numbers, return_inverse=True)
    return mapped(function, different)[places]


def powers(base: float, exponents: np.ndarray) -> np.ndarray:
    return of_each(lambda exponent: base**exponent, exponents)


def lr_of(steps: np.ndarray, steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    """Learning rates (N,) float64 of the 0-based optimiser steps (N,)."""
    if options.kind == "phases":
        return lr_in_phases(steps, steps_per_epoch, options)
    if options.kind in OWN_WARMUP:
        return OWN_WARMUP[options.kind](steps, steps_per_epoch, options)
    warmup = warmup_of(options, steps_per_epoch)
    if options.kind in BY_EPOCH:
        by_epoch = BY_EPOCH[options.kind]
        planned = of_each(lambda epoch: by_epoch(epoch, options), steps // steps_per_epoch)
    else:
        planned = np.full(len(steps), options.lr)
        later = steps >= warmup
        total = options.max_epoch * steps_per_epoch
        planned[later] = BY_STEP[options.kind](steps[later], warmup, total, options)
    warming = options.lr_init + (planned - options.lr_init) * (steps + 1) / max(1, warmup)
    return np.where(steps >= warmup, planned, warming)


def lr_in_phases(steps: np.ndarray, steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    rule = as_the_code if options.reading == "code" else as_the_text
    found, begin = np.zeros(len(steps)), 0
    for phase in options.phases:
        end = begin + phase.epochs * steps_per_epoch
        is_last = phase is options.phases[-1]
        own = (steps >= begin) & ((steps < end) | is_last)
        found[own] = rule(steps[own] - begin, steps_per_epoch, phase)
        begin = end
    return found


def as_the_text(steps: np.ndarray, steps_per_epoch: int, phase: Phase) -> np.ndarray:
    """The report's words: from 0 to lr in `warmup` epochs, then times `decay` every `every` epochs."""
    warmup = phase.warmup * steps_per_epoch
    drops = np.maximum(0, steps // steps_per_epoch - phase.warmup) // phase.every
    return np.where(steps < warmup, phase.lr * steps / max(1, warmup), phase.lr * powers(phase.decay, drops))


def as_the_code(steps: np.ndarray, steps_per_epoch: int, phase: Phase) -> np.ndarray:
    """The report's program: warm-up from 1e-5, and from its last value on a decay at every multiple of `every`
    epochs since the phase began. So phase 1 decays first at its epoch 6, phases 2 and 3 as their warm-up ends.
    """
    warmup, period = phase.warmup * steps_per_epoch, phase.every * steps_per_epoch
    at = np.minimum(steps, warmup - 1)
    reached = CODE_START + (phase.lr - CODE_START) * at / warmup if warmup else np.full(len(steps), phase.lr)
    decays = np.maximum(0, steps // period - max(0, warmup - 1) // period)
    return reached * powers(phase.decay, np.where(steps >= warmup, decays, 0))


def phase_starts(steps_per_epoch: int, options: ScheduleOptions) -> frozenset[int]:
    """The steps, counted from 0, at which a phase begins after another one."""
    found, epoch = set(), 0
    for phase in options.phases[:-1] if options.kind == "phases" else ():
        epoch += phase.epochs
        found.add(epoch * steps_per_epoch)
    return frozenset(found)


def planned_steps(steps_per_epoch: int, options: ScheduleOptions) -> int:
    """Optimiser steps of the whole training."""
    steps = options.epochs * steps_per_epoch
    return min(steps, hyperrule_milestones(options.images)[-1]) if options.kind == "hyperrule" else steps


def lr_table(steps_per_epoch: int, options: ScheduleOptions) -> np.ndarray:
    """Learning rate of every step of the training, shape (steps,), float32."""
    count = planned_steps(steps_per_epoch, options)
    rates = np.empty(count, np.float32)
    for first in range(0, count, AT_ONCE):
        steps = np.arange(first, min(first + AT_ONCE, count))
        rates[steps] = lr_of(steps, steps_per_epoch, options)
    return rates


class Evaluations:
    """After which steps a training evaluates: every eval_interval epochs and every eval_steps steps, from
    eval_start_epoch on."""

    def __init__(self, cfg: Options, per_epoch: int):
        self.epochs, self.steps = cfg.eval_interval, cfg.eval_steps
        self.per_epoch, self.first = per_epoch, cfg.eval_start_epoch * per_epoch

    def are_due(self, step: int) -> bool:
        """After so many steps in all."""
        intervals = (self.epochs * self.per_epoch, self.steps)
        return step >= max(1, self.first) and any(each and step % each == 0 for each in intervals)
