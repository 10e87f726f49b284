"""Train a network: `python train.py --help` lists the options."""

from __future__ import annotations

import time

from mindlift.cli.words import words


def train(argv: list[str], started: float) -> None:
    from mindlift.cli import job

    here = job.start(argv, "train.py")
    with here.adapter as adapter:
        data_path, weights, base = here.stage_in(), adapter.weights(), here.output()
        here.connect()
        from mindlift.report.run_report import RunReport
        from mindlift.runs import choose
        from mindlift.runs.log import RunLog
        from mindlift.training.images import open_data
        from mindlift.training.prepare import Inputs
        from mindlift.training.run import Callbacks
        from mindlift.training.run import run as run_training

        data = open_data(here.cfg, here.ranks, here.workers, data_path)
        opened = choose.open_run(here.cfg, base, here.ranks.rank, here.ranks.size, here.agree)
        adapter.follow(opened.paths.root)
        callbacks = Callbacks(adapter.publish, RunReport())
        with RunLog(opened.paths, here.ranks.rank, here.cfg.progress) as log:
            result = run_training(here.context(log), Inputs(opened, data, weights), callbacks, started)
    if here.ranks.is_main:
        print(result.as_json_line())


def main(argv: list[str] | None = None, started: float = 0.0) -> int:
    """The exit code; `started` is when the process began, in seconds since the epoch, 0 for now."""
    from mindlift.model_utils import packages

    if not packages.ready():  # before what needs them is imported
        return 1
    from mindlift.cli import job

    arguments = words(argv)
    return job.main(lambda: train(arguments, started or time.time()), debug=job.wants_debug(arguments))
