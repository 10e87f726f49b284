"""Image classification: the loss, and counting that is exact over ranks, batches and ties."""

from __future__ import annotations

from dataclasses import dataclass

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np

TOP = 5  # the first five count as right in the other figure that ImageNet's evaluations give


class Smoothing(nn.Cell):
    """What cross entropies with smoothed labels have in common.

    Two ways of smoothing: `to_others` is what the other classes get, to_others / (K - 1) each, as in the original
    zoo's CrossEntropySmooth; `to_all` is spread over all K classes, the true one too (Szegedy et al., Rethinking the
    Inception Architecture, section 7).
    """

    def __init__(self, num_classes: int, to_others: float = 0.0, to_all: float = 0.0):
        super().__init__()
        self.off = to_others / max(1, num_classes - 1) + to_all / num_classes
        self.gain = 1.0 - to_others - to_all + to_all / num_classes - self.off


class SmoothedCrossEntropy(Smoothing):
    """Mean cross entropy of (N, K) logits and (N,) int32 labels, computed in float32."""

    def construct(self, logits, labels):
        return ops.mean(cross_entropies(logits, labels, self.gain, self.off))


class MixedCrossEntropy(Smoothing):
    """Mean cross entropy of images that are `share` (N,) of themselves and the rest of image `partner` (N,) int32.

    Cross entropy is linear in the target, so this is that of the mixed labels (Zhang et al. 2018, section 2).
    """

    def construct(self, logits, labels, partner, share):
        own = cross_entropies(logits, labels, self.gain, self.off)
        other = cross_entropies(logits, ops.gather(labels, partner, 0), self.gain, self.off)
        return ops.mean(share * own + (1 - share) * other)


class MixUp(nn.Cell):
    """(images, labels, partner, share) -> `loss` of the network's outputs for the mixed images.

    Zhang et al., mixup: Beyond Empirical Risk Minimization (ICLR 2018), equation 1; data.pipeline draws partners and shares.
    """

    def __init__(self, network: nn.Cell, loss: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network, self.loss = network, loss

    def construct(self, images, labels, partner, share):
        column, images = share.reshape((-1, 1, 1, 1)), images.astype(ms.float32)  # they may be uint8
        mixed = column * images + (1 - column) * ops.gather(images, partner, 0)
        return self.loss(self.network(mixed), labels, partner, share)


def cross_entropies(logits, labels, gain, off):
    """(N,) float32: -(gain * log p[label] + off * sum log p)."""
    log_p = ops.log_softmax(logits.astype(ms.float32), -1)
    loss = -gain * at_labels(log_p, labels)
    return loss - off * log_p.sum(1) if off else loss


def at_labels(rows, labels):
    """(N,): of each of the rows (N, K) the value in the column of its label (N,) int32; rows must be finite.

    By a mask, because the gradient of gather_elements is computed on the host CPU of an Ascend.
    """
    mask = ops.one_hot(labels, rows.shape[1], ms.Tensor(1.0, ms.float32), ms.Tensor(0.0, ms.float32))
    return (rows * mask).sum(1)


def place_of_truth(scores, labels, classes):
    """(N,) int32: how many classes are ahead of the true one in (N, K) scores; 0 is top-1.

    A class is ahead if its score is larger, equal with a smaller index, or not a number, so ties are decided the same
    everywhere and NaN is never correct. `classes` (1, K) holds the indices. Counted in float32, which is exact up to
    2**24 classes: sums of int32 are int64, which the AI cores of an Ascend do not add.
    """
    column = labels.expand_dims(1)
    true = ops.gather_elements(scores, 1, column)
    behind = ops.logical_or(scores < true, ops.logical_and(scores == true, classes >= column))
    return ops.logical_not(behind).astype(ms.float32).sum(1).astype(ms.int32)


class Places(nn.Cell):
    """(images, labels) -> place of the true class (N,) int32, see place_of_truth, and cross entropies (N,);
    the likeliest class (N,) int32 and its probability (N,).
    """

    def __init__(self, network: nn.Cell, num_classes: int):
        super().__init__(auto_prefix=False)
        self.network = network
        self.classes = ms.Tensor(np.arange(num_classes)[None], ms.int32)
        self.argmax, self.largest = ops.Argmax(-1, ms.int32), ops.ReduceMax()

    def construct(self, images, labels):
        logits = self.network(images).astype(ms.float32)
        losses = cross_entropies(logits, labels, 1.0, 0.0)
        predicted = self.argmax(logits)
        confidence = self.largest(ops.softmax(logits, -1), -1)
        return place_of_truth(logits, labels, self.classes), losses, predicted, confidence


@dataclass
class Accuracy:
    """Counts of a whole evaluation; `loss_sum` adds up the cross entropies without smoothing.

    There is no top-5 among five classes or fewer, which would always be right.
    """

    top1_correct: int = 0
    top5_correct: int | None = 0
    total: int = 0
    skipped: int = 0
    loss_sum: float = 0.0

    @classmethod
    def of(
        cls,
        places: np.ndarray,
        counted: np.ndarray,
        num_classes: int,
        skipped: int = 0,
        loss_sum: float = 0.0,
    ) -> Accuracy:
        """From the place of the true class of every image (N,) and which of them count (N,) bool."""
        found = places[counted]
        top5 = int((found < TOP).sum()) if num_classes > TOP else None
        return cls(int((found < 1).sum()), top5, len(found), skipped, loss_sum)

    @property
    def top1(self) -> float:
        return 100 * self.top1_correct / max(1, self.total)

    @property
    def top5(self) -> float | None:
        return None if self.top5_correct is None else 100 * self.top5_correct / max(1, self.total)

    @property
    def loss(self) -> float:
        return self.loss_sum / max(1, self.total)

    def lines(self, style: str = "plain") -> list[str]:
        """The result lines in `--log_style`."""
        counts = [("1", self.top1_correct, self.top1), ("5", self.top5_correct, self.top5)]
        known = [(name, correct, share) for name, correct, share in counts if share is not None]
        if style == "original":
            return [
                f"after allreduce eval: top{name}_correct={correct}, tot={self.total}, acc={share:.2f}%"
                for name, correct, share in known
            ]
        shares = [f"top-{name} {share:.2f} % ({correct} of {self.total})" for name, correct, share in known]
        return [f"validation: {', '.join(shares)}"]
