"""One optimiser step as a compiled graph: forward, scaled backward, all-reduce, clipping, update, average."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

from mindlift.models.batch_norms import Moving
from mindlift.training.average import Average, OnePassAverage
from mindlift.training.clipping import OnePassByNorm, clipping, rescale
from mindlift.training.loss_scale import LossScale
from mindlift.training.optimizers.formula import reset_state
from mindlift.training.overflow import all_finite, sensor


@dataclass(frozen=True)
class StepOptions:
    """`size` ranks; `accumulation` micro-batches per update. `saturates` says how the device overflows (mindlift.training.overflow).

    `clip` is the bound of the gradients that `clip_mode` (norm, value, agc) has, see clipping. `average` is the decay of the weights' exponential moving
    average (None: no average); `average_warmup` and `average_start` are the rest of average.Average.
    """

    size: int = 1
    loss_scale: float = 1024.0
    dynamic_loss_scale: bool = False
    loss_scale_window: int = 2000
    accumulation: int = 1
    clip: float | None = None
    clip_mode: str = "norm"
    average: float | None = None
    average_warmup: bool = False
    average_start: int = 0
    saturates: bool = False


class Update(nn.Cell):
    """Reduces gradients of a loss times `scale` over the ranks, divides the scale out, clips them, and applies them.

    With a dynamic scale, or on a device that saturates, an overflow changes nothing but a dynamic scale. Otherwise it
    is not looked for: the loss of the next step shows it.
    """

    def __init__(
        self,
        optimizer: nn.Optimizer,
        scale: LossScale,
        average: Average | None,
        clip: nn.Cell | None,
        options: StepOptions,
    ):
        super().__init__(auto_prefix=False)
        self.optimizer, self.scale, self.dynamic = optimizer, scale, options.dynamic_loss_scale
        self.skips = options.dynamic_loss_scale or options.saturates
        self.averages = average is not None
        if average is not None:
            self.average = average
        self.clips = clip is not None
        if clip is not None:
            self.clip = clip
        self.several = options.size > 1
        self.map = ops.HyperMap()
        self.accumulation = float(options.accumulation)
        # the optimiser divides the scale out in its own pass, where nobody looks at gradients before it but for their norm
        self.by_norm = isinstance(clip, OnePassByNorm)
        self.hands_on = bool(library_of(optimizer)) and (clip is None or self.by_norm) and not self.skips
        if self.several:
            self.reducer = nn.DistributedGradReducer(optimizer.parameters, True, options.size)
            self.all_reduce = ops.AllReduce()

    def construct(self, gradients, overflows):
        """`overflows` is this rank's count of them; returns whether there were none on any rank."""
        if self.several:
            gradients = self.reducer(gradients)
        factor = 1.0 / (self.scale.value * self.accumulation)
        if self.hands_on:
            factor = self.clip.factor(gradients, factor) if self.by_norm else factor
            return ops.depend(ms.Tensor(True), self.averaged(self.optimizer(gradients, factor)))
        gradients = self.map(ops.partial(rescale, factor), gradients)
        if not self.skips:
            return ops.depend(ms.Tensor(True), self.apply(gradients))
        if self.several:
            overflows = self.all_reduce(overflows)
        finite = ops.logical_and(all_finite(gradients), overflows == 0.0)
        if finite:
            self.apply(gradients)
        if self.dynamic:
            self.scale(finite)
        return finite

    def apply(self, gradients):
        if self.clips:
            gradients = self.clip(gradients, self.optimizer.parameters)
        return self.averaged(self.optimizer(gradients))

    def averaged(self, done):
        return self.average(done) if self.averages else done


class Backward(nn.Cell):
    """A batch -> loss, `signals` of all ranks, gradients of loss * scale, and this rank's overflows.

    The loss is a scalar float32, the mean over the ranks. `signals` (size,) float32 travels with it in one all-reduce:
    each rank sets its own number and gets everybody's (training/stop.py). `overflow` counts this rank's overflows, see
    mindlift.training.overflow. `others` are parameters that cells know by themselves, such as the keys of dropouts: a graph
    from the compile cache finds only parameters of cells.
    """

    def __init__(
        self,
        objective: nn.Cell,
        optimizer: nn.Optimizer,
        scale: LossScale,
        size: int,
        overflow: nn.Cell,
        others: Sequence[ms.Parameter],
    ):
        super().__init__(auto_prefix=False)
        self.objective, self.scale, self.overflow = objective, scale, overflow
        self.size = size
        if others:
            self.others = ms.ParameterTuple(others)
        self.moving = Moving(objective)
        self.signals = ms.Parameter(
            ms.Tensor(np.zeros(size), ms.float32), "stop_signals", requires_grad=False
        )
        self.gradient = ms.value_and_grad(self.forward, None, optimizer.parameters, has_aux=True)
        if size > 1:
            self.all_reduce = ops.AllReduce()

    def forward(self, *batch):
        loss = self.objective(*batch)
        return loss * self.scale.value, loss

    def construct(self, *batch):
        (_, loss), gradients = self.gradient(*self.overflow.clear(batch))
        overflows = self.overflow(gradients)
        if self.moving.is_needed:
            loss = ops.depend(loss, self.moving(loss))
        signals = self.signals.value()
        if self.size > 1:
            sums = self.all_reduce(ops.concat((loss.reshape(1), signals)))
            loss, signals = sums[0] / self.size, sums[1:]
        return loss, signals, gradients, overflows


class WholeStep(nn.Cell):
    """A batch -> (loss, whether nothing has overflowed, signals): a step of one batch."""

    def __init__(self, backward: Backward, update: Update):
        super().__init__(auto_prefix=False)
        self.backward, self.update = backward, update

    def construct(self, *batch):
        loss, signals, gradients, overflows = self.backward(*batch)
        return loss, self.update(gradients, overflows), signals


class Sums:
    """What is added up over the batches of a step: gradients, and how often something has overflowed."""

    def __init__(self, parameters: ms.ParameterTuple):
        self.gradients = parameters.clone(prefix="accumulated", init="zeros")
        self.overflows = ms.Parameter(ms.Tensor(0.0, ms.float32), name="overflows", requires_grad=False)


class Accumulate(nn.Cell):
    """A batch -> (loss, signals); adds the batch's gradients and overflows to `sums`."""

    def __init__(self, backward: Backward, sums: Sums):
        super().__init__(auto_prefix=False)
        self.backward, self.gradients, self.overflows = backward, sums.gradients, sums.overflows
        self.map = ops.HyperMap()

    def construct(self, *batch):
        loss, signals, gradients, overflows = self.backward(*batch)
        loss = ops.depend(loss, ops.assign_add(self.overflows, overflows))
        return ops.depend(loss, self.map(ops.assign_add, self.gradients, gradients)), signals


class ApplySums(nn.Cell):
    """() -> whether nothing has overflowed; updates the weights from `sums`, which are zero afterwards."""

    def __init__(self, update: Update, sums: Sums):
        super().__init__(auto_prefix=False)
        self.update, self.gradients, self.overflows = update, sums.gradients, sums.overflows
        self.map = ops.HyperMap()

    def construct(self):
        finite = self.update(self.gradients, self.overflows)
        zeros = self.map(ops.zeros_like, ops.depend(self.gradients, finite))
        finite = ops.depend(finite, self.map(ops.assign, self.gradients, zeros))
        return ops.depend(finite, ops.assign(self.overflows, ops.depend(ms.Tensor(0.0, ms.float32), finite)))


@dataclass(frozen=True)
class Unread:
    """What a step will give, perhaps still on its way from the device; the losses are those of its batches."""

    losses: Sequence[ms.Tensor]
    finite: ms.Tensor
    signals: ms.Tensor


def unread(outcome: tuple[ms.Tensor, ms.Tensor, ms.Tensor]) -> Unread:
    """Of what WholeStep gives."""
    loss, finite, signals = outcome
    return Unread([loss], finite, signals)


def average_of(objective: nn.Cell, optimizer: nn.Optimizer, options: StepOptions) -> Average | None:
    if options.average is None:
        return None
    weights, library = list(objective.get_parameters()), library_of(optimizer)
    numbers = options.average, options.average_warmup, options.average_start
    if library and all(weight.dtype == ms.float32 for weight in weights):
        return OnePassAverage(weights, optimizer.global_step, *numbers, library)
    return Average(weights, optimizer.global_step, *numbers)


def clip_of(objective: nn.Cell, optimizer: nn.Optimizer, options: StepOptions) -> nn.Cell | None:
    if options.clip is None:
        return None
    head = [each.name for each in objective.trainable_params()[-2:]]  # weight and bias
    names = [each.name for each in optimizer.parameters]
    return clipping(options.clip_mode, options.clip, names, head, library_of(optimizer))


def library_of(optimizer: nn.Optimizer) -> str:
    """The path of the kernels by which it computes, see one_pass.py; "" for none."""
    return getattr(optimizer, "library", "")


class TrainStep:
    """Callable on the batches of one optimiser step; `state` is what a checkpoint needs of it.

    `signals` is what this rank tells the others in a step, `heard` what all ranks told in the last one; see Backward.
    `objective` computes a scalar loss of the arrays of a batch; `optimizer` has parameters of it. `overflow` is that of
    the device unless a test has another one. `others` as of Backward.
    """

    def __init__(
        self,
        objective: nn.Cell,
        optimizer: nn.Optimizer,
        options: StepOptions,
        overflow: nn.Cell | None = None,
        others: Sequence[ms.Parameter] = (),
    ):
        scale = LossScale(options.loss_scale, options.loss_scale_window)
        objective.set_train()
        self.average = average_of(objective, optimizer, options)
        sensed = overflow or sensor(options.saturates)
        backward = Backward(objective, optimizer, scale, options.size, sensed, others)
        clip = clip_of(objective, optimizer, options)
        update = Update(optimizer, scale, self.average, clip, options)
        self.optimizer, self.scale, self.options = optimizer, scale, options
        self.signals, self.heard = backward.signals, [0] * options.size
        self.draws = bool(others)
        self.state: list[ms.Parameter] = [p for p in optimizer.get_parameters() if p.name != "learning_rate"]
        if options.dynamic_loss_scale:
            self.state += list(scale.get_parameters())
        if self.average is not None:
            self.state += list(self.average.shadows)
        self.whole = WholeStep(backward, update) if options.accumulation == 1 else None
        if self.whole is None:
            sums = Sums(optimizer.parameters)
            self.accumulate, self.apply = Accumulate(backward, sums), ApplySums(update, sums)

    def __call__(self, batches: Iterable[tuple]) -> tuple[float, bool]:
        """Train on `accumulation` batches; returns the mean loss and whether nothing has overflowed."""
        return self.read(self.begin(batches))

    def begin(self, batches: Iterable[tuple]) -> Unread:
        """Train on `accumulation` batches. A device may still compute when this returns; `read` waits for it."""
        if self.whole is not None:
            (batch,) = batches
            return unread(self.whole(*batch))
        losses, signals = [], self.signals
        for batch in batches:
            loss, signals = self.accumulate(*batch)
            if self.draws:
                loss.asnumpy()  # so that the keys of the next batch don't overtake this one
            losses.append(loss)
        return Unread(losses, self.apply(), signals)

    def read(self, outcome: Unread) -> tuple[float, bool]:
        """The mean loss, and whether nothing has overflowed; what ranks told each other in this step is heard."""
        self.hear(outcome.signals)
        losses = [float(loss.asnumpy()) for loss in outcome.losses]
        return sum(losses) / len(losses), bool(outcome.finite.asnumpy())

    def hear(self, signals: ms.Tensor) -> None:
        if self.options.size > 1:
            self.heard = [int(number) for number in signals.asnumpy()]

    def reset_state(self) -> None:
        """Begin again with the weights as they are, as a training does that starts from a checkpoint."""
        reset_state(self.optimizer)
