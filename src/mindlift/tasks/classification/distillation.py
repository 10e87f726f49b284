"""Training a network also by what another one, the teacher, says of the same images."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops

from mindlift.model_utils.config.frozen import Config

HARD, SOFT = "hard", "soft"


class WithTeacher(nn.Cell):
    """images -> (logits of `network`, logits of `teacher`), both (N, num_classes) float32, the latter without a gradient.

    The teacher is in evaluation mode, whatever mode this cell is in, and none of its cells or parameters belong to this
    one: no optimiser, average, dropout or checkpoint has a use for them.
    """

    def __init__(self, network: nn.Cell, teacher: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network
        object.__setattr__(self, "teacher", teacher.set_train(False))

    def construct(self, images):
        return self.network(images), ops.stop_gradient(self.teacher(images))


class Distilled(nn.Cell):
    """((logits, the teacher's), *targets) -> (1 - alpha) * loss(logits, *targets) + alpha * how far off the teacher's they are.

    soft: T**2 * the mean over the images of KL(teacher || student), both softened by the temperature T (Hinton et al.,
    Distilling the Knowledge in a Neural Network, 2015, section 2: the factor keeps the gradient's size; as DeiT's
    equation 2). hard: the mean cross entropy with the teacher's likeliest class, without smoothing (Touvron et al.,
    Training data-efficient image transformers, 2021, equation 3, which has alpha = 1/2). Of equally likely classes the
    first counts.
    """

    def __init__(self, loss: nn.Cell, kind: str, alpha: float, temperature: float):
        super().__init__(auto_prefix=False)
        self.loss, self.is_soft, self.alpha, self.temperature = loss, kind == SOFT, alpha, temperature
        self.argmax = ops.Argmax(-1, ms.int32)

    def construct(self, logits, *targets):
        own, wanted = logits
        own, wanted = own.astype(ms.float32), wanted.astype(ms.float32)
        distance = self.softly(own, wanted) if self.is_soft else self.firmly(own, wanted)
        return (1 - self.alpha) * self.loss(own, *targets) + self.alpha * distance

    def softly(self, own, wanted):
        log_p = ops.log_softmax(own / self.temperature, -1)
        log_q = ops.log_softmax(wanted / self.temperature, -1)
        return self.temperature**2 * ops.mean((ops.exp(log_q) * (log_q - log_p)).sum(1))

    def firmly(self, own, wanted):
        kinds = own.shape[1]
        classes = self.argmax(wanted)
        mask = ops.one_hot(classes, kinds, ms.Tensor(1.0, ms.float32), ms.Tensor(0.0, ms.float32))
        return -ops.mean((ops.log_softmax(own, -1) * mask).sum(1))


def taught(cfg: Config, loss: nn.Cell) -> nn.Cell:
    """`loss` of what a network, or one WithTeacher, makes of a batch, as --teacher has it."""
    if not cfg.teacher:
        return loss
    return Distilled(loss, cfg.distill, cfg.distill_alpha, cfg.distill_temperature)
