"""Distillation: losses and gradients against the papers' formulas in NumPy, and a teacher that nothing changes."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.models.dropout import Dropout
from mindlift.tasks.classification.distillation import Distilled, WithTeacher
from mindlift.tasks.classification.objective import MixedCrossEntropy, MixUp, SmoothedCrossEntropy
from mindlift.tasks.objective import Objective
from mindlift.training.masks import Masks
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum
from mindlift.training.step import StepOptions, TrainStep
from tests.support.place import Place

N, K, ALPHA, T = 5, 7, 0.3, 4.0
RNG = np.random.default_rng(11)
STUDENT, TEACHER = 3 * RNG.normal(size=(2, N, K))
LABELS = np.array([0, 6, 3, 3, 1])
LAMBDA, PARTNER = np.array([0.2, 0.9, 0.5, 1.0, 0.7]), np.array([1, 2, 3, 4, 0])


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(-(targets * np.log(softmax(logits))).sum(1).mean())


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(1).mean())


ONE_HOT = np.eye(K)[LABELS]
MIXED = LAMBDA[:, None] * ONE_HOT + (1 - LAMBDA[:, None]) * ONE_HOT[PARTNER]
SMOOTH = 0.9 * ONE_HOT + 0.1 / K


def distance(kind: str) -> float:
    """Hinton et al. 2015, section 2 (the factor T**2), and DeiT's equations 2 and 3."""
    if kind == "soft":
        return T**2 * kl(softmax(TEACHER / T), softmax(STUDENT / T))
    return cross_entropy(STUDENT, np.eye(K)[TEACHER.argmax(1)])


def tensor(values: np.ndarray, dtype: ms.Type = ms.float32) -> ms.Tensor:
    return ms.Tensor(values, dtype)


LOSSES = {
    "labels": (SmoothedCrossEntropy(K), ONE_HOT, ()),
    "smoothed labels": (SmoothedCrossEntropy(K, to_all=0.1), SMOOTH, ()),
    "mixed labels": (MixedCrossEntropy(K), MIXED, (tensor(PARTNER, ms.int32), tensor(LAMBDA))),
}


class Parts(nn.Cell):
    """The loss of logits, and its gradient by them."""

    def __init__(self, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.loss = loss
        self.both = ms.value_and_grad(self.whole, (0, 1))

    def whole(self, own, wanted, *targets):
        return self.loss((own, ms.ops.stop_gradient(wanted)), *targets)

    def construct(self, own, wanted, *targets):
        return self.both(own, wanted, *targets)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_and_its_gradient_are_those_of_the_papers(name, kind):
    """d/ds of the soft term is T * (softmax(s / T) - softmax(t / T)) / N (Hinton et al., equation 2, times T**2)."""
    loss, targets, more = LOSSES[name]
    cell = Parts(Distilled(loss, kind, ALPHA, T))
    found, (by_student, by_teacher) = cell(tensor(STUDENT), tensor(TEACHER), tensor(LABELS, ms.int32), *more)
    expected = (1 - ALPHA) * cross_entropy(STUDENT, targets) + ALPHA * distance(kind)
    assert float(found.asnumpy()) == pytest.approx(expected, rel=1e-5)
    own = (softmax(STUDENT) - targets) / N
    if kind == "soft":
        of_teacher = T * (softmax(STUDENT / T) - softmax(TEACHER / T)) / N
    else:
        of_teacher = (softmax(STUDENT) - np.eye(K)[TEACHER.argmax(1)]) / N
    np.testing.assert_allclose(by_student.asnumpy(), (1 - ALPHA) * own + ALPHA * of_teacher, atol=2e-6)
    np.testing.assert_array_equal(by_teacher.asnumpy(), 0)


def test_a_high_temperature_matches_logits():
    """Hinton et al., section 2.1: for zero-mean logits T**2 * KL goes to half the mean squared distance over K classes."""
    own, wanted = (x - x.mean(1, keepdims=True) for x in (STUDENT / 5, TEACHER / 5))
    cell = Distilled(SmoothedCrossEntropy(K), "soft", 1.0, 50.0)
    found = cell((tensor(own), tensor(wanted)), tensor(LABELS, ms.int32))
    limit = ((own - wanted) ** 2).sum(1).mean() / (2 * K)
    assert float(found.asnumpy()) == pytest.approx(limit, rel=0.02)


def test_of_equally_likely_classes_the_first_is_the_teachers():
    cell = Distilled(SmoothedCrossEntropy(3), "hard", 1.0, 1.0)
    found = cell(
        (tensor(np.zeros((1, 3))), tensor(np.array([[1.0, 2.0, 2.0]]))), tensor(np.array([0]), ms.int32)
    )
    assert float(found.asnumpy()) == pytest.approx(np.log(3), rel=1e-5)


class Small(nn.Cell):
    """(N, 3, 4, 4) images -> (N, K) logits, by a batch norm and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.dropout = Dropout(0.5)
        self.dense = nn.Dense(48, K)

    def construct(self, x):
        return self.dense(self.dropout(self.norm(x).reshape(x.shape[0], -1)))


def parts() -> tuple[Small, Small, nn.Cell]:
    student, teacher = Small(), Small()
    for parameter in teacher.get_parameters():
        parameter.name, parameter.requires_grad = f"teacher.{parameter.name}", False
    return student, teacher, WithTeacher(student, teacher)


def test_nothing_changes_the_teacher_and_nobody_else_has_its_weights():
    student, teacher, both = parts()
    objective = Objective(both, Distilled(SmoothedCrossEntropy(K), "soft", ALPHA, T))
    masks = Masks(objective, 1, Place())
    assert masks.cells == [student.dropout]
    optimizer = sgd_momentum(Plan(student.trainable_params(), np.full(4, 0.1, np.float32)), 0.9)
    one = TrainStep(
        objective,
        optimizer,
        StepOptions(average=0.5),
        others=[masks.keys, *teacher.get_parameters()],
    )
    own = {each.name for each in student.get_parameters()}
    assert {each.name for each in objective.get_parameters()} == own
    assert not [each.name for each in one.state if "teacher" in each.name]
    before = {
        each.name: each.asnumpy().copy() for each in (*teacher.get_parameters(), *student.get_parameters())
    }
    for _ in range(3):
        masks.draw()
        images = tensor(RNG.normal(size=(N, 3, 4, 4)) + 2)
        one([(images, tensor(LABELS, ms.int32))])
    after = {each.name: each.asnumpy() for each in (*teacher.get_parameters(), *student.get_parameters())}
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == own, "its batch norm's statistics stay, too"


def test_the_teacher_sees_the_mixed_images_and_is_in_evaluation():
    student, teacher, both = parts()
    seen = MixUp(both, Distilled(MixedCrossEntropy(K), "soft", 1.0, T))
    seen.set_train()
    student.dropout.p = 0.0
    images = RNG.normal(size=(N, 3, 4, 4)).astype(np.float32)
    arguments = tensor(images), tensor(LABELS, ms.int32), tensor(PARTNER, ms.int32), tensor(LAMBDA)
    found = float(seen(*arguments).asnumpy())
    column = LAMBDA.reshape(-1, 1, 1, 1)
    mixed = tensor(column * images + (1 - column) * images[PARTNER])
    own, wanted = student(mixed).asnumpy(), teacher.set_train(False)(mixed).asnumpy()
    # T**2 times a difference of logarithms of float32 that are a hundred times as large
    assert found == pytest.approx(T**2 * kl(softmax(wanted / T), softmax(own / T)), rel=1e-3)
