"""A loss of several views of each image, which have to be answered alike."""

from __future__ import annotations

import mindspore as ms
import mindspore.ops as ops
import numpy as np

from mindlift.tasks.classification.objective import Smoothing, cross_entropies

LEAST = 1e-7  # timm's: below it no mean probability is taken a logarithm of


class JensenShannon(Smoothing):
    """(views * B, K) logits, the first views of all images, then the second ones ..., and as many labels -> a scalar.

    The mean cross entropy of the first views, plus `alpha` times the Jensen-Shannon divergence of an image's answers:
    the mean over the views of KL(p || mean p). Hendrycks et al., AugMix (ICLR 2020), section 3, equations 2 and 3, as
    timm's JsdCrossEntropy. Computed in float32.
    """

    def __init__(
        self, num_classes: int, views: int, alpha: float, to_others: float = 0.0, to_all: float = 0.0
    ):
        super().__init__(num_classes, to_others, to_all)
        self.views, self.alpha = views, alpha
        self.is_clean = ms.Tensor(np.arange(views)[:, None] == 0, ms.float32)

    def construct(self, logits, labels):
        images, kinds = logits.shape[0] // self.views, logits.shape[1]
        own = cross_entropies(logits, labels, self.gain, self.off).reshape(self.views, images)
        log_p = ops.log_softmax(logits.astype(ms.float32), -1).reshape(self.views, images, kinds)
        p = ops.exp(log_p)
        log_mean = ops.log(ops.maximum(p.mean(0), LEAST))
        divergences = (p * (log_p - log_mean)).sum(2)
        return ops.mean((own * self.is_clean).sum(0)) + self.alpha * ops.mean(divergences)
