"""Which files a node reads in a training, and when, for what fetches them: its batches and the evaluations between them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

from mindlift.data.order import BatchRange, reading_order
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.streaming.position import Evaluation
from mindlift.model_utils.streaming.streamer import Rounds
from mindlift.tasks.base import Samples
from mindlift.training.images import Opened
from mindlift.training.schedules import Evaluations


class Reading:
    """What the ranks of this node read after `done` steps."""

    def __init__(self, opened: Opened, cfg: Config, ranks: Ranks, done: int):
        self.opened, self.cfg, self.done, self.size = opened, cfg, done, ranks.size
        first = ranks.node * ranks.devices_per_node
        self.here = range(first, min(first + ranks.devices_per_node, ranks.size))
        self.epochs = opened.task.epoch_order(opened.samples, opened.options)

    def order(self) -> list[str]:
        """The files of the training in the order in which they are read first, and those of an evaluation at the place of the
        first one; none where there are no files.
        """
        cfg, samples = self.cfg, self.opened.samples
        if not samples.paths_of(0):
            return []
        global_batch = cfg.per_batch_size * cfg.accumulation_steps * self.size
        order = reading_order(
            len(samples), global_batch, self.epochs, self.done * global_batch, self.here, self.size
        ).tolist()
        before = len(order)
        planned = self.evaluations()
        if planned:
            batches = planned[0].after - self.done * cfg.accumulation_steps
            before = min(before, batches * cfg.per_batch_size * len(self.here))
        parts = (
            (order[:before], samples),
            (self.evaluated_in_order(), self.opened.evaluated),
            (order[before:], samples),
        )
        return [path for indices, each in parts if each for index in indices for path in each.paths_of(index)]

    def rounds(self) -> Rounds:
        """What is read, batch by batch."""
        samples, evaluated = self.opened.samples, self.opened.evaluated
        files = max(len(each.paths_of(0)) for each in (samples, evaluated) if each)
        most = len(self.here) * self.cfg.per_batch_size * files
        first, planned = self.done * self.cfg.accumulation_steps, self.evaluations()
        per_pass = (
            math.ceil(math.ceil(len(evaluated) / self.size) / self.cfg.per_batch_size) if evaluated else 0
        )
        return Rounds(first, most, self.each_round(planned), planned, per_pass)

    def each_round(self, planned: Sequence[Evaluation]) -> Iterator[list[str]]:
        cfg, samples, due = self.cfg, self.opened.samples, deque(planned)
        group, batch = cfg.accumulation_steps, cfg.per_batch_size
        parts = [BatchRange(0, 0, rank, self.size, group) for rank in self.here]
        orders = [part.order(len(samples), batch, cfg.seed, self.epochs) for part in parts]
        for number in range(self.done * group, self.opened.steps.total * group):
            indices = (order.batch(number, batch)[1].tolist() for order in orders)
            yield paths(samples, [index for part in indices for index in part])
            while due and due[0].after == number + 1:
                for _ in range(due.popleft().passes):
                    yield from self.evaluated_rounds()

    def evaluations(self) -> list[Evaluation]:
        """Those that are planned; one that a training begins with, because its checkpoint was saved before it, is not."""
        cfg, steps = self.cfg, self.opened.steps
        if not self.opened.evaluated:
            return []
        due = Evaluations(cfg, steps.per_epoch)
        found = [step for step in range(self.done + 1, steps.total + 1) if due.are_due(step)]
        if cfg.run_eval and steps.total > self.done and steps.total not in found[-1:]:
            found.append(steps.total)
        average_from = cfg.ema_start_epoch * steps.per_epoch if cfg.enable_ema else steps.total
        return [Evaluation(step * cfg.accumulation_steps, 1 + (step > average_from)) for step in found]

    def evaluated_rounds(self) -> Iterator[list[str]]:
        """One pass of an evaluation; see order.eval_shard."""
        samples, batch = self.opened.evaluated, self.cfg.per_batch_size
        assert samples is not None
        shares = [range(rank, len(samples), self.size) for rank in self.here]
        for start in range(0, len(range(0, len(samples), self.size)), batch):
            yield paths(samples, [index for share in shares for index in share[start : start + batch]])

    def evaluated_in_order(self) -> list[int]:
        """The images of an evaluation that this node reads."""
        samples = self.opened.evaluated
        here = {*self.here}
        return [index for index in range(len(samples or ())) if index % self.size in here]


def paths(samples: Samples, indices: Sequence[int]) -> list[str]:
    return [path for index in indices for path in samples.paths_of(index)]
