"""Train a network: `python train.py --help` lists the options."""

from __future__ import annotations

import time

from mindlift.cli.words import words


def train(argv: list[str], started: float) -> None:
    from mindlift.api import job, training

    here = job.start(job.read(argv, "train.py"), "train.py")
    result = training.run_training(here, started)
    if here.ranks.is_main:
        print(result.as_json_line())


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
