"""What predict.py does with images of several labels each: all labels from a probability on, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import mindspore as ms
import numpy as np

from mindlift.data.classification.named_images import Pictures
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.named_images import Image
from mindlift.tasks.classification.predict import MEASURE as MEASURE
from mindlift.tasks.classification.predict import check as check
from mindlift.tasks.classification.predict import max_batch_size as max_batch_size
from mindlift.tasks.classification.predict import of_logits
from mindlift.tasks.classification.predict import opened as opened
from mindlift.tasks.classification.predict import writers as writers
from mindlift.tasks.multilabel.average_precision import sigmoid
from mindlift.tasks.prediction_files import Class, Prediction


def predictions(
    cfg: Config,
    network: Callable[[ms.Tensor], ms.Tensor],
    images: Sequence[Image],
    names: list[str],
    pictures: Pictures,
) -> Generator[Prediction, None, None]:
    """One prediction per image, in order, read and computed as they are asked for; without labels where none is likely."""
    return of_logits(network, images, pictures, lambda row: labels(row, cfg.threshold, names))


def labels(logits: np.ndarray, threshold: float, names: list[str]) -> list[Class]:
    """Those with a probability of at least `threshold`; of equal ones the first comes first. Logits (K,)."""
    shares = sigmoid(logits)
    order = np.argsort(-shares, kind="stable")
    return [
        Class(int(number), names[number], float(shares[number]))
        for number in order
        if shares[number] >= threshold
    ]
