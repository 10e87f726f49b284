"""A worker process of a copy: reads batches of entries from a pipe, answers with their outcomes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from mindlift.interrupts import leave_ctrl_c_to_parent
from mindlift.storage.copying.engine import Threads
from mindlift.storage.copying.progress import Progress
from mindlift.storage.store import Entry

GROUP = 16  # outcomes per message


def serve(pipe: Connection) -> None:
    """Copy until the pipe ends; outcomes go back in small groups, with the number of retries since the last."""
    job, count = pipe.recv()
    threads = Threads(job, count, Progress("", show_bar=False, say=lambda _: None))
    given = Given(pipe)
    outcomes: list = []
    finished = sent = 0
    try:
        for outcome in threads.run(given):
            outcomes.append(outcome)
            finished += 1
            if len(outcomes) >= GROUP or finished == given.count:
                pipe.send((outcomes, threads.retries - sent))
                outcomes, sent = [], threads.retries
    except Exception as err:
        pipe.send(([*outcomes, err], 0))


class Given:
    """The entries that the parent sends, and how many they have been so far."""

    def __init__(self, pipe: Connection):
        self.pipe, self.count = pipe, 0

    def __iter__(self) -> Iterator[Entry]:
        while True:
            try:
                batch = self.pipe.recv()
            except (EOFError, ConnectionError):  # the parent has all that it wanted, or is gone
                return
            self.count += len(batch)
            yield from batch


def main() -> None:
    leave_ctrl_c_to_parent()
    with contextlib.suppress(EOFError, ConnectionError):  # the parent is gone
        serve(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
