"""The kernels of this folder as operators of a graph: the shapes of what they give, and their gradients.

A library is the path of the compiled file, see model_utils/cpu_kernels.py.
"""

from __future__ import annotations

from collections.abc import Callable

import mindspore.ops as ops
from mindspore.ops import signature as sig

ARGUMENTS = {
    "norm": ("x", "gamma", "beta", "moving_mean", "moving_variance", "numbers"),
    "norm_add_relu": ("x", "gamma", "beta", "moving_mean", "moving_variance", "numbers", "other"),
}
GROUPS = 32  # kGroups of kernels.cpp
MOVED = ("moving_mean", "moving_variance")  # in place


def custom(library: str, name: str, infer: Callable, gradient: Callable | None = None) -> ops.Custom:
    """`infer` gives the outputs' shapes of the inputs' shapes, and their types of the inputs' types."""
    return ops.Custom(f"{library}:{name}", infer, infer, "aot", gradient)


def moving(operator: ops.Custom, arguments: tuple[str, ...]) -> ops.Custom:
    """Tell the graph's compiler what the kernel writes to beside its outputs."""
    signatures = [
        sig.make_sig(name, sig.sig_rw.RW_WRITE) if name in MOVED else sig.make_sig(name) for name in arguments
    ]
    operator.set_signatures(signatures)
    operator.add_prim_attr("side_effect_mem", True)
    return operator


def norm(library: str, relu: bool) -> ops.Custom:
    """relu(batch norm) in training: x (N, C, ...), gamma, beta, moving mean and variance (C,), numbers (2,) -> y, mean, 1 / deviation.

    `numbers` are epsilon and the share that a batch has of the moving statistics, which are moved.
    """
    name = "norm_relu" if relu else "norm"
    backward = custom(library, f"{name}_gradient", lambda dy, x, gamma, beta, mean, scale: (x, gamma, beta))

    def gradient(x, gamma, beta, moving_mean, moving_variance, numbers, out, dout):
        dx, dgamma, dbeta = backward(dout[0], x, gamma, beta, out[1], out[2])
        still = (ops.zeros_like(moving_mean), ops.zeros_like(moving_variance), ops.zeros_like(numbers))
        return (dx, dgamma, dbeta, *still)

    operator = custom(library, name, lambda x, gamma, *others: (x, gamma, gamma), gradient)
    return moving(operator, ARGUMENTS["norm"])


def norm_add_relu(library: str) -> ops.Custom:
    """relu(batch norm + other) in training, as `norm` with `other` (N, C, ...) behind its inputs."""
    backward = custom(
        library,
        "norm_add_relu_gradient",
        lambda dy, x, gamma, beta, mean, scale, y: (x, gamma, beta, x),
    )

    def gradient(x, gamma, beta, moving_mean, moving_variance, numbers, other, out, dout):
        dx, dgamma, dbeta, dother = backward(dout[0], x, gamma, beta, out[1], out[2], out[0])
        still = (ops.zeros_like(moving_mean), ops.zeros_like(moving_variance), ops.zeros_like(numbers))
        return (dx, dgamma, dbeta, *still, dother)

    operator = custom(library, "norm_add_relu", lambda x, gamma, *others: (x, gamma, gamma), gradient)
    return moving(operator, ARGUMENTS["norm_add_relu"])


def norm_at_inference(library: str, relu: bool) -> ops.Custom:
    """relu(batch norm) by its moving statistics, which are no function of x: the inputs of `norm` -> y."""
    name = "norm_relu_at_inference" if relu else "norm_at_inference"
    backward = custom(library, f"{name}_gradient", lambda dy, x, gamma, beta, *others: (x, gamma, beta))

    def gradient(x, gamma, beta, moving_mean, moving_variance, numbers, out, dout):
        dx, dgamma, dbeta = backward(dout, x, gamma, beta, moving_mean, moving_variance, numbers)
        still = (ops.zeros_like(moving_mean), ops.zeros_like(moving_variance), ops.zeros_like(numbers))
        return (dx, dgamma, dbeta, *still)

    return custom(library, name, lambda x, *others: x, gradient)


def group_norm_relu(library: str) -> ops.Custom:
    """relu(group norm of 32 groups): x (N, C, ...), gamma, beta (C,), numbers (1,), epsilon -> y, mean and 1 / deviation (N, 32)."""
    backward = custom(
        library, "group_norm_relu_gradient", lambda dy, x, gamma, beta, mean, scale: (x, gamma, beta)
    )

    def gradient(x, gamma, beta, numbers, out, dout):
        return (*backward(dout[0], x, gamma, beta, out[1], out[2]), ops.zeros_like(numbers))

    def shapes(x, gamma, beta, numbers):
        return x, (x[0], GROUPS), (x[0], GROUPS)

    def types(x, gamma, beta, numbers):
        return x, x, x

    return ops.Custom(f"{library}:group_norm_relu", shapes, types, "aot", gradient)


def means(library: str) -> ops.Custom:
    """The mean of each map: x (N, C, H, W) or (N, C / b, H, W, b) -> (N, C)."""
    backward = custom_like(library, "means_gradient", 1)

    def gradient(x, out, dout):
        return (backward(dout, x),)

    def shape(x):
        return [x[0], x[1] * x[4] if len(x) == 5 else x[1]]

    return ops.Custom(f"{library}:means", shape, first, "aot", gradient)


def pool_3x3(library: str, border: int) -> ops.Custom:
    """Max-pool of 3x3 with stride 2 behind a `border` of zeros, 0 or 1 wide: x, as of `means`, numbers (1,), the border -> y."""
    backward = custom_like(library, "pool_3x3_gradient", 1)

    def gradient(x, numbers, out, dout):
        return backward(dout, x, numbers), ops.zeros_like(numbers)

    def shape(x, numbers):
        return [*x[:2], places(x[2] + 2 * border, 3, 2), places(x[3] + 2 * border, 3, 2), *x[4:]]

    return told_apart(ops.Custom(f"{library}:pool_3x3", shape, first, "aot", gradient), repr(border))


def rows(library: str) -> ops.Custom:
    """Each row without its mean, over its deviation: x (R, K), numbers (1,), epsilon -> y, mean and 1 / deviation (R,)."""
    backward = custom(library, "rows_gradient", lambda dy, x, mean, scale: x)

    def gradient(x, numbers, out, dout):
        return backward(dout[0], x, out[1], out[2]), ops.zeros_like(numbers)

    def shapes(x, numbers):
        return x, x[:1], x[:1]

    def types(x, numbers):
        return x, x, x

    return ops.Custom(f"{library}:rows", shapes, types, "aot", gradient)


def convolution(library: str, shape: Callable, geometry: str) -> ops.Custom:
    """Convolution without bias: x (N, C, H, W), weight (O, C / groups, h, w), numbers (9,) -> y.

    `shape` gives that of y of those of the inputs, and `geometry` has to differ where `shape` does. `numbers` are stride and dilation, each of height and width, the padding
    (top, bottom, left, right), each -1 for TensorFlow's "same", and the number of groups.
    """
    of_data = custom_like(library, "convolution_of_data", 2)
    of_weights = custom_like(library, "convolution_of_weights", 2)

    def gradient(x, weight, numbers, out, dout):
        dx = of_data(dout, weight, x, numbers)
        return dx, of_weights(dout, x, weight, numbers), ops.zeros_like(numbers)

    return told_apart(ops.Custom(f"{library}:convolution", shape, first, "aot", gradient), geometry)


def convolution_bias(
    library: str, shape: Callable, geometry: str, relu: bool, adds: bool = False
) -> ops.Custom:
    """relu(convolution + bias + other), as `convolution` with bias (O,) behind the weight and, if it `adds`, other, like y, last.

    It has no gradient.
    """
    name = "convolution_bias_add_relu" if adds else "convolution_bias_relu" if relu else "convolution_bias"
    return told_apart(ops.Custom(f"{library}:{name}", shape, first, "aot"), geometry)


def convolution_add(library: str, shape: Callable, geometry: str) -> ops.Custom:
    """convolution + other, as `convolution` with other, like y, last. It has no gradient."""
    return told_apart(ops.Custom(f"{library}:convolution_add", shape, first, "aot"), geometry)


def pool(library: str, is_max: bool, shape: Callable, geometry: str) -> ops.Custom:
    """The greatest value, or the mean of what is no padding, in each window: x, numbers (8,) -> y. Only maps in blocks have gradients.

    `numbers` are kernel and stride, each of height and width, and the padding as of `convolution`.
    """
    name = "max_pool" if is_max else "average_pool"
    backward = custom_like(library, f"{name}_gradient", 1)

    def gradient(x, numbers, out, dout):
        return backward(dout, x, numbers), ops.zeros_like(numbers)

    return told_apart(ops.Custom(f"{library}:{name}", shape, first, "aot", gradient), geometry)


def update(library: str, name: str, weights: int, state: int) -> ops.Custom:
    """A step: gradients of all weights, the weights, `state` tensors of each; settings (weights, 2); numbers (k,) -> (1,).

    Weights and state are changed in place. Settings are a weight's decay and its share of the learning rate; numbers
    begin with the learning rate and what gradients are multiplied by.
    """
    return in_place(library, name, weights, weights * (1 + state), ("settings", "numbers"))


def average(library: str, weights: int) -> ops.Custom:
    """Shadows, weights, numbers (2,): the share of a weight, and whether shadows are to be the weights -> (1,), the share.

    Shadows are changed in place. Weights are not, but are read where they are: what is only read would be copied before.
    """
    return in_place(library, "average_step", 0, 2 * weights, ("numbers",))


def in_place(library: str, name: str, read: int, changed: int, others: tuple[str, ...]) -> ops.Custom:
    """An operator of so many tensors that it reads, so many parameters that it changes, and `others`, which gives (1,)."""
    made = ops.Custom(f"{library}:{name}", lambda *inputs: [1], lambda *inputs: inputs[-1], "aot")
    parameters = [sig.make_sig(f"changed{number}", sig.sig_rw.RW_WRITE) for number in range(changed)]
    tensors = [sig.make_sig(f"read{number}") for number in range(read)]
    made.set_signatures([*tensors, *parameters, *map(sig.make_sig, others)])
    made.add_prim_attr("side_effect_mem", True)
    return made


def norm_of_all(library: str) -> ops.Custom:
    """Tensors -> (1,), the root of the sum of the squares of all their values. It has no gradient."""
    return ops.Custom(f"{library}:norm_of_all", lambda *inputs: [1], first, "aot")


def places(size: int, window: int, stride: int) -> int:
    """Of a window, at full size, on an axis of `size` pixels; ValueError if it does not fit, as MindSpore's operators raise."""
    if size < window:
        raise ValueError(f"a pool of {window} pixels does not fit into maps of {size}; pass larger images")
    return (size - window) // stride + 1


def told_apart(operator: ops.Custom, geometry: str) -> ops.Custom:
    """MindSpore asks two operators with equal attributes and inputs for the shape of their output only once."""
    operator.add_prim_attr("geometry", geometry)
    return operator


def first(x, *others):
    return x


def custom_like(library: str, name: str, position: int) -> ops.Custom:
    """An operator whose output has the shape and type of its input at `position`."""

    def like(*inputs):
        return inputs[position]

    return ops.Custom(f"{library}:{name}", like, like, "aot")
