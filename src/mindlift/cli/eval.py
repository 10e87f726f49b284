"""Evaluate checkpoints exactly: `python eval.py --help` lists the options."""

from __future__ import annotations

from mindlift.cli import ending
from mindlift.cli.words import words


def evaluate(argv: list[str]) -> None:
    from mindlift.cli import job

    here = job.start(argv, "eval.py")
    with here.naming_lost_peers(), here.adapter as adapter:
        named = here.weights().to_evaluate(here.cfg.all)
        data_path = here.stage_in(named.files)
        here.connect()
        from mindlift.inference import evaluate as evaluation
        from mindlift.runs.log import RunLog

        with RunLog(None, here.ranks.rank, here.cfg.progress) as log, here.sharing() as share:
            figures = evaluation.run(here.context(log), data_path, named, adapter.will_read, share)
    if here.ranks.is_main and not here.cfg.json:
        weights = here.cfg.pretrained or str(figures[0]["checkpoint"])
        ending.following(["mindlift", "predict", weights, "IMAGES"], ["mindlift", "export", weights])


def main(argv: list[str] | None = None) -> int:
    from mindlift.model_utils import packages

    if not packages.ready():  # before what needs them is imported
        return 1
    from mindlift.cli import job

    arguments = words(argv)
    return job.main(lambda: evaluate(arguments), debug=job.wants_debug(arguments))
