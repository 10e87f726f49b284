"""One optimiser step as a compiled graph: forward, scaled backward, all-reduce, update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from src.optim import forget

GROWTH_INTERVAL = 2000
GROWTH_FACTOR = 2.0
LARGEST_SCALE = 2.0**24


rescale = ops.MultitypeFuncGraph("rescale")


@rescale.register("Tensor", "Tensor")
def rescaled(factor, gradient):
    return gradient.astype(ms.float32) * factor


@dataclass(frozen=True)
class StepOptions:
    """`size` ranks; `accumulation` micro-batches per update."""

    size: int = 1
    loss_scale: float = 1024.0
    dynamic_loss_scale: bool = False
    accumulation: int = 1


class LossScale(nn.Cell):
    """The scale of the loss; a dynamic one halves on overflow and doubles after 2000 good steps."""

    def __init__(self, value: float, dynamic: bool):
        super().__init__()
        self.dynamic = dynamic
        self.value = ms.Parameter(ms.Tensor(value, ms.float32), name="loss_scale.value", requires_grad=False)
        self.good_steps = ms.Parameter(
            ms.Tensor(0, ms.int32), name="loss_scale.good_steps", requires_grad=False
        )

    def construct(self, finite):
        """Account for one step whose gradients were all `finite` (bool tensor)."""
        good = ops.select(finite, self.good_steps + 1, ops.zeros_like(self.good_steps))
        grow = good >= GROWTH_INTERVAL
        grown = ops.minimum(self.value * GROWTH_FACTOR, ms.Tensor(LARGEST_SCALE, ms.float32))
        shrunk = ops.maximum(self.value / GROWTH_FACTOR, ms.Tensor(1.0, ms.float32))
        value = ops.select(finite, ops.select(grow, grown, self.value), shrunk)
        good = ops.select(grow, ops.zeros_like(good), good)
        return ops.depend(ops.assign(self.value, value), ops.assign(self.good_steps, good))


class Update(nn.Cell):
    """Reduces gradients of a loss times `scale` over the ranks, divides the scale out, and applies them."""

    def __init__(self, optimizer: nn.Optimizer, scale: LossScale, options: StepOptions):
        super().__init__(auto_prefix=False)
        self.optimizer, self.scale, self.dynamic = optimizer, scale, options.dynamic_loss_scale
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
            return ops.depend(ms.Tensor(True), self.optimizer(gradients))
        finite = all_finite(gradients)
        if finite:
            self.optimizer(gradients)
        self.scale(finite)
        return finite


def all_finite(gradients):
    """Scalar bool tensor: no gradient has an infinity or a NaN. 0 * x is NaN for both."""
    total = ms.Tensor(0.0, ms.float32)
    for gradient in gradients:
        total = total + (gradient * 0.0).sum()
    return total == 0.0


class Backward(nn.Cell):
    """(images, labels) -> loss (scalar float32, mean over the ranks) and gradients of loss * scale."""

    def __init__(self, network: nn.Cell, loss: nn.Cell, optimizer: nn.Optimizer, scale: LossScale, size: int):
        super().__init__(auto_prefix=False)
        self.network, self.loss, self.scale = network, loss, scale
        self.size = size
        self.gradient = ms.value_and_grad(self.forward, None, optimizer.parameters, has_aux=True)
        if size > 1:
            self.all_reduce = ops.AllReduce()

    def forward(self, images, labels):
        loss = self.loss(self.network(images), labels)
        return loss * self.scale.value, loss

    def construct(self, images, labels):
        (_, loss), gradients = self.gradient(images, labels)
        if self.size > 1:
            loss = self.all_reduce(loss) / self.size
        return loss, gradients


class WholeStep(nn.Cell):
    """(images, labels) -> (loss, whether the weights were updated): a step of one batch."""

    def __init__(self, backward: Backward, update: Update):
        super().__init__(auto_prefix=False)
        self.backward, self.update = backward, update

    def construct(self, images, labels):
        loss, gradients = self.backward(images, labels)
        return loss, self.update(gradients)


class Accumulate(nn.Cell):
    """(images, labels) -> loss; adds the batch's gradients to `sums`."""

    def __init__(self, backward: Backward, sums: ms.ParameterTuple):
        super().__init__(auto_prefix=False)
        self.backward, self.sums = backward, sums
        self.map = ops.HyperMap()

    def construct(self, images, labels):
        loss, gradients = self.backward(images, labels)
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


class TrainStep:
    """Callable on the batches of one optimiser step; `state` is what a checkpoint needs of it."""

    def __init__(self, network: nn.Cell, loss: nn.Cell, optimizer: nn.Optimizer, options: StepOptions):
        scale = LossScale(options.loss_scale, options.dynamic_loss_scale)
        network.set_train()
        backward = Backward(network, loss, optimizer, scale, options.size)
        update = Update(optimizer, scale, options)
        self.optimizer = optimizer
        self.state: list[ms.Parameter] = [p for p in optimizer.get_parameters() if p.name != "learning_rate"]
        if options.dynamic_loss_scale:
            self.state += list(scale.get_parameters())
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

        def one(images, labels):
            return whole(images, labels)

        sink = ms.data_sink(one, dataset)

        def step() -> tuple[float, bool]:
            loss, updated = sink()
            return float(loss.asnumpy()), bool(updated.asnumpy())

        return step

    def forget(self) -> None:
        """Begin anew with the weights as they are, as a training does that starts from a checkpoint."""
        forget(self.optimizer)
