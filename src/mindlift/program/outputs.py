"""A program's outputs on this machine: leased, restored, published while it runs and at its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

from mindlift.errors import ConfigError, StorageError
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.lease import Lease
from mindlift.model_utils.staging.stager import Stager
from mindlift.program.channels import Channel
from mindlift.program.inputs import bucket_of
from mindlift.program.publishing.publisher import Publisher, Rules
from mindlift.program.publishing.restore import Nodes, restore
from mindlift.program.publishing.state import State, here

ENDS_WITHIN_S = 10.0  # a program whose `mindlift run` was killed gets SIGTERM
SHOWN = 5
Say = Callable[[str], None]


@dataclass
class Output:
    """One output on this machine; without a lease it is a local folder that nobody publishes."""

    channel: Channel
    root: Path
    lease: Lease | None = None
    publisher: Publisher | None = None


class Outputs:
    """All outputs of this rank's machine; for the rank that publishes."""

    def __init__(self, stager: Stager, nodes: Nodes, rules: Rules, say: Say):
        self.stager, self.nodes, self.rules, self.say = stager, nodes, rules, say
        self.outputs: list[Output] = []

    def lease(self, channels: Sequence[Channel]) -> None:
        """Nothing is copied before this is done: ConfigError if a run is publishing to one of them."""
        for channel in channels:
            root = self.root(channel)
            output = Output(channel, root)
            self.outputs.append(output)
            if channel.is_stored:
                lease = Lease(self.nodes.url(channel.place), self.say)
                self.wait_for_earlier(State(self.stager.cache, root, lease.url), root)
                with bucket_of(channel):
                    lease.take()
                output.lease = lease

    def root(self, channel: Channel) -> Path:
        if channel.local or not channel.is_stored:
            return Path(channel.local or channel.place)
        return self.stager.place("outputs", Source(channel.place, channel.name))

    def wait_for_earlier(self, state: State, root: Path) -> None:
        deadline = time.monotonic() + ENDS_WITHIN_S
        while here(state.program()):
            if time.monotonic() > deadline:
                program = state.program()
                raise ConfigError(
                    f"process {program.pid if program else ''}, which an earlier mindlift run has started, still writes"
                    f" to {root}; end it first"
                )
            time.sleep(0.1)

    def restore(self) -> None:
        for output in self.outputs:
            try:
                output.root.mkdir(parents=True, exist_ok=True)
            except OSError as err:
                raise StorageError(f"can't write {output.root}: {err.strerror}") from err
            if output.lease:
                state = State(self.stager.cache, output.root, output.lease.url)
                restored = restore(output.root, output.channel.place, self.nodes, state, self.say)
                output.publisher = Publisher(output.root, output.lease, self.rules, restored, state, self.say)
                output.publisher.prepare()

    def start(self, program: int, is_alive: Callable[[], bool]) -> None:
        for output in self.outputs:
            if output.lease and output.publisher:
                output.lease.on_loss = partial(terminate, program)
                output.lease.keep()
                output.publisher.start(program, is_alive)

    def hurry(self) -> None:
        for output in self.outputs:
            if output.publisher:
                output.publisher.hurry()

    def close(self, ended_well: bool, by_itself: bool, ends_at: Callable[[], float]) -> bool:
        """Publish the rest of a program that has ended, `by_itself` or by a signal, until `ends_at` by the monotonic clock;
        whether all is in the bucket.
        """
        is_all = True
        for output in self.outputs:
            if output.publisher:
                output.publisher.end(ended_well, by_itself)
        for output in self.outputs:
            if output.publisher:
                missing = output.publisher.close(ends_at)
                withheld = set(output.publisher.withheld())
                self.summarise(output, output.publisher, [name for name in missing if name not in withheld])
                self.name_withheld(output, sorted(withheld & set(missing)))
                is_all = is_all and not output.publisher.lease.is_lost and not set(missing) - withheld
        return is_all

    def release(self) -> None:
        for output in self.outputs:
            if output.lease:
                output.lease.release()

    def summarise(self, output: Output, publisher: Publisher, missing: list[str]) -> None:
        if publisher.lease.is_lost:
            self.say(f"error: {publisher.lease.loss()}; what the program has written is in {output.root}")
            return
        self.say(publisher.reporter.summary())
        if missing:
            problem = publisher.reporter.problem
            why = f": {' '.join(str(problem).split())}" if problem else ""
            self.say(
                f"error: not published to {publisher.url}: {listed(missing)}{why}; they are in {output.root}, and the"
                " same command publishes them"
            )

    def name_withheld(self, output: Output, names: list[str]) -> None:
        if names:
            self.say(
                f"warning: not published, because a kill may have left them unfinished: {listed(names)}; in {output.root}"
            )


def terminate(program: int) -> None:
    """Another run has the output: what this one goes on to compute is lost."""
    with suppress(ProcessLookupError):
        os.kill(program, signal.SIGTERM)


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
