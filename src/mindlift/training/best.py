"""Evaluations while training, and what follows from them: the best weights, a lower learning rate, an early end."""

from __future__ import annotations

from collections.abc import Callable

import mindspore as ms

from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.job_context import JobContext
from mindlift.runs.log import Pace
from mindlift.runs.manifest import LESS_IS_BETTER
from mindlift.training import rules
from mindlift.training.evaluation import Monitor
from mindlift.training.hooks import EARLY_STOP, Hook, SaveCheckpoints, Status
from mindlift.training.prepare import Prepared
from mindlift.training.schedules import Evaluations
from mindlift.training.standing import Plateau, Rules, Standing, after, lowered


class Evaluate(Hook):
    """Evaluates when it is due; `draw` then shows the figures.

    The same on all ranks, whose figures are the same. A checkpoint is saved before its evaluation, so a training that
    continues from there evaluates first, if something follows from that.
    """

    def __init__(
        self,
        job: JobContext,
        prepared: Prepared,
        monitor: Monitor,
        saving: SaveCheckpoints,
        draw: Callable[[], None],
    ):
        self.cfg, self.log, self.prepared, self.monitor = job.cfg, job.log, prepared, monitor
        self.saving, self.draw = saving, draw
        self.due = Evaluations(job.cfg, prepared.steps.per_epoch)
        self.metric = rules.metric_of(job.cfg, prepared.task.FIGURES)
        self.rules = rules_of(job.cfg, self.metric)
        self.planned = prepared.steps.rates.copy()

    def on_start(self, status: Status) -> None:
        if self.prepared.standing is None:
            return
        standing = self.prepared.standing.read()
        self.set_rates(standing.factor, status.step)
        if standing.step < status.step and self.due.are_due(status.step):
            self.evaluate(status)
        else:
            self.end_early(status, standing)

    def acts_after(self, step: int) -> bool:
        return self.due.are_due(step)

    def on_step(self, status: Status) -> None:
        status.evaluated = {}
        if self.due.are_due(status.step):
            self.evaluate(status)

    def evaluate(self, status: Status) -> None:
        """Evaluate the weights as they are, and account for it."""
        status.evaluated = self.monitor.run(status.step)
        standing = self.prepared.standing
        if standing is not None and standing.read().step < status.step:
            self.account(status, standing.read())
        self.draw()
        status.pace = Pace()

    def account(self, status: Status, before: Standing) -> None:
        assert self.prepared.standing is not None
        value = status.evaluated[self.metric]
        assert isinstance(value, (int, float)), self.metric
        now = after(before, status.step, value, self.rules)
        self.prepared.standing.write(now)
        if self.cfg.keep_best:
            self.saving.add_score(status.step, self.metric, float(value))
        if now.factor != before.factor:
            self.set_rates(now.factor, status.step)
            self.log.info(
                f"no better {self.metric} than {now.best:.6g} (step {now.best_step}) in {before.level + 1} evaluations:"
                f" the learning rate is {now.factor:.4g} times the planned one from step {status.step + 1} on"
            )
        self.end_early(status, now)

    def end_early(self, status: Status, standing: Standing) -> None:
        if 0 < self.cfg.early_stop <= standing.waited and status.step < self.prepared.steps.total:
            status.ended_by = EARLY_STOP
            self.log.info(
                f"ends early after step {status.step}: no better {self.metric} than {standing.best:.6g} (step"
                f" {standing.best_step}) in {standing.waited} evaluations (--early_stop {self.cfg.early_stop})"
            )

    def set_rates(self, factor: float, step: int) -> None:
        """Let a plateau's `factor` hold for all steps after `step`: in the optimiser, and in what is logged.

        The optimiser's whole table has it, for its own count is behind `step` where an overflow has skipped steps.
        """
        if self.rules.plateau is None:
            return
        rates = lowered(self.planned, factor, self.cfg.eta_min)
        self.prepared.steps.rates[step:] = rates[step:]
        for parameter in self.prepared.step.optimizer.get_parameters():
            if parameter.name == "learning_rate":
                parameter.set_data(ms.Tensor(rates, ms.float32))


def rules_of(cfg: Config, metric: str) -> Rules:
    plateau = Plateau(cfg.plateau_patience, cfg.lr_gamma) if cfg.lr_scheduler == "plateau" else None
    return Rules(-1 if metric in LESS_IS_BETTER else 1, cfg.min_delta, plateau)
