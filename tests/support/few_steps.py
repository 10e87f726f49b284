"""A few steps of a network on ranks, for the children of tests; imported once mindspore is connected."""

from __future__ import annotations

import mindspore.nn as nn
import numpy as np

from mindlift.data.classification import pipeline
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.split import Samples
from mindlift.data.order import BatchRange
from mindlift.model_utils import devices
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.ranks import Ranks
from mindlift.tasks.classification import task as classify
from mindlift.training import build
from mindlift.training.step import TrainStep


def losses_of(
    cfg: Config,
    network: nn.Cell,
    data: tuple[Samples, ClassificationOptions],
    rates: np.ndarray,
    ranks: Ranks,
) -> list[float]:
    """The losses of as many steps as there are `rates`, on this rank's share of the images."""
    samples, options = data
    optimizer = build.optimizer(cfg, network, rates, devices.current())
    step = TrainStep(
        classify.objective(cfg, network, options), optimizer, build.step_options(cfg, ranks.size)
    )
    mine = BatchRange(0, len(rates), ranks.rank, ranks.size)
    return [step([batch])[0] for batch in pipeline.train_batches(samples, options, mine)]
