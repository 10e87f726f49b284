import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from src.tasks.classification import Accuracy, CountCorrect, SmoothedCrossEntropy


class Given(nn.Cell):
    def construct(self, x):
        return x * 1.0


def counted(logits, labels, weights):
    cell = CountCorrect(Given(), len(logits[0]))
    counts, loss = cell(
        ms.Tensor(np.array(logits), ms.float32), ms.Tensor(labels, ms.int32), ms.Tensor(weights, ms.int32)
    )
    return counts.asnumpy().tolist(), float(loss.asnumpy())


def test_counts_match_a_plain_sort():
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 6, (200, 9)).astype(np.float32)  # many ties
    labels, weights = rng.integers(0, 9, 200), rng.integers(0, 2, 200)
    order = np.argsort(-logits, axis=1, kind="stable")
    position = (order == labels[:, None]).argmax(1)
    expected = [int((weights * (position < k)).sum()) for k in (1, 5)] + [int(weights.sum())]
    assert counted(logits, labels, weights)[0] == expected


def test_ties_go_to_the_smaller_index():
    assert counted([[1, 1, 0, 0, 0, 0, 0]], [0], [1])[0] == [1, 1, 1]
    assert counted([[1, 1, 0, 0, 0, 0, 0]], [1], [1])[0] == [0, 1, 1]
    assert counted([[0] * 7], [5], [1])[0] == [0, 0, 1]
    assert counted([[0] * 7], [4], [1])[0] == [0, 1, 1]


def test_nan_is_never_correct():
    assert counted([[np.nan] * 7], [0], [1])[0] == [0, 0, 1]


def test_rows_of_weight_zero_count_nothing():
    logits = [[9, 0, 0, 0, 0, 0], [np.nan] * 6]
    counts, loss = counted(logits, [0, 0], [1, 0])
    assert counts == [1, 1, 1]
    assert loss == pytest.approx(-np.log(np.exp(9) / (np.exp(9) + 5)), rel=5e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothing_gives_the_rest_to_the_other_classes(smoothing):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(8, 5)), rng.integers(0, 5, 8)
    target = np.full((8, 5), smoothing / 4)
    target[np.arange(8), labels] = 1 - smoothing
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = SmoothedCrossEntropy(5, smoothing)(ms.Tensor(logits, ms.float32), ms.Tensor(labels, ms.int32))
    assert float(loss.asnumpy()) == pytest.approx(-(target * log_p).sum(1).mean(), rel=1e-5)


def test_result_lines_are_the_originals():
    accuracy = Accuracy(37657, 46224, 49920, 0, 1.0)
    assert accuracy.lines() == [
        "after allreduce eval: top1_correct=37657, tot=49920, acc=75.43%",
        "after allreduce eval: top5_correct=46224, tot=49920, acc=92.60%",
    ]
