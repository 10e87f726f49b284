import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.tasks.classification.objective import (
    Accuracy,
    MixedCrossEntropy,
    MixUp,
    Places,
    SmoothedCrossEntropy,
)


class Given(nn.Cell):
    def construct(self, x):
        return x * 1.0


def places(logits, labels):
    cell = Places(Given(), len(logits[0]))
    found, losses, _, _ = cell(ms.Tensor(np.array(logits), ms.float32), ms.Tensor(labels, ms.int32))
    return found.asnumpy(), losses.asnumpy()


def test_places_match_a_plain_sort():
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 6, (200, 9)).astype(np.float32)  # many ties
    labels = rng.integers(0, 9, 200)
    order = np.argsort(-logits, axis=1, kind="stable")
    np.testing.assert_array_equal(places(logits, labels)[0], (order == labels[:, None]).argmax(1))


def test_ties_go_to_the_smaller_index():
    assert places([[1, 1, 0, 0, 0, 0, 0]] * 2, [0, 1])[0].tolist() == [0, 1]
    assert places([[0] * 7] * 2, [5, 4])[0].tolist() == [5, 4]


def test_nan_is_never_correct():
    assert places([[np.nan] * 7], [0])[0] >= 5
    assert places([[0, np.nan, 0, 0, 0, 0, 0]], [0])[0] == 1


def test_cross_entropies_are_those_of_each_row():
    found = places([[9, 0, 0, 0, 0, 0], [0] * 6], [0, 3])[1]
    np.testing.assert_allclose(found, [-np.log(np.exp(9) / (np.exp(9) + 5)), np.log(6)], rtol=5e-3)


def test_accuracy_counts_what_is_asked_for():
    places, counted = np.array([0, 4, 5, 0, 9]), np.array([True, True, True, False, True])
    found = Accuracy.of(places, counted, 10)
    assert (found.top1_correct, found.top5_correct, found.total) == (1, 2, 4)


@pytest.mark.parametrize(
    ("num_classes", "top5"), [(1, None), (2, None), (3, None), (5, None), (6, 3), (10, 3)]
)
def test_no_top_5_where_there_are_no_more_classes(num_classes, top5):
    found = Accuracy.of(np.array([0, 0, 1]), np.array([True, True, True]), num_classes)
    assert (found.top1_correct, found.top5_correct) == (2, top5)
    assert found.top5 == (None if top5 is None else 100)
    assert len(found.lines("original")) == (1 if top5 is None else 2)
    assert ("top-5" in found.lines()[0]) == (top5 is not None)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothing_gives_the_rest_to_the_other_classes(smoothing):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(8, 5)), rng.integers(0, 5, 8)
    target = np.full((8, 5), smoothing / 4)
    target[np.arange(8), labels] = 1 - smoothing
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = SmoothedCrossEntropy(5, smoothing)(ms.Tensor(logits, ms.float32), ms.Tensor(labels, ms.int32))
    assert float(loss.asnumpy()) == pytest.approx(-(target * log_p).sum(1).mean(), rel=1e-5)


def test_the_other_smoothing_is_spread_over_all_classes():
    """0.1: the true class 0.9 + 0.1/5, each other one 0.1/5."""
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(8, 5)), rng.integers(0, 5, 8)
    target = 0.9 * np.eye(5)[labels] + 0.1 / 5
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = SmoothedCrossEntropy(5, to_all=0.1)(ms.Tensor(logits, ms.float32), ms.Tensor(labels, ms.int32))
    assert float(loss.asnumpy()) == pytest.approx(-(target * log_p).sum(1).mean(), rel=1e-5)


class Sums(nn.Cell):
    """(N, 3, H, W) -> (N, 5) scores that depend on all pixels."""

    def construct(self, x):
        return x.reshape((x.shape[0], 5, -1)).sum(2)


def test_mixed_images_have_mixed_labels():
    """The loss of x' = s x + (1 - s) x[partner] and of soft labels mixed alike, written out."""
    rng = np.random.default_rng(2)
    images, labels = rng.normal(size=(4, 3, 5, 2)) / 3, rng.integers(0, 5, 4)
    partner, share = np.array([2, 0, 3, 1]), rng.uniform(size=4)
    column = share[:, None]
    soft = 0.9 * np.eye(5)[labels] + 0.1 / 5
    soft = column * soft + (1 - column) * soft[partner]
    mixed = column[:, :, None, None] * images + (1 - column[:, :, None, None]) * images[partner]
    logits = mixed.reshape(4, 5, -1).sum(2)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    cell = MixUp(Sums(), MixedCrossEntropy(5, to_all=0.1))
    found = cell(
        ms.Tensor(images, ms.float32),
        ms.Tensor(labels, ms.int32),
        ms.Tensor(partner, ms.int32),
        ms.Tensor(share, ms.float32),
    )
    assert float(found.asnumpy()) == pytest.approx(-(soft * log_p).sum(1).mean(), rel=1e-5)


def test_result_lines():
    assert Accuracy(328, None, 357).lines() == ["validation: top-1 91.88 % (328 of 357)"]
    assert Accuracy(328, 355, 357).lines() == [
        "validation: top-1 91.88 % (328 of 357), top-5 99.44 % (355 of 357)"
    ]


def test_result_lines_of_the_original():
    accuracy = Accuracy(37657, 46224, 49920, 0, 1.0)
    assert accuracy.lines("original") == [
        "after allreduce eval: top1_correct=37657, tot=49920, acc=75.43%",
        "after allreduce eval: top5_correct=46224, tot=49920, acc=92.60%",
    ]
