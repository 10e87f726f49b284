"""Train a network: `python train.py --help` lists the options."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mindlift import json_text
from mindlift.cli import ending, train_result
from mindlift.cli.words import words
from mindlift.language import localized

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config


def train(argv: list[str], started: float) -> None:
    from mindlift.api import job, training
    from mindlift.training.own_folder import OwnFolder

    own = OwnFolder(job.job_size())
    here = job.start(job.read(argv, "train.py", own), "train.py", own)
    result = training.run_training(here, started)
    if here.ranks.is_main:
        end(here.cfg, result.as_json_line())


def end(cfg: Config, result: str) -> None:
    """Say where the run is; `result` is a line of JSON."""
    if cfg.json:
        print(result)
        return
    found = json_text.parse(result)
    for line in train_result.lines(found):
        print(localized(line))
    run = cfg.train_url if cfg.enable_modelarts and cfg.train_url else str(found["run"])
    ending.following(["mindlift", "predict", run, "IMAGES"], ["mindlift", "report", run])


def main(argv: list[str] | None = None, started: float = 0.0) -> int:
    """The exit code; `started` is when the process began, in seconds since the epoch, 0 for now."""
    from mindlift.model_utils import packages

    if not packages.ready():  # before what needs them is imported
        return 1
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(
        lambda: train(arguments, started or time.time()), debug=program.wants_debug(arguments)
    )
