"""Evaluations of a network while it trains: of its weights and, if there is one, of their moving average."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mindspore as ms
import mindspore.nn as nn

from mindlift.data.batches import Options
from mindlift.model_utils import collectives, devices
from mindlift.model_utils.config.config import Config
from mindlift.model_utils.ranks import Ranks
from mindlift.models import layers
from mindlift.runs.log import RunLog
from mindlift.tasks import network as build
from mindlift.tasks.base import AnyTask, Samples
from mindlift.training.average import Average


class Monitor:
    """Evaluates as train.py reports it; what the network holds is afterwards what it held before.

    Ranks differ in the moving statistics of batch norms; rank 0's count, because they are what is saved.
    """

    def __init__(
        self,
        cfg: Config,
        ranks: Ranks,
        task: AnyTask,
        options: Options,
        data_path: Path,
        network: nn.Cell,
        average: Average | None,
        log: RunLog,
    ):
        self.cfg, self.ranks, self.task, self.options, self.log = cfg, ranks, task, options, log
        self.network, self.average = network, average
        self.path = Path(cfg.eval_data_dir) if cfg.eval_data_dir else data_path
        self.samples: Samples | None = None
        if cfg.run_eval or cfg.eval_interval:  # what is wrong with the images is said before the training
            self.samples = task.open_split(task.eval_options(options), self.path, train=False)
        self.inference: nn.Cell | None = None
        self.evaluator: Any = None

    def run(self, step: int) -> dict[str, Any]:
        """The figures after optimiser step `step`: of the average where there is one. Also lines of metrics.jsonl."""
        if self.inference is None:
            self.inference = build.inference_network(self.cfg, self.network, devices.current())
            self.evaluator = self.task.Evaluator(self.cfg, self.inference, self.options)
        bar, self.log.bar = self.log.bar, None
        parameters = list(self.network.get_parameters())
        kept = [parameter.asnumpy().copy() for parameter in parameters]
        try:
            found = self.figures(step, "weights", parameters)
            if self.average is not None:
                self.average.to_weights()
                found = self.figures(step, "average", parameters)
            return found
        finally:
            for parameter, value in zip(parameters, kept):
                parameter.set_data(ms.Tensor(value))
            self.network.set_train(True)
            self.log.bar = bar

    def figures(self, step: int, which: str, parameters: Iterable[ms.Parameter]) -> dict[str, Any]:
        assert self.inference is not None
        collectives.copy_from_rank0(parameters, self.ranks.rank, self.ranks.size)
        layers.refill(self.inference, self.network)
        if self.average is not None:
            self.log.info(
                f"evaluation of the {'moving average of the ' if which == 'average' else ''}weights"
            )
        found = self.task.final_figures(self.cfg, self.evaluator, self.samples, self.ranks, self.log, step)
        self.log.metric(event="evaluation", step=step, which=which, **found)
        if self.log.board is not None:
            self.log.board.pictures(step)
        return found
