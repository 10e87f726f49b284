"""The part of a streaming process whose folder another job of this machine is fetching already."""

from __future__ import annotations

import time
from collections.abc import Callable

from mindlift.model_utils.streaming.arrivals import ENGINE, Arriving, is_held, read_state
from mindlift.model_utils.streaming.streamer import Request
from mindlift.model_utils.streaming.wishes import Wishes

ASK_AGAIN_S = 5.0
ASK_EVERY_S = 0.5


class Joined:
    """`wait` is called as long as the other one holds the lock of the folder."""

    def __init__(self, request: Request, wishes: Wishes, begin: Callable[[int, int, bool, bool], None]):
        self.request, self.wishes, self.begin = request, wishes, begin
        self.folder: Arriving | None = None
        self.asked: dict[str, float] = {}
        self.next_at = 0.0

    def clock(self) -> float:
        """For the deadline of the lock, which is not one while the other one's files are read."""
        return time.monotonic() if self.folder is None else 0.0

    def wait(self, seconds: float) -> None:
        if self.folder is None:
            self.join()
        elif time.monotonic() >= self.next_at:
            self.next_at = time.monotonic() + ASK_EVERY_S
            self.ask(self.folder)
        time.sleep(seconds)

    def join(self) -> None:
        """If it has told already what comes."""
        control = self.request.control
        if not is_held(control / ENGINE):
            return
        state = read_state(control)
        if not state:
            return
        self.folder = Arriving(self.request.target, control, self.request.timeout_s, lambda line: None)
        files = len(self.folder.names) - int(state.get("here", 0))
        print(f"another job fetches {self.request.url}: its files are read by both", flush=True)
        self.begin(files, max(0, int(state.get("left", 0))), self.request.cache_bytes > 0, True)

    def ask(self, folder: Arriving) -> None:
        now = time.monotonic()
        names = self.wishes.next_missing()
        self.asked = {name: at for name, at in self.asked.items() if now - at < ASK_AGAIN_S}
        new = [name for name in names if name not in self.asked]
        if new:
            folder.ask(*new)
            self.asked.update(dict.fromkeys(new, now))
