"""Classify images: `python predict.py --help` lists the options."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mindlift.cli import ending
from mindlift.cli.words import words
from mindlift.language import gettext

if TYPE_CHECKING:
    from mindlift.api.job import Job
    from mindlift.model_utils.config.frozen import Config
    from mindlift.model_utils.named_images import Image

WRITTEN = ("output_csv", "output_json", "contact_sheet", "output_dir")


def predict(argv: list[str]) -> None:
    from mindlift.api import inference_job, job

    cfg = job.read(argv, "predict.py")
    inference_job.check_named(cfg, "predict.py")
    here = inference_job.start(cfg, "predict.py")
    with contextlib.ExitStack() as until:
        classify(here, inference_job.images(cfg, cfg.inputs, until))
    end(cfg)


def classify(here: Job, images: Sequence[Image]) -> None:
    from mindlift.api import inference_job

    names = inference_job.class_names(here.cfg)
    checkpoint = None if here.cfg.model_file else here.weights().files[0]
    device = here.connect()
    from mindlift.inference import predict as predictor
    from mindlift.runs.log import RunLog

    with RunLog(None, here.ranks.rank, here.cfg.progress) as log:
        predictor.run(here.context(log, device), images, names, checkpoint)


def end(cfg: Config) -> None:
    """Where the classes are, and how else they could be looked at."""
    for name in WRITTEN:
        if getattr(cfg, name):
            print(gettext("written: {0}", getattr(cfg, name)))
    weights = cfg.model_file or cfg.pretrained or cfg.ckpt_path
    again = ["mindlift", "predict", weights, *cfg.inputs[:1]]
    export = ["mindlift", "export", weights]
    kept = [*again, "--output_csv", "classes.csv", "--contact_sheet", "sheet.png"]
    ending.following(kept, ["mindlift", "report"] if cfg.model_file else export)


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: predict(arguments), debug=program.wants_debug(arguments))
