"""What predict.py does with a network of a task: the predictors, and `Predictor`, which says what the module of one has."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Callable, TypeVar

import mindspore as ms

from mindlift.backports import Protocol
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.named_images import Image
from mindlift.tasks import base as tasks
from mindlift.tasks.classification import predict as predict_classes
from mindlift.tasks.multilabel import predict as predict_labels
from mindlift.tasks.prediction_files import Prediction, Writer
from mindlift.tasks.segmentation import predict as predict_pixels

Network = Callable[[ms.Tensor], ms.Tensor]  # a cell, or an exported model


class Pictures(Protocol):
    """The images to read: `failed` are reasons by number, `rotated` counts those with an EXIF rotation."""

    failed: dict[int, str]

    @property
    def rotated(self) -> int: ...


P = TypeVar("P", bound=Pictures)


class Predictor(Protocol[P]):
    """A module that reads images as Pictures P."""

    @property
    def MEASURE(self) -> str:
        """What the share of a class is called in tables and files."""

    def check(self, cfg: Config, images: Sequence[Image]) -> None:
        """Raises ConfigError for what the task can't do."""

    def max_batch_size(self, cfg: Config) -> int:
        """Images per batch unless the user says otherwise, because a recipe's batch is meant for training."""

    def opened(self, cfg: Config, images: Sequence[Image], workers: int) -> P: ...

    def writers(self, job: JobContext, images: Sequence[Image], names: list[str]) -> list[Writer]:
        """Where predictions go besides terminal, JSON and CSV."""

    def predictions(
        self, cfg: Config, network: Network, images: Sequence[Image], names: list[str], pictures: P
    ) -> Generator[Prediction, None, None]:
        """One of each image, in order."""


AnyPredictor = Predictor[Any]  # whose pictures go from one of its functions to another
CLASSIFICATION: Predictor[predict_classes.Pictures] = predict_classes
MULTILABEL: Predictor[predict_labels.Pictures] = predict_labels
SEGMENTATION: Predictor[predict_pixels.Pictures] = predict_pixels
PREDICTORS: dict[tasks.AnyTask, AnyPredictor] = {
    tasks.CLASSIFICATION: CLASSIFICATION,
    tasks.MULTILABEL: MULTILABEL,
    tasks.SEGMENTATION: SEGMENTATION,
}


def of(cfg: Config) -> AnyPredictor:
    """The predictor of cfg.net's task."""
    return PREDICTORS[tasks.of(cfg)]
