"""The platform of a rehearsed job: containers, copies, launcher, retries. A process of its own per job.

It ends with the job, keeps running when its submitter leaves, and stops the job on SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mindlift import json_text
from mindlift.cloud import platforms
from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.request import State
from mindlift.cloud.providers.local import containers, interpreter, isolation, layer
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.interpreter import Interpreter
from mindlift.cloud.providers.local.keeper import StoreAccess, store_of
from mindlift.cloud.providers.local.launcher import Ended, Launcher
from mindlift.cloud.providers.local.node import Node, clear
from mindlift.errors import MindLiftError
from mindlift.interrupts import leave_ctrl_c_to_parent
from mindlift.model_utils.staging.node_gate import Process
from mindlift.storage.copying import copy as transfer

UPLOAD_PERIOD_S = 5.0
SECRETS, STORE = "MINDLIFT_JOB_SECRETS", "MINDLIFT_JOB_STORE"  # JSON, handed over by variables, never on disk


class Supervisor:
    """One job from its first attempt to its end."""

    def __init__(self, folder: JobFolder, store: StoreAccess, secrets: dict[str, str]):
        self.folder, self.request, self.store, self.secrets = folder, folder.request(), store, secrets
        self.state = folder.state()
        self.stop = threading.Event()
        self.is_installing = False
        self.lock = threading.Lock()
        self.is_isolated = self.request.isolation != "mapping" and not isolation.obstacle()
        self.nodes = [self.make_node(number) for number in range(self.request.nodes)]

    def make_node(self, number: int) -> Node:
        def write(line: bytes) -> None:
            with self.lock, open(self.folder.log(number), "ab") as file:
                file.write(line if line.endswith(b"\n") else line + b"\n")

        self.folder.log(number).parent.mkdir(parents=True, exist_ok=True)
        container = platforms.container(self.request, self.folder.id, number)
        return Node(number, self.folder.node(number), container, write, self.is_isolated)

    def say(self, text: str) -> None:
        """A line of the platform's in the logs of all nodes."""
        who = platforms.PLATFORMS[self.request.platform].SERVICE
        line = f"[{who} Service Log][{time.strftime('%Y/%m/%d %H:%M:%S')}] {text}\n"
        for node in self.nodes:
            node.write(line.encode())

    def note(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.folder.write_state(self.state)

    def run(self) -> None:
        """The whole job; its end is in the state, whatever happens."""
        try:
            if not isolation.is_isolated(self.request.isolation):
                self.say(isolation.describe(self.request.isolation))
            ended = self.attempts()
        except (MindLiftError, OSError) as err:
            earlier = f"{self.state.reason}; not started again: " if self.state.restarts else ""
            ended = Ended(1, f"{earlier}{err}")
            self.say(f"the platform could not run the job: {err}")
        phase = "succeeded" if not ended.code else "stopped" if ended.was_stopped else "failed"
        self.say(f"job {phase}" + (f": {ended.reason}" if ended.reason else ""))
        self.keep_logs()
        for node in self.nodes if phase == "succeeded" else ():
            clear(node.root)
        self.note(phase=phase, reason=ended.reason, exit_code=ended.code, ended_at=time.time())

    def on_stop(self) -> None:
        """For SIGTERM: also ends a pip that is at work."""
        self.stop.set()
        if self.is_installing and os.getpgrp() == os.getpid():
            self.is_installing = False
            os.killpg(os.getpgrp(), signal.SIGTERM)

    def attempts(self) -> Ended:
        deadline = (
            time.monotonic() + self.request.max_hours * 3600 if self.request.max_hours else float("inf")
        )
        is_new = True
        while True:
            self.note(phase="starting")
            if is_new:
                for node in self.nodes:
                    containers.make(
                        node, self.request.code_url, self.store, self.say, self.request.code_sha256
                    )
                try:
                    python = self.prepare_python()
                except JobError:
                    if not self.stop.is_set():
                        raise
                    return Ended.on_request()
            ended = self.attempt(python, deadline)
            if not self.may_retry(ended):
                return ended
            is_new = self.request.restart == "reschedule"
            self.note(restarts=self.state.restarts + 1, reason=ended.reason)
            how = "in new containers" if is_new else "in the same containers"
            self.say(f"{ended.reason}; restart {self.state.restarts} of {self.request.retries}, {how}")

    def may_retry(self, ended: Ended) -> bool:
        """Platforms start a job again after a fault of theirs, and after any failure only if asked to.

        A killed process stands for such a fault.
        """
        if not ended.code or ended.was_stopped or ended.is_whole:
            return False
        if self.state.restarts >= self.request.retries:
            return False
        return self.request.unconditional_retry or ended.by_signal

    def prepare_python(self) -> Interpreter:
        """The container's Python. Programs of others get `moxing` and their requirements as on the platform."""
        found = interpreter.ask(self.request.python or sys.executable)
        if self.request.is_own:
            return found
        requirements = self.nodes[0].path(self.nodes[0].container.code) / layer.REQUIREMENTS
        if requirements.is_file():
            self.say(f"install {layer.REQUIREMENTS}")
        self.is_installing = True
        try:
            return layer.layered(found, requirements, self.folder.root.parent / "environments")
        finally:
            self.is_installing = False

    def attempt(self, python: Interpreter, deadline: float) -> Ended:
        private = {"S3_ENDPOINT": self.store.endpoint, "S3_USE_HTTPS": self.store.variables()["S3_USE_HTTPS"]}
        if self.store.is_own:
            private["S3_VERIFY_SSL"] = "0"
        private.update(self.secrets)
        launcher = Launcher(self.request, self.folder.id, self.nodes, python, private)
        with self.uploads():
            launcher.start()
            me = Process.of(os.getpid())
            self.folder.write_processes([me, *map(Process.of, launcher.pids())])
            self.note(phase="running", started_at=self.state.started_at or time.time())
            ended = launcher.wait(self.stop.is_set, deadline)
            self.note(phase="stopping" if ended.was_stopped else "running")
        return self.with_results(ended)

    def with_results(self, ended: Ended) -> Ended:
        """The last upload of an attempt; of one that has failed the reason stays what it was."""
        try:
            self.upload(periodic=False)
        except (MindLiftError, OSError) as err:
            self.say(f"upload failed: {err}")
            if not ended.code:
                where = ", ".join(str(node.root) for node in self.nodes)
                return Ended(
                    1, f"the results could not be uploaded, they are in {where}: {err}", is_whole=True
                )
        return ended

    @contextlib.contextmanager
    def uploads(self) -> Iterator[None]:
        """Results go to the bucket while the block runs, where the platform does so."""
        ending = threading.Event()

        def loop() -> None:
            while not ending.wait(UPLOAD_PERIOD_S):
                try:
                    self.upload(periodic=True)
                except (MindLiftError, OSError) as err:
                    self.say(f"upload failed, continuing: {err}")

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def upload(self, periodic: bool) -> None:
        for node in self.nodes:
            for item in node.container.outputs:
                path = node.path(item.path)
                if not item.url or (periodic and not item.is_periodic):
                    continue
                names, out = containers.results(path, node.root)
                if out and not periodic:
                    self.say(
                        f"left out of {item.path}, for they are links out of the container: {', '.join(out)}"
                    )
                if names:
                    manifest = self.folder.root / f"uploaded-{node.number}.json"
                    transfer.copy_tree(str(path), item.url, names, manifest=manifest)

    def keep_logs(self) -> None:
        """The ranks' logs stay with the job, and go to log_url."""
        for node in self.nodes:
            logs = node.path(node.container.logs)
            if logs.is_dir():
                transfer.copy_tree(str(logs), str(self.folder.root / "logs" / f"worker-{node.number}"))
        if self.request.log_url:
            try:
                transfer.copy_tree(str(self.folder.root / "logs"), self.request.log_url)
            except (MindLiftError, OSError) as err:
                self.say(f"the logs could not be copied to {self.request.log_url}: {err}")


def main(root: str) -> None:
    folder = JobFolder(Path(root))
    store = StoreAccess(**json_text.parse(os.environ.pop(STORE)))
    os.environ.update(store.variables())
    supervisor = Supervisor(folder, store, json_text.parse(os.environ.pop(SECRETS, "{}")))
    signal.signal(signal.SIGTERM, lambda *_: supervisor.on_stop())
    leave_ctrl_c_to_parent()
    folder.write_processes([Process.of(os.getpid())])
    folder.write_state(State(created_at=time.time()))
    supervisor.state = folder.state()
    with lease(store, folder):
        try:
            supervisor.run()
        except BaseException:
            traceback.print_exc()
            supervisor.note(
                phase="failed", reason="the rehearsal itself failed; see supervisor.log", ended_at=time.time()
            )
            raise


@contextlib.contextmanager
def lease(store: StoreAccess, folder: JobFolder) -> Iterator[None]:
    """Keep the rehearsals' own store running as long as the job does."""
    if not store.is_own:
        yield
        return
    with store_of(folder.root.parent):
        yield


if __name__ == "__main__":
    main(sys.argv[1])
