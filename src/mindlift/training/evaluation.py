"""Evaluations of a network while it trains: of its weights and, if there is one, of their moving average."""

from __future__ import annotations

from collections.abc import Iterable

import mindspore as ms
import mindspore.nn as nn

from mindlift.data import batches
from mindlift.model_utils import collectives
from mindlift.model_utils.job_context import JobContext
from mindlift.models import layers
from mindlift.tasks import network as build
from mindlift.tasks.base import Samples
from mindlift.training.prepare import Prepared


class Monitor:
    """Evaluates as train.py reports it; what the network holds is afterwards what it held before.

    Ranks differ in the moving statistics of batch norms; rank 0's count, because they are what is saved.
    """

    def __init__(self, job: JobContext, prepared: Prepared, samples: Samples | None):
        self.job, self.task, self.options, self.log = job, prepared.task, prepared.options, job.log
        self.network, self.step, self.samples = prepared.network, prepared.step, samples
        self.inference: nn.Cell | None = None
        self.evaluator: object = None

    def run(self, step: int) -> dict[str, object]:
        """The figures after optimiser step `step`: of the average where there is one. Also lines of metrics.jsonl."""
        self.log.doing = f"preparing the evaluation after step {step}"
        if self.inference is None:
            self.inference = build.inference_network(self.job.cfg, self.network, self.job.device)
            self.evaluator = self.task.Evaluator(self.job.cfg, self.inference, self.options)
        bar, self.log.bar, count, self.log.count = self.log.bar, None, self.log.count, None
        parameters = list(self.network.get_parameters())
        kept = [parameter.asnumpy().copy() for parameter in parameters]
        try:
            found = self.figures(step, "weights", parameters)
            if self.step.average is not None and step > self.step.average.start:  # else they are the weights
                self.step.average.to_weights()
                found = self.figures(step, "average", parameters)
            return found
        finally:
            for parameter, value in zip(parameters, kept):
                parameter.set_data(ms.Tensor(value))
            self.network.set_train(True)
            self.log.bar, self.log.count = bar, count

    def figures(self, step: int, which: str, parameters: Iterable[ms.Parameter]) -> dict[str, object]:
        assert self.inference is not None
        collectives.copy_from_rank0(parameters, self.job.ranks.rank, self.job.ranks.size)
        layers.refill(self.inference, self.network)
        if self.step.average is not None:
            self.log.info(
                f"evaluation of the {'moving average of the ' if which == 'average' else ''}weights"
            )
        found = self.task.final_figures(self.job, self.evaluator, self.samples, step)
        for line in self.samples.news(batches.NOT_COUNTED) if self.samples is not None else ():
            self.log.warning(line)
        self.log.metric(event="evaluation", step=step, which=which, **found)
        if self.log.board is not None:
            self.log.board.pictures(step)
        return found
