"""The training loop: one for all networks and tasks, on one device or on several ranks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Tuple

from mindlift import garbage
from mindlift.data.order import BatchRange
from mindlift.interrupts import Signalled
from mindlift.model_utils.job_context import JobContext
from mindlift.model_utils.streaming.arrivals import ArrivalError
from mindlift.training import compile_cache
from mindlift.training.hooks import Hook, Status
from mindlift.training.prepare import Prepared
from mindlift.training.sink import Queue
from mindlift.training.step import Unread, unread

Outcome = Tuple[float, bool]  # of a step: its loss, and whether nothing has overflowed
AHEAD = 10  # steps that a device is given at most before a loss is read: a signal is answered no later


def train(job: JobContext, prepared: Prepared, status: Status, hooks: Sequence[Hook]) -> None:
    """Run the remaining steps; `hooks` are called in their order after each, and may end the training.

    On devices that compute by themselves several steps are begun before their losses are read, because reading waits for
    the device. An ArrivalError, of an image that does not come, ends the training as well, and so does a signal while a
    step waits for images.
    """
    images = job.cfg.per_batch_size * job.cfg.accumulation_steps * job.ranks.size
    for hook in hooks:
        hook.on_start(status)
    with contextlib.closing(outcomes(job, prepared, status, hooks)) as results:
        try:
            for group in results if not status.ended_by else ():
                for loss, updated in group:
                    status.count(loss, updated, images)
                    for hook in hooks:
                        hook.on_loss(status)
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
    garbage.resume()  # where there was no step
    for hook in hooks:
        hook.on_end(status)


def outcomes(
    job: JobContext, prepared: Prepared, status: Status, hooks: Sequence[Hook]
) -> Generator[list[Outcome], None, None]:
    """Run the remaining steps; yields the outcomes of those that were not read yet, when the last of them is due."""
    first, total = status.step, prepared.steps.total
    begun: list[Unread] = []
    with contextlib.ExitStack() as stack:
        run = runner(stack, job, prepared, status)
        for step in range(first, total):
            if step in prepared.steps.resets:
                prepared.step.reset_state()
            prepared.release_at(step)
            try:
                begun.append(compiled(job, prepared, run) if step == first else run())
            except (ArrivalError, Signalled):
                if begun:  # hooks save what the network is now
                    yield [prepared.step.read(each) for each in begun]
                raise
            is_full = step == first or len(begun) == AHEAD or not runs_ahead(job, prepared)
            if is_full or is_due(prepared, step + 1) or any(hook.acts_after(step + 1) for hook in hooks):
                yield [prepared.step.read(each) for each in begun]
                begun.clear()


def compiled(job: JobContext, prepared: Prepared, run: Callable[[], Unread]) -> Unread:
    """The first step, whose graph is compiled or comes from the cache; the start ends with it."""
    with compile_cache.caching(prepared.graphs, job.log.info), garbage.put_off():
        begun = run()
    garbage.resume()
    return begun


def runs_ahead(job: JobContext, prepared: Prepared) -> bool:
    """Whether steps are begun before the last one is read; new keys of dropouts must not overtake a step that reads them."""
    return job.device.computes_by_itself and not prepared.masks.cells


def is_due(prepared: Prepared, step: int) -> bool:
    """Whether so many steps end an epoch, or the host is to change something between this step and the next."""
    steps = prepared.steps
    return (
        step == steps.total
        or step % steps.per_epoch == 0
        or step in steps.resets
        or prepared.releases_at(step)
    )


def runner(
    stack: contextlib.ExitStack, job: JobContext, prepared: Prepared, status: Status
) -> Callable[[], Unread]:
    """What runs the next step; its batches end with `stack`. How long a step waits for them is counted."""
    group = job.cfg.accumulation_steps
    part = BatchRange(
        status.step * group, prepared.steps.total * group, job.ranks.rank, job.ranks.size, group
    )
    batches, masks = prepared.task.train_batches(prepared.samples, prepared.options, part), prepared.masks
    masks.begin_at(part.first)
    if prepared.uses_queue:
        queue = stack.enter_context(contextlib.closing(Queue(prepared.step.whole, batches)))

        def from_queue() -> Unread:
            masks.draw()
            return unread(queue.step(status.pace.waiting))

        return from_queue
    source = stack.enter_context(contextlib.closing(iter(batches)))

    def drawn() -> Iterator[tuple]:
        for _ in range(group):
            with status.waiting():
                batch = status.pace.waiting(source)
            masks.draw()
            yield batch

    return lambda: prepared.step.begin(drawn())
