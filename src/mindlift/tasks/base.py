"""What a network is trained for. A task is a module with

- `DATASETS`: the data sets that it can read;
- `OWN`: the options of default_config.yaml that not every task has a use for;
- `options(cfg, workers)`: what of the configuration decides the batches;
- `train_options(cfg, options, images)`: the same for a training with so many images;
- `eval_options(options)`: what a training's options mean for its own evaluations;
- `open_split(options, path, train)` and `train_batches(samples, options, rank, size, first, last, accumulation)`;
- `objective(cfg, network, options)`: a cell that computes the loss of the arrays of a batch;
- `Evaluator(cfg, network, options)`: what evaluates a network, with whatever weights it has then; its cells are compiled once;
- `evaluate(cfg, evaluator, samples, ranks, log, path)`: the figures of a checkpoint, as eval.py is asked for them;
- `final_figures(cfg, evaluator, samples, ranks, log, step)`: figures of a training's weights after `step`, of which
  result.json has some; writes the run's evaluation.json;
- `progress(at)`: the lines of a trainer.Progress;
- `input_size(cfg)` and `describe(cfg, batch)`: an exported model's (height, width), and what its side file says of it.

What predict.py does with a task is in src/mindlift/inference/predict.py.
"""

from __future__ import annotations

from types import ModuleType

from mindlift import models
from mindlift.errors import ConfigError
from mindlift.model_utils.config.config import Config
from mindlift.tasks.classification import task as classify
from mindlift.tasks.segmentation import task as segment

TASKS = {"classification": classify, "segmentation": segment}


def of(cfg: Config) -> ModuleType:
    """The task of cfg.net; ConfigError for a data set or an option that it has no use for."""
    try:
        name = models.task_of(cfg.net)
    except KeyError as err:
        raise ConfigError(str(err.args[0])) from err
    found = TASKS[name]
    if cfg.dataset not in found.DATASETS:
        known = ", ".join(found.DATASETS)
        raise ConfigError(
            f"--dataset {cfg.dataset} is not for {name}, which {cfg.net} does; choose one of {known}"
        )
    for other in TASKS.values():
        for option in sorted(set(other.OWN) - set(found.OWN)):
            if getattr(cfg, option) != cfg.default(option):
                raise ConfigError(
                    f"--{option} {getattr(cfg, option)} (from {cfg.origin(option)}) has no effect on {name},"
                    f" which {cfg.net} does; leave it out"
                )
    return found
