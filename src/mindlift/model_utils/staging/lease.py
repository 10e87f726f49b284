"""Who publishes to a place in a bucket: a small object there, written again and again while its owner lives.

Each write replaces exactly the one before (If-Match), so that of two that want the place one gets it, and an owner that
was silent for too long finds out. A lease is given up when it is STALE_S old by the store's own clock, or has not
changed for that long by ours; clocks of different computers are not compared.

A store without such conditions (OBS, a platform's moxing, and any that turns out to pass over them) is looked at before
each write and again after a takeover, and its owner looks before everything that must not come from two: `check`. Each
owner has a generation, one more than the one before: of two that write there in turns the higher one stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Callable

from mindlift import json_text
from mindlift.errors import ConfigError, StageError
from mindlift.model_utils.staging.node_gate import Process
from mindlift.storage.places import locate
from mindlift.storage.store import Entry
from mindlift.storage.url import join

NAME = ".mindlift-run.json"
RENEW_S, STALE_S, RELEASED_WITHIN_S = 3.0, 15.0, 3.0
RENEWALS = 5  # of another run that are waited for: it may be leaving, as after SIGTERM
SETTLE_S = 2.0  # until what two have written at one moment is one thing for both
Say = Callable[[str], None]


class LeaseLost(StageError):
    """Another run has taken the place over."""


@dataclass(frozen=True)
class Held:
    """The lease as it was read."""

    entry: Entry
    text: bytes


class Lease:
    """Held between `take` and `release`; `is_lost` when another run has taken the place over.

    `on_loss` is called once, by the thread that renews it.
    """

    def __init__(
        self,
        url: str,
        say: Say,
        sleep: Callable[[float], None] = time.sleep,
        on_loss: Callable[[], None] = lambda: None,
    ):
        self.url, self.say, self.sleep, self.on_loss = url, say, sleep, on_loss
        self.id = uuid.uuid4().hex
        self.store, self.key = locate(join(url, NAME))
        self.is_lost = self.is_mine = False
        self.generation = self.count = 0
        self.entry: Entry | None = None
        self.renewed_at = 0.0
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

    def take(self) -> None:
        """ConfigError if a run is publishing there."""
        held = self.wait_until_free()
        if held:
            self.say(f"taking over {self.url} from {owner(held.text)}, which has ended without saying so")
            self.generation = generation(held.text)
        self.generation += 1
        entry = self.write(held.entry if held else None)
        if entry and self.store.is_conditional:
            entry = self.write_again() or entry
        if entry and not self.store.is_conditional:
            self.sleep(SETTLE_S)
        now = self.look()
        if entry is None or now is None or parsed(now.text).get("id") != self.id:
            raise ConfigError(going_on(self.url, owner(now.text) if now else "an unknown process"))
        self.entry, self.is_mine, self.renewed_at = now.entry, True, time.monotonic()

    def write_again(self) -> Entry | None:
        """As if there were no lease: None from a store that heeds conditions. Some pass over headers that they don't know."""
        entry = self.write(None)
        if entry:
            self.store.is_conditional = False
        return entry

    def wait_until_free(self) -> Held | None:
        """None for a place without a lease, or a lease that nobody has renewed for STALE_S."""
        held, renewals = self.look(), 0
        silent_s = min(self.store.age_s(self.key) or 0.0, STALE_S) if held else 0.0
        is_told = False
        while held and not is_gone(held.text) and silent_s < STALE_S:
            if not is_told:
                self.say(
                    f"{self.url} was in use by {owner(held.text)}; waiting up to {STALE_S:.0f} s to see whether it is"
                )
                is_told = True
            self.sleep(1.0)
            silent_s += 1.0
            now = self.look()
            if now and now.text != held.text:
                renewals, silent_s = renewals + 1, 0.0
            if now and renewals >= RENEWALS:
                raise ConfigError(going_on(self.url, owner(now.text)))
            held = now
        return held

    def look(self) -> Held | None:
        while True:
            entry = self.store.stat(self.key)
            if entry is None:
                return None
            with contextlib.suppress(FileNotFoundError):
                text = self.store.read(self.key)
                now = self.store.stat(self.key)
                if now == entry:
                    return Held(entry, text)

    def write(self, was: Entry | None) -> Entry | None:
        """In the place of what `was` there; None if something else is."""
        self.count += 1
        record = {"id": self.id, "generation": self.generation, "count": self.count, "time": time.time()}
        record.update(pids=pid_namespace(), process=asdict(Process.of(os.getpid())))
        return self.store.write_if(self.key, json.dumps(record).encode(), was)

    def keep(self) -> None:
        """Renew it in the background. Not before a program is started: a fork copies no threads."""
        self.thread = threading.Thread(target=self.renew_often, name="lease", daemon=True)
        self.thread.start()

    def renew_often(self) -> None:
        while not self.ended.wait(RENEW_S) and not self.is_lost:
            with contextlib.suppress(Exception):  # the publisher says that the store is away
                self.renew()

    def check(self) -> None:
        """LeaseLost if another run has the place, or has had the time to take it and has done so."""
        if not self.store.is_conditional or time.monotonic() - self.renewed_at > STALE_S / 2:
            self.renew()
        if self.is_lost:
            raise self.loss()

    def renew(self) -> None:
        with self.lock:
            if self.is_lost or self.ended.is_set():
                return
            is_fresh = time.monotonic() - self.renewed_at < STALE_S
            entry = (
                self.write(self.entry) if is_fresh else None
            )  # else a store may write in place of what is gone
            if entry is None:
                now = self.look()
                if self.is_ours(now) or (is_fresh and self.is_of_none(now)):
                    entry = self.write(now.entry if now else None)
            if entry is None:
                self.lose()
                return
            self.entry, self.renewed_at = entry, time.monotonic()

    def is_ours(self, now: Held | None) -> bool:
        """As after a write whose answer was lost."""
        return now is not None and parsed(now.text).get("id") == self.id

    def is_of_none(self, now: Held | None) -> bool:
        """It was deleted; or, without conditions, one that lost the place to us has woken up in the middle of a write."""
        return now is None or (not self.store.is_conditional and generation(now.text) < self.generation)

    def lose(self) -> None:
        self.is_lost = True
        self.say(f"warning: {self.loss()}")
        self.on_loss()

    def loss(self) -> LeaseLost:
        who = "another run"
        with contextlib.suppress(Exception):  # also of a platform's moxing
            now = self.look()
            who = owner(now.text) if now else who
        return LeaseLost(f"{self.url} has been taken over by {who}; nothing more goes there")

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
        with contextlib.suppress(Exception):
            now = self.look()
            if now is not None and parsed(now.text).get("id") == self.id:
                self.store.remove(self.key)


def going_on(url: str, who: str) -> str:
    return f"{url} is the output of a run that is going on ({who}); choose another place, or end that run"


def parsed(text: bytes) -> dict:
    try:
        record = json_text.parse(text)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def generation(text: bytes) -> int:
    """How many have had the place so far."""
    found = parsed(text).get("generation")
    return found if isinstance(found, int) else 0


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
