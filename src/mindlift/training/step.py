"""One optimiser step as a compiled graph: forward, scaled backward, all-reduce, clipping, update, average."""

from __future__ import annotations

from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.training.average import Average
from mindlift.training.loss_scale import LossScale
from mindlift.training.optimizers import reset_state
from mindlift.training.overflow import all_finite, sensor

rescale = ops.MultitypeFuncGraph("rescale")


@rescale.register("Tensor", "Tensor")
def rescaled(factor, gradient):
    return gradient.astype(ms.float32) * factor


@dataclass(frozen=True)
class StepOptions:
    """`size` ranks; `accumulation` micro-batches per update. `saturates` says how the device overflows (mindlift.training.overflow).

    `clip_norm` is the largest global norm of the gradients. `average` is the decay of the weights' exponential moving
    average (None: no average), with `average_warmup` see averages.Average.
    """

    size: int = 1
    loss_scale: float = 1024.0
    dynamic_loss_scale: bool = False
    loss_scale_window: int = 2000
    accumulation: int = 1
    clip_norm: float | None = None
    average: float | None = None
    average_warmup: bool = False
    saturates: bool = False


class Update(nn.Cell):
    """Reduces gradients of a loss times `scale` over the ranks, divides the scale out, clips them, and applies them.

    With a dynamic scale, or on a device that saturates, an overflow changes nothing but a dynamic scale. Otherwise it
    is not looked for: the loss of the next step shows it.
    """

    def __init__(
        self, optimizer: nn.Optimizer, scale: LossScale, average: Average | None, options: StepOptions
    ):
        super().__init__(auto_prefix=False)
        self.optimizer, self.scale, self.dynamic = optimizer, scale, options.dynamic_loss_scale
        self.skips = options.dynamic_loss_scale or options.saturates
        self.averages = average is not None
        if average is not None:
            self.average = average
        self.clips, self.clip_norm = options.clip_norm is not None, options.clip_norm
        self.several = options.size > 1
        self.map = ops.HyperMap()
        self.accumulation = float(options.accumulation)
        if self.several:
            self.reducer = nn.DistributedGradReducer(optimizer.parameters, True, options.size)
            self.all_reduce = ops.AllReduce()

    def construct(self, gradients, overflows):
        """`overflows` is this rank's count of them; returns whether there were none on any rank."""
        if self.several:
            gradients = self.reducer(gradients)
        factor = 1.0 / (self.scale.value * self.accumulation)
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
            gradients = self.map(ops.partial(rescale, clip_factor(gradients, self.clip_norm)), gradients)
        done = self.optimizer(gradients)
        if self.averages:
            done = self.average(done)
        return done


def clip_factor(gradients, largest):
    """Scalar that brings the global norm down to `largest`, 1 if it is not above (Pascanu et al. 2013, algorithm 1)."""
    total = ms.Tensor(0.0, ms.float32)
    for gradient in gradients:
        total = total + ops.square(gradient).sum()
    return largest / ops.maximum(ops.sqrt(total), ms.Tensor(largest, ms.float32))


class Backward(nn.Cell):
    """A batch -> loss (scalar float32, mean over the ranks), gradients of loss * scale, and this rank's overflows.

    `overflow` counts them, see mindlift.training.overflow.
    """

    def __init__(
        self, objective: nn.Cell, optimizer: nn.Optimizer, scale: LossScale, size: int, overflow: nn.Cell
    ):
        super().__init__(auto_prefix=False)
        self.objective, self.scale, self.overflow = objective, scale, overflow
        self.size = size
        self.gradient = ms.value_and_grad(self.forward, None, optimizer.parameters, has_aux=True)
        if size > 1:
            self.all_reduce = ops.AllReduce()

    def forward(self, *batch):
        loss = self.objective(*batch)
        return loss * self.scale.value, loss

    def construct(self, *batch):
        (_, loss), gradients = self.gradient(*self.overflow.clear(batch))
        overflows = self.overflow(gradients)
        if self.size > 1:
            loss = self.all_reduce(loss) / self.size
        return loss, gradients, overflows


class WholeStep(nn.Cell):
    """A batch -> (loss, whether nothing has overflowed): a step of one batch."""

    def __init__(self, backward: Backward, update: Update):
        super().__init__(auto_prefix=False)
        self.backward, self.update = backward, update

    def construct(self, *batch):
        loss, gradients, overflows = self.backward(*batch)
        return loss, self.update(gradients, overflows)


class Sums:
    """What is added up over the batches of a step: gradients, and how often something has overflowed."""

    def __init__(self, parameters: ms.ParameterTuple):
        self.gradients = parameters.clone(prefix="accumulated", init="zeros")
        self.overflows = ms.Parameter(ms.Tensor(0.0, ms.float32), name="overflows", requires_grad=False)


class Accumulate(nn.Cell):
    """A batch -> loss; adds the batch's gradients and overflows to `sums`."""

    def __init__(self, backward: Backward, sums: Sums):
        super().__init__(auto_prefix=False)
        self.backward, self.gradients, self.overflows = backward, sums.gradients, sums.overflows
        self.map = ops.HyperMap()

    def construct(self, *batch):
        loss, gradients, overflows = self.backward(*batch)
        loss = ops.depend(loss, ops.assign_add(self.overflows, overflows))
        return ops.depend(loss, self.map(ops.assign_add, self.gradients, gradients))


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


def average_of(objective: nn.Cell, optimizer: nn.Optimizer, options: StepOptions) -> Average | None:
    if options.average is None:
        return None
    return Average(objective.get_parameters(), optimizer.global_step, options.average, options.average_warmup)


class TrainStep:
    """Callable on the batches of one optimiser step; `state` is what a checkpoint needs of it.

    `objective` computes a scalar loss of the arrays of a batch; `optimizer` has parameters of it. `overflow` is that of
    the device unless a test has another one.
    """

    def __init__(
        self,
        objective: nn.Cell,
        optimizer: nn.Optimizer,
        options: StepOptions,
        overflow: nn.Cell | None = None,
    ):
        scale = LossScale(options.loss_scale, options.loss_scale_window)
        objective.set_train()
        self.average = average_of(objective, optimizer, options)
        sensed = overflow or sensor(options.saturates)
        backward = Backward(objective, optimizer, scale, options.size, sensed)
        update = Update(optimizer, scale, self.average, options)
        self.optimizer, self.scale, self.options = optimizer, scale, options
        self.state: list[ms.Parameter] = [p for p in optimizer.get_parameters() if p.name != "learning_rate"]
        if options.dynamic_loss_scale:
            self.state += list(scale.get_parameters())
        if self.average is not None:
            self.state += list(self.average.shadows)
        self.whole = WholeStep(backward, update) if options.accumulation == 1 else None
        if self.whole is None:
            sums = Sums(optimizer.parameters)
            self.accumulate, self.apply = Accumulate(backward, sums), ApplySums(update, sums)

    def __call__(self, batches: list[tuple]) -> tuple[float, bool]:
        """Train on `accumulation` batches; returns the mean loss and whether nothing has overflowed."""
        if self.whole is not None:
            return read(self.whole(*batches[0]))
        losses = [float(self.accumulate(*batch).asnumpy()) for batch in batches]
        return sum(losses) / len(losses), bool(self.apply().asnumpy())

    def reset_state(self) -> None:
        """Begin again with the weights as they are, as a training does that starts from a checkpoint."""
        reset_state(self.optimizer)


def read(outcome: tuple[ms.Tensor, ms.Tensor]) -> tuple[float, bool]:
    """Of a step: the loss, and whether nothing has overflowed."""
    loss, finite = outcome
    return float(loss.asnumpy()), bool(finite.asnumpy())
