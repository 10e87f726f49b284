"""Train a network: `python train.py --help` lists the options."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mindlift import json_text
from mindlift.cli import ending, train_result
from mindlift.cli.words import words

if TYPE_CHECKING:
    from mindlift.model_utils.config.config import Config
    from mindlift.runs.paths import RunPaths


def train(argv: list[str], started: float) -> None:
    from mindlift.cli import job

    here = job.start(argv, "train.py")
    with here.naming_lost_peers(), here.adapter as adapter:
        data_path, weights, base = here.stage_in(), adapter.weights(), here.output()
        here.connect()
        from mindlift.report.run_report import RunReport
        from mindlift.runs import choose
        from mindlift.runs.log import RunLog
        from mindlift.training.images import open_data
        from mindlift.training.prepare import Inputs
        from mindlift.training.run import Callbacks
        from mindlift.training.run import run as run_training

        ranks = (here.ranks.rank, here.ranks.size)
        with here.sharing() as share:
            data = open_data(here.cfg, here.ranks, here.workers, data_path, share)
            opened = choose.open_run(here.cfg, base, ranks, here.agree, adapter.is_left)
        adapter.will_read(lambda: data.reading_order(here.cfg, here.ranks, opened.step))
        adapter.follow(opened.paths.root)
        if opened.is_over:
            result = result_of(opened.paths) if here.ranks.is_main else "{}"
        else:
            callbacks = Callbacks(adapter.publish, RunReport())
            with RunLog(opened.paths, here.ranks.rank, here.cfg.progress) as log:
                inputs = Inputs(opened, data, weights)
                result = run_training(here.context(log), inputs, callbacks, started).as_json_line()
    if here.ranks.is_main:
        end(here.cfg, result)


def end(cfg: Config, result: str) -> None:
    """Say where the run is; `result` is a line of JSON."""
    if cfg.json:
        print(result)
        return
    found = json_text.parse(result)
    for line in train_result.lines(found):
        print(line)
    run = cfg.train_url if cfg.enable_modelarts and cfg.train_url else str(found["run"])
    ending.following(["mindlift", "predict", run, "IMAGES"], ["mindlift", "report", run])


def result_of(run: RunPaths) -> str:
    """Of a training that ended before, and of which only the publishing is left."""
    print(f"{run.root} has ended; what is not in the bucket yet is published")
    return run.result.read_text(encoding="utf-8", errors="replace").strip()


def main(argv: list[str] | None = None, started: float = 0.0) -> int:
    """The exit code; `started` is when the process began, in seconds since the epoch, 0 for now."""
    from mindlift.model_utils import packages

    if not packages.ready():  # before what needs them is imported
        return 1
    from mindlift.cli import job

    arguments = words(argv)
    return job.main(lambda: train(arguments, started or time.time()), debug=job.wants_debug(arguments))
