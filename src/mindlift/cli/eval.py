"""Evaluate checkpoints exactly: `python eval.py --help` lists the options."""

from __future__ import annotations

from mindlift.cli import ending
from mindlift.cli.words import words


def evaluate(argv: list[str]) -> None:
    from mindlift.api import job, training

    here = job.start(job.read(argv, "eval.py"), "eval.py")
    figures = training.run_evaluation(here)
    if here.ranks.is_main and not here.cfg.json:
        weights = here.cfg.pretrained or str(figures[0]["checkpoint"])
        ending.following(["mindlift", "predict", weights, "IMAGES"], ["mindlift", "export", weights])


def main(argv: list[str] | None = None) -> int:
    from mindlift.model_utils import packages

    if not packages.ready():  # before what needs them is imported
        return 1
    from mindlift.cli import program

    arguments = words(argv)
    return program.main(lambda: evaluate(arguments), debug=program.wants_debug(arguments))
