"""A training and evaluations, as train.py and eval.py run them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from mindlift import garbage, json_text
from mindlift.api import job
from mindlift.api.job import Job
from mindlift.language import localized
from mindlift.model_utils.config.frozen import Config
from mindlift.refused_paths import naming_refused_paths

if TYPE_CHECKING:
    from mindlift.runs.paths import RunPaths
    from mindlift.training.run import Result


@naming_refused_paths()
def train(cfg: Config, *, started: float = 0.0) -> Result:
    """Train to the end, as `train.py` does with these options, and return what was reached.

    The run, with its checkpoints, log and page, is in `result.run`; `result.checkpoint` is the newest checkpoint, '' on a
    rank that saves none.
    `result.top1` and `top5` are percent and `map`, `f1` and `miou` are shares, where the training evaluates (`run_eval`);
    `loss` is that of the last step; `seconds` is the time since `started` (of `time.time()`; 0: now). A run that was interrupted is
    continued by the same call, bit by bit as if it had not been, unless `resume` is "none". As in `train.py`, messages go to
    standard output, several ranks train together where a launcher has started them, and Ctrl-C stops after a step with a
    checkpoint.

    Raises ConfigError or DataError for what can't be trained, DeviceError, StorageError, and TrainingError for a loss that
    diverges; all are MindLiftErrors.

    >>> result = train(load_config(net="densenet22", dataset="digits", max_epoch=2, run_eval=True))  # doctest: +SKIP
    >>> result.top1, result.checkpoint  # doctest: +SKIP
    (91.3165, 'output/2026-01-31_10-00-00/checkpoints/...')
    """
    return run_training(job.start(cfg, "train.py"), started or time.time(), ends_together=True)


def is_for_people(cfg: Config) -> bool:
    """Whether nobody else reads the lines: those of the original models are for programs."""
    return cfg.log_style != "original" and not cfg.json


def run_training(here: Job, started: float, ends_together: bool = False) -> Result:
    """The training of a job that has been started; `ends_together`: on each rank when the files of all are written."""
    with contextlib.ExitStack() as stack, here.naming_lost_peers(), here.adapter as adapter:
        data_path, weights, base = here.stage_in(), adapter.weights(), here.output()
        teacher = here.teacher_weights()
        stack.enter_context(garbage.put_off())  # until the first step is done: training/loop.py
        device = here.connect()
        from mindlift.report.run_report import RunReport
        from mindlift.runs import choose
        from mindlift.runs.log import RunLog
        from mindlift.training.images import open_data
        from mindlift.training.networks import build
        from mindlift.training.prepare import Inputs
        from mindlift.training.reading import Reading
        from mindlift.training.run import Callbacks, run

        ranks = (here.ranks.rank, here.ranks.size)
        with here.sharing() as share:
            with here.telling("looking at the images"):
                data = open_data(here.cfg, here.ranks, here.workers, data_path, share)
            with here.telling("building the network"):
                networks = build(here.cfg, device, here.ranks.size, teacher)
            with here.telling("looking at earlier runs"):
                opened = choose.open_run(here.cfg, base, ranks, here.agree, adapter.is_left)
        if opened.lock is not None:
            stack.enter_context(opened.lock)
        reading = Reading(data, here.cfg, here.ranks, opened.step)
        adapter.will_read(reading.order, reading.rounds)
        adapter.follow(opened.paths.root)
        if opened.is_over:
            return result_of(here, opened.paths)
        callbacks = Callbacks(adapter.publish, RunReport())
        with RunLog(opened.paths, here.ranks.rank, here.cfg.progress, is_for_people(here.cfg)) as log:
            inputs = Inputs(opened, data, networks, weights)
            result = run(here.context(log, device), inputs, callbacks, started)
        if ends_together:
            here.agree([result.steps])
        return result


def result_of(here: Job, run: RunPaths) -> Result:
    """Of a training that ended before, and of which only the publishing is left; other nodes may not have its files."""
    from mindlift.training.run import Result

    text = ""
    if here.ranks.is_main:
        print(localized(f"{run.root} has ended; what is not in the bucket yet is published"))
        text = run.result.read_text(encoding="utf-8", errors="replace")
    return Result.of_record(json_text.parse(here.of_main(text)))


@naming_refused_paths()
def evaluate(cfg: Config) -> list[dict[str, object]]:
    """Evaluate checkpoints exactly, as `eval.py` does with these options: every image counts once, on any number of ranks.

    `cfg` is of `load_config(program="eval", pretrained=...)`. Returns the figures of each checkpoint, newest first, one
    unless `all` is set: to classify `top1` and `top5` in percent (`top5` is None for less than five classes), `top1_correct`
    and `total` as numbers of images and the mean `loss`; of several labels `map` and `f1` as shares, average precisions
    `per_class` and the mean `loss`; to segment `miou` and `pixel_accuracy` as shares; always
    `checkpoint`, its path, and `seconds`.

    Raises ConfigError, DataError, or CheckpointError for weights that are missing, damaged or of another network.

    >>> evaluate(load_config(program="eval", pretrained=result.run))[0]["top1"]  # doctest: +SKIP
    91.3165
    """
    return run_evaluation(job.start(cfg, "eval.py"))


def run_evaluation(here: Job) -> list[dict[str, object]]:
    """The evaluation of a job that has been started."""
    with here.naming_lost_peers(), here.adapter as adapter:
        named = here.weights().to_evaluate(here.cfg.all)
        data_path = here.stage_in(named.files)
        device = here.connect()
        from mindlift.inference import evaluate as evaluation
        from mindlift.runs.log import RunLog

        with RunLog(
            None, here.ranks.rank, here.cfg.progress, is_for_people(here.cfg)
        ) as log, here.sharing() as share:
            return evaluation.run(here.context(log, device), data_path, named, adapter.will_read, share)
