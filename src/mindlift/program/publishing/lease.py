"""Who publishes to an output: a small object in it, written again and again while the run lives.

Clocks of different computers are not compared: what another computer has written is given up when it has not
changed for STALE_S, unless it is too old for any clock with which a store would talk.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from dataclasses import asdict
from typing import Callable

from mindlift.errors import ConfigError
from mindlift.model_utils.staging.node_gate import Process
from mindlift.storage.places import locate
from mindlift.storage.url import join

NAME = ".mindlift-run.json"
RENEW_S, STALE_S, RELEASED_WITHIN_S = 10.0, 45.0, 3.0
OLD_S = 1200.0  # the store refuses clocks that are 900 s off
Say = Callable[[str], None]


class Lease:
    """Held between `take` and `release`; `is_lost` when another run has taken the output over."""

    def __init__(self, url: str, say: Say, sleep: Callable[[float], None] = time.sleep):
        self.url, self.say, self.sleep = url, say, sleep
        self.id = uuid.uuid4().hex
        self.store, self.key = locate(join(url, NAME))
        self.is_lost = self.is_mine = False
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def take(self) -> None:
        """ConfigError if a run is publishing there."""
        found = self.read()
        if found is not None:
            self.wait_until_stale(found)
            self.say(f"taking over {self.url} from {owner(found)}, which has ended without saying so")
        self.write()
        self.is_mine = True

    def wait_until_stale(self, found: bytes) -> None:
        if is_gone(found) or self.age_s() > OLD_S:
            return
        self.say(
            f"{self.url} was in use by {owner(found)}; waiting up to {STALE_S:.0f} s to see whether it is"
        )
        waited = 0.0
        while waited < STALE_S:
            self.sleep(1.0)
            waited += 1.0
            now = self.read()
            if now is None:
                return
            if now != found:
                raise ConfigError(
                    f"{self.url} is the output of a run that is going on ({owner(now)}); choose another place, or end"
                    " that run"
                )

    def age_s(self) -> float:
        entry = self.store.stat(self.key)
        return time.time() - entry.modified_ns / 1e9 if entry and entry.modified_ns else 0.0

    def read(self) -> bytes | None:
        try:
            return self.store.read(self.key)
        except FileNotFoundError:
            return None

    def write(self) -> None:
        record = {"id": self.id, "time": time.time(), "pids": pid_namespace()}
        record["process"] = asdict(Process.of(os.getpid()))
        self.store.write(self.key, json.dumps(record).encode())

    def keep(self) -> None:
        """Renew it in the background. Not before the program is started: a fork copies no threads."""
        self.thread = threading.Thread(target=self.renew, name="lease", daemon=True)
        self.thread.start()

    def renew(self) -> None:
        while not self.ended.wait(RENEW_S):
            with contextlib.suppress(Exception):  # the publisher says that the store is away
                found = self.read()
                if found is not None and parsed(found).get("id") != self.id:
                    self.is_lost = True
                    self.say(
                        f"warning: {self.url} has been taken over by {owner(found)}; nothing more goes there"
                    )
                    return
                if not self.ended.is_set():
                    self.write()

    def release(self) -> None:
        """Give it back, if the store answers soon."""
        if not self.is_mine:
            return
        self.ended.set()
        thread = threading.Thread(target=self.remove, name="release", daemon=True)
        thread.start()
        thread.join(RELEASED_WITHIN_S)

    def remove(self) -> None:
        if self.thread:
            self.thread.join(1.0)
        with contextlib.suppress(Exception):  # also of a platform's moxing
            found = self.read()
            if found is not None and parsed(found).get("id") == self.id:
                self.store.remove(self.key)


def parsed(text: bytes) -> dict:
    try:
        record = json.loads(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def process_of(text: bytes) -> Process | None:
    try:
        return Process(**parsed(text)["process"])
    except (KeyError, TypeError):
        return None


def owner(text: bytes) -> str:
    process = process_of(text)
    return f"process {process.pid} on {process.host}" if process else "an unknown process"


def is_gone(text: bytes) -> bool:
    """Whether it is certain: a process of this computer, in this container, that has ended."""
    process = process_of(text)
    return process is not None and parsed(text).get("pids") == pid_namespace() and process.is_gone()


def pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
