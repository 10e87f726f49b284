"""The training loop: one for all networks and tasks, on one device or on several ranks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Tuple

from mindlift.data.order import BatchRange
from mindlift.interrupts import Signalled
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.staging.arrivals import ArrivalError
from mindlift.training import compile_cache
from mindlift.training.hooks import Hook, Status
from mindlift.training.prepare import Prepared
from mindlift.training.sink import Queue

Outcome = Tuple[float, bool]  # of a step: its loss, and whether nothing has overflowed


def train(job: JobContext, prepared: Prepared, status: Status, hooks: Sequence[Hook]) -> None:
    """Run the remaining steps; `hooks` are called in their order after each, and may end the training.

    An ArrivalError, of an image that does not come, ends it as well, and so does a signal while a step waits for images.
    """
    images = job.cfg.per_batch_size * job.cfg.accumulation_steps * job.ranks.size
    for hook in hooks:
        hook.on_start(status)
    with contextlib.closing(outcomes(job, prepared, status)) as results:
        try:
            for loss, updated in results if not status.ended_by else ():
                status.count(loss, updated, images)
                ends_epoch = status.step % prepared.steps.per_epoch == 0
                for hook in hooks:
                    hook.on_step(status)
                    if ends_epoch:
                        hook.on_epoch(status)
                if status.ended_by:
                    break
        except ArrivalError:
            for hook in hooks:
                hook.on_lack(status)
            raise
        except Signalled:
            for hook in hooks:
                hook.on_signal(status)
    for hook in hooks:
        hook.on_end(status)


def outcomes(job: JobContext, prepared: Prepared, status: Status) -> Generator[Outcome, None, None]:
    """Run the remaining steps one by one."""
    first, total = status.step, prepared.steps.total
    with contextlib.ExitStack() as stack:
        run = runner(stack, job, prepared, status)
        for step in range(first, total):
            if step in prepared.steps.resets:
                prepared.step.reset_state()
            prepared.release_at(step)
            with compile_cache.caching(prepared.graphs if step == first else None):
                outcome = run()
            yield outcome


def runner(
    stack: contextlib.ExitStack, job: JobContext, prepared: Prepared, status: Status
) -> Callable[[], Outcome]:
    """What runs the next step; its batches end with `stack`. How long a step waits for them is counted."""
    group = job.cfg.accumulation_steps
    part = BatchRange(
        status.step * group, prepared.steps.total * group, job.ranks.rank, job.ranks.size, group
    )
    batches, masks = prepared.task.train_batches(prepared.samples, prepared.options, part), prepared.masks
    masks.begin_at(part.first)
    if prepared.uses_queue:
        queue = stack.enter_context(contextlib.closing(Queue(prepared.step.whole, batches)))

        def from_queue() -> Outcome:
            masks.draw()
            return prepared.step.read(queue.step(status.pace.waiting))

        return from_queue
    source = stack.enter_context(contextlib.closing(iter(batches)))

    def drawn() -> Iterator[tuple]:
        for _ in range(group):
            with status.waiting():
                batch = status.pace.waiting(source)
            masks.draw()
            yield batch

    return lambda: prepared.step(drawn())
