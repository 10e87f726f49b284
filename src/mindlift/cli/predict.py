"""Classify images: `python predict.py --help` lists the options."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mindlift.cli.words import words

if TYPE_CHECKING:
    from mindlift.cli.job import Job
    from mindlift.model_utils.staging.named_images import Image


def predict(argv: list[str]) -> None:
    from mindlift.cli import inference_job

    here = inference_job.start(argv, "predict.py")
    with contextlib.ExitStack() as until:
        classify(here, inference_job.images(here.cfg, until))


def classify(here: Job, images: Sequence[Image]) -> None:
    from mindlift.cli import inference_job

    names = inference_job.class_names(here.cfg)
    checkpoint = None if here.cfg.model_file else here.weights().files[0]
    here.connect()
    from mindlift.inference import predict as predictor
    from mindlift.runs.log import RunLog

    with RunLog(None, here.ranks.rank, here.cfg.progress) as log:
        predictor.run(here.context(log), images, names, checkpoint)


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import job

    arguments = words(argv)
    return job.main(lambda: predict(arguments), debug=job.wants_debug(arguments))
