"""One optimiser step as a compiled graph: forward, scaled backward, all-reduce, clipping, update, average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from src.averages import Average
from src.loss_scale import LossScale
from src.optim import forget

rescale = ops.MultitypeFuncGraph("rescale")


@rescale.register("Tensor", "Tensor")
def rescaled(factor, gradient):
    return gradient.astype(ms.float32) * factor


@dataclass(frozen=True)
class StepOptions:
    """`size` ranks; `accumulation` micro-batches per update.

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


class Update(nn.Cell):
    """Reduces gradients of a loss times `scale` over the ranks, divides the scale out, clips them, and applies them.

    With a dynamic scale, gradients that are not finite change nothing but the scale.
    """

    def __init__(
        self, optimizer: nn.Optimizer, scale: LossScale, average: Average | None, options: StepOptions
    ):
        super().__init__(auto_prefix=False)
        self.optimizer, self.scale, self.dynamic = optimizer, scale, options.dynamic_loss_scale
        self.average, self.averages = average, average is not None
        self.clips, self.clip_norm = options.clip_norm is not None, options.clip_norm
        self.several = options.size > 1
        self.map = ops.HyperMap()
        self.accumulation = float(options.accumulation)
        if self.several:
            self.reducer = nn.DistributedGradReducer(optimizer.parameters, True, options.size)

    def construct(self, gradients):
        if self.several:
            gradients = self.reducer(gradients)
        factor = 1.0 / (self.scale.value * self.accumulation)
        gradients = self.map(ops.partial(rescale, factor), gradients)
        if not self.dynamic:
            return ops.depend(ms.Tensor(True), self.apply(gradients))
        finite = all_finite(gradients)
        if finite:
            self.apply(gradients)
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


def all_finite(gradients):
    """Scalar bool tensor: no gradient has an infinity or a NaN. 0 * x is NaN for both."""
    total = ms.Tensor(0.0, ms.float32)
    for gradient in gradients:
        total = total + (gradient * 0.0).sum()
    return total == 0.0


class Objective(nn.Cell):
    """(images, *targets) -> loss(network(images), *targets), a scalar."""

    def __init__(self, network: nn.Cell, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, loss

    def construct(self, images, *targets):
        return self.loss(self.network(images), *targets)


class Backward(nn.Cell):
    """A batch -> loss (scalar float32, mean over the ranks) and gradients of loss * scale."""

    def __init__(self, objective: nn.Cell, optimizer: nn.Optimizer, scale: LossScale, size: int):
        super().__init__(auto_prefix=False)
        self.objective, self.scale = objective, scale
        self.size = size
        self.gradient = ms.value_and_grad(self.forward, None, optimizer.parameters, has_aux=True)
        if size > 1:
            self.all_reduce = ops.AllReduce()

    def forward(self, *batch):
        loss = self.objective(*batch)
        return loss * self.scale.value, loss

    def construct(self, *batch):
        (_, loss), gradients = self.gradient(*batch)
        if self.size > 1:
            loss = self.all_reduce(loss) / self.size
        return loss, gradients


class WholeStep(nn.Cell):
    """A batch -> (loss, whether the weights were updated): a step of one batch."""

    def __init__(self, backward: Backward, update: Update):
        super().__init__(auto_prefix=False)
        self.backward, self.update = backward, update

    def construct(self, *batch):
        loss, gradients = self.backward(*batch)
        return loss, self.update(gradients)


class Accumulate(nn.Cell):
    """A batch -> loss; adds the batch's gradients to `sums`."""

    def __init__(self, backward: Backward, sums: ms.ParameterTuple):
        super().__init__(auto_prefix=False)
        self.backward, self.sums = backward, sums
        self.map = ops.HyperMap()

    def construct(self, *batch):
        loss, gradients = self.backward(*batch)
        return ops.depend(loss, self.map(ops.assign_add, self.sums, gradients))


class ApplySums(nn.Cell):
    """() -> whether the weights were updated from `sums`, which are zero afterwards."""

    def __init__(self, update: Update, sums: ms.ParameterTuple):
        super().__init__(auto_prefix=False)
        self.update, self.sums = update, sums
        self.map = ops.HyperMap()

    def construct(self):
        updated = self.update(self.sums)
        zeros = self.map(ops.zeros_like, ops.depend(self.sums, updated))
        return ops.depend(updated, self.map(ops.assign, self.sums, zeros))


def average_of(objective: nn.Cell, optimizer: nn.Optimizer, options: StepOptions) -> Average | None:
    if options.average is None:
        return None
    return Average(objective.get_parameters(), optimizer.global_step, options.average, options.average_warmup)


class TrainStep:
    """Callable on the batches of one optimiser step; `state` is what a checkpoint needs of it.

    `objective` makes a scalar loss of the arrays of a batch; `optimizer` has parameters of it.
    """

    def __init__(self, objective: nn.Cell, optimizer: nn.Optimizer, options: StepOptions):
        scale = LossScale(options.loss_scale, options.loss_scale_window)
        objective.set_train()
        self.average = average_of(objective, optimizer, options)
        backward = Backward(objective, optimizer, scale, options.size)
        update = Update(optimizer, scale, self.average, options)
        self.optimizer, self.scale = optimizer, scale
        self.state: list[ms.Parameter] = [p for p in optimizer.get_parameters() if p.name != "learning_rate"]
        if options.dynamic_loss_scale:
            self.state += list(scale.get_parameters())
        if self.average is not None:
            self.state += list(self.average.shadows)
        self.whole = WholeStep(backward, update) if options.accumulation == 1 else None
        if self.whole is None:
            sums = optimizer.parameters.clone(prefix="accumulated", init="zeros")
            self.accumulate, self.apply = Accumulate(backward, sums), ApplySums(update, sums)

    def __call__(self, batches: list[tuple]) -> tuple[float, bool]:
        """Train on `accumulation` batches; returns the mean loss and whether the weights moved."""
        if self.whole is not None:
            loss, updated = self.whole(*batches[0])
            return float(loss.asnumpy()), bool(updated.asnumpy())
        losses = [float(self.accumulate(*batch).asnumpy()) for batch in batches]
        return sum(losses) / len(losses), bool(self.apply().asnumpy())

    def from_queue(self, dataset: ms.dataset.Dataset) -> Callable[[], tuple[float, bool]]:
        """A function that trains on the next batch, which the device takes from its own queue (Ascend)."""
        whole = self.whole

        def one(*batch):
            return whole(*batch)

        sink = ms.data_sink(one, dataset)

        def step() -> tuple[float, bool]:
            loss, updated = sink()
            return float(loss.asnumpy()), bool(updated.asnumpy())

        return step

    def forget(self) -> None:
        """Begin anew with the weights as they are, as a training does that starts from a checkpoint."""
        forget(self.optimizer)
