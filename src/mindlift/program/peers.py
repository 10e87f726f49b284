"""Ranks of one node that go on after the one that publishes: their ends, and their exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from mindlift import json_text
from mindlift.files import write_atomic
from mindlift.model_utils.staging.node_gate import Process

STARTED_WITHIN_S, ENDED_WITHIN_S = 10.0, 60.0


class Peers:
    """The `mindlift run` of each rank of a node, below the folder `cache` and named by the job's token."""

    def __init__(self, cache: Path, token: str, rank: int, count: int):
        self.folder, self.rank, self.count = cache / "peers" / token, rank, count

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, code: int | None) -> None:
        """This rank runs, or has ended with `code`."""
        if self.count > 1:
            self.folder.mkdir(parents=True, exist_ok=True)
            record = {"process": asdict(Process.of(os.getpid())), "code": code}
            write_atomic(self.folder / f"{self.rank}.json", json.dumps(record), durable=False)

    def wait(self, ends_at: Callable[[], float], sleep: Callable[[float], None] = time.sleep) -> bool:
        """Until the other ranks have ended, or until `ends_at` by the monotonic clock; whether all ended with 0."""
        began = time.monotonic()
        while True:
            found = self.others()
            going_on = [each for each in found if each is None]
            late = time.monotonic() >= min(ends_at(), began + ENDED_WITHIN_S)
            missing = len(found) < self.count - 1 and time.monotonic() < began + STARTED_WITHIN_S
            if late or not (going_on or missing):
                return len(found) == self.count - 1 and not any(found) and not going_on
            sleep(0.1)

    def others(self) -> list[int | None]:
        """Exit codes; None of those that run, -1 of those that ended without a word."""
        found: list[int | None] = []
        for path in sorted(self.folder.glob("*.json")) if self.count > 1 else []:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                record = json_text.read(path)
                if path.stem != str(self.rank):
                    gone = record["code"] is None and Process(**record["process"]).is_gone()
                    found.append(-1 if gone else record["code"])
        return found
