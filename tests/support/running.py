"""`mindlift run` as users and platforms start it, and a reader of the bucket that it publishes to."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.programs import ROOT, Finished, environment
from tests.support.saves_numbers import is_whole, step
from tests.support.transfers import Bucket

PROGRAM = ROOT / "tests/support/saves_numbers.py"
LEASE = ".mindlift-run.json"


class Machine:
    """A computer with a disk, `cache`, that may be lost, before a bucket."""

    def __init__(self, store, bucket: str, folder: Path):
        self.bucket = Bucket(store, bucket)
        self.url = f"obs://{bucket}/run/"
        self.cache, self.folder = folder / "cache", folder
        self.env = {
            "S3_ENDPOINT": store.endpoint,
            "ACCESS_KEY_ID": store.access_key,
            "SECRET_ACCESS_KEY": store.secret_key,
            "MINDLIFT_CACHE": str(self.cache),
            "PYTHONPATH": str(ROOT / "src"),
        }

    def start(self, *words: object, **extra: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "mindlift", "run", *map(str, words)],
            cwd=self.folder,
            env=environment(**{**self.env, **extra}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: subprocess.Popen, timeout: float = 120) -> Finished:
        out, err = process.communicate(timeout=timeout)
        return Finished(subprocess.CompletedProcess(process.args, process.returncode, out, err))

    def run(self, *words: object, **extra: str) -> Finished:
        return self.end(self.start(*words, **extra))

    def training(self, **options: int) -> list[str]:
        """The words of a run of saves_numbers.py whose checkpoints are published."""
        words = [f"--{name}={value}" for name, value in options.items()]
        output = ["--output", f"ckpt_dir={self.url}", "--settle_seconds", "0.4"]
        return [*output, "--", sys.executable, str(PROGRAM), *words]

    def content(self) -> dict[str, bytes]:
        """What the output has in the bucket, without the lease; again if something is deleted meanwhile."""
        while True:
            with contextlib.suppress(self.bucket.client.exceptions.NoSuchKey):
                return {name: data for name, data in self.bucket.content("run/").items() if name != LEASE}


def last_line(steps: int) -> str:
    """What the program prints at its end, if no step was lost or taken twice."""
    state = b"start"
    for _ in range(steps):
        state = step(state)
    return f"ends with {state.hex()}"


class Reader:
    """Reads every checkpoint in the bucket again and again, in a `with` block; `torn` are those that were not whole."""

    def __init__(self, machine: Machine):
        self.machine, self.torn, self.rounds = machine, [], 0
        self.names: set[str] = set()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self) -> Reader:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join(10)

    def read(self) -> None:
        bucket = self.machine.bucket
        while not self.ended.wait(0.05):
            found = bucket.client.list_objects_v2(Bucket=bucket.name, Prefix="run/").get("Contents", [])
            for key in [item["Key"] for item in found if not item["Key"].endswith(LEASE)]:
                try:
                    data = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
                except bucket.client.exceptions.NoSuchKey:
                    continue
                self.names.add(key)
                if not is_whole(data):
                    self.torn.append(key)
            self.rounds += 1


def children(pid: int) -> list[int]:
    """Those that are the program, and not a copy's worker process."""
    done = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in done.stdout.splitlines() if "saves_numbers" in line]
