"""Adam and what came of it: AdamW, LAMB, Lion."""

from __future__ import annotations

import mindspore.ops as ops

from mindlift.training.optimizers.formula import Formula, Moments, Plan, norm, ratio_or_1, scaled

adam_update = ops.MultitypeFuncGraph("adam_update")
lamb_update = ops.MultitypeFuncGraph("lamb_update")
lion_update = ops.MultitypeFuncGraph("lion_update")


@adam_update.register("Tuple", "Number", "Number", "Tensor", "Tensor", "Tensor", "Tensor")
def adam_updated(numbers, scale, decay, gradient, weight, moment1, moment2):
    lr = numbers[-1]
    step = corrected(numbers, gradient, moment1, moment2)
    if decay != 0.0:
        step = step + decay * weight
    return ops.assign(weight, weight - scaled(lr, scale) * step)


@lamb_update.register("Tuple", "Number", "Number", "Bool", "Tensor", "Tensor", "Tensor", "Tensor")
def lamb_updated(numbers, scale, decay, adapts, gradient, weight, moment1, moment2):
    rate = scaled(numbers[-1], scale)
    step = corrected(numbers, gradient, moment1, moment2)
    if decay != 0.0:
        step = step + decay * weight
    if adapts:
        rate = rate * ratio_or_1(norm(weight), norm(step))
    return ops.assign(weight, weight - rate * step)


def corrected(numbers, gradient, moment1, moment2):
    """Move both moments, and divide them, without their bias towards the zeros that they start from."""
    beta1, rest1, beta2, rest2, epsilon, correction1, correction2, _ = numbers
    first = ops.assign(moment1, beta1 * moment1 + rest1 * gradient)
    second = ops.assign(moment2, beta2 * moment2 + rest2 * gradient * gradient)
    return (first / correction1) / (ops.sqrt(second / correction2) + epsilon)


@lion_update.register("Tuple", "Number", "Number", "Tensor", "Tensor", "Tensor")
def lion_updated(numbers, scale, decay, gradient, weight, moment):
    beta1, rest1, beta2, rest2, lr = numbers
    step = ops.sign(beta1 * moment + rest1 * gradient)
    if decay != 0.0:
        step = step + decay * weight
    moved = ops.assign(weight, weight - scaled(lr, scale) * step)
    return ops.depend(moved, ops.assign(moment, beta2 * moment + rest2 * gradient))


class Adam(Moments):
    """m = b1 * m + (1 - b1) * g, v = b2 * v + (1 - b2) * g**2, w -= lr * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps).

    Kingma and Ba, Adam (ICLR 2015), algorithm 1. Weight decay is an L2 term of the loss: g has wd * w in it.
    """

    def __init__(self, plan: Plan, betas: tuple[float, float], epsilon: float):
        super().__init__(plan, betas, epsilon)
        self.no_decays = tuple(0.0 for _ in self.decays)

    def construct(self, gradients):
        return self.apply(self.with_decay(gradients), self.no_decays)

    def apply(self, gradients, decays):
        update = ops.partial(adam_update, self.numbers(self.rate()))
        return self.map(update, self.scales, decays, gradients, self.parameters, self.moment1, self.moment2)


class AdamW(Adam):
    """Adam, and w -= lr * wd * w beside it.

    Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019), algorithm 2, in PyTorch's form: the decay
    is times the learning rate, whatever the schedule makes of it.
    """

    def construct(self, gradients):
        return self.apply(gradients, self.decays)


class LAMB(Moments):
    """u = Adam's step / lr + wd * w, w -= lr * (|w| / |u|) * u.

    You et al., Large Batch Optimization for Deep Learning (ICLR 2020), algorithm 2, with phi(z) = z. Weights without
    decay (biases, norms) take Adam's step, as in the authors' code and in timm's Lamb.
    """

    def construct(self, gradients):
        update = ops.partial(lamb_update, self.numbers(self.rate()))
        return self.map(
            update,
            self.scales,
            self.decays,
            self.decayed,
            gradients,
            self.parameters,
            self.moment1,
            self.moment2,
        )


class Lion(Formula):
    """w -= lr * (sign(b1 * m + (1 - b1) * g) + wd * w), then m = b2 * m + (1 - b2) * g.

    Chen et al., Symbolic Discovery of Optimization Algorithms (NeurIPS 2023), algorithm 2.
    """

    def __init__(self, plan: Plan, betas: tuple[float, float]):
        super().__init__(plan)
        self.moments, self.betas = self.gathered("moments"), betas

    def construct(self, gradients):
        beta1, beta2 = self.betas
        update = ops.partial(lion_update, (beta1, 1 - beta1, beta2, 1 - beta2, self.rate()))
        return self.map(update, self.scales, self.decays, gradients, self.parameters, self.moments)
