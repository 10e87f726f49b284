"""A job that has accidents: its processes, what it has saved, and the check of how it ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mindlift.cli.compare_checkpoints import compare
from tests.chaos.trainings import Kind, Shared, command, variables
from tests.support.programs import ROOT
from tests.support.servers import s3_client

ENDED_WITHIN_S = 240
SIGNALLED = [128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
AGAIN = 3  # times that the same command may be given until the run ends well
LINE = re.compile(r"^(error: |local_ranks\.sh: )", re.MULTILINE)


class Attempt:
    """The processes of one start of the command, in a session of their own; what they say is in files."""

    def __init__(self, words: list[str], env: dict[str, str], folder: Path, before: list[str]):
        folder.mkdir(parents=True)
        self.folder, self.sent = folder, 0
        with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
            self.process = subprocess.Popen(
                [*before, *words],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def ranks(self) -> dict[int, int]:
        """The processes of the ranks by their numbers; one that has not set its variables yet is not among them."""
        found = {}
        for pid in children(self.process.pid):
            named = re.search(rb"(?:^|\0)RANK_ID=(\d+)\0", environ(pid))
            if named:
                found[int(named[1])] = pid
        return found or {0: self.process.pid}

    def send(self, number: int, pid: int = 0) -> None:
        """To one process, or to all."""
        self.sent = self.sent or number
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(pid, number) if pid else os.killpg(self.process.pid, number)

    def wait(self, seconds: float = ENDED_WITHIN_S) -> int:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end after {seconds} s\n{self.describe()}") from None
        self.kill()  # ranks that a killed launcher has left
        return code

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def has_said_why(self) -> bool:
        """Whether it ended well (False) or with a line (True); AssertionError for a traceback or another exit code."""
        code, said = self.wait(), self.out + self.err
        assert "Traceback" not in said, self.describe()
        assert len(re.findall("^error: ", said, re.MULTILINE)) <= 1, self.describe()
        if code == 0 or (self.sent and code in (-self.sent, 128 + self.sent)):
            return False
        codes = (1, 2, *SIGNALLED) if self.sent else (1, 2)
        assert code in codes or self.sent == signal.SIGKILL, f"exit code {code}\n{self.describe()}"
        assert LINE.search(said), self.describe()
        return True

    def describe(self) -> str:
        return f"{self.folder}\n{self.out[-3000:]}\n{self.err[-3000:]}"


class Job:
    """The same command again and again, with results in a folder."""

    def __init__(self, kind: Kind, shared: Shared, folder: Path):
        self.kind, self.shared, self.folder = kind, shared, folder
        self.whole = shared.whole(kind)
        self.attempts: list[Attempt] = []
        self.before: list[str] = []  # what the command is started by
        self.root = ""  # of the file system that it sees
        self.place = folder / "runs"

    def words(self) -> list[str]:
        return [*self.shared.words(self.kind), "--ckpt_path", str(self.folder / "runs")]

    def env(self) -> dict[str, str]:
        return variables(self.shared.cache, self.folder / f"logs-{len(self.attempts)}")

    def start(self, *more: str) -> Attempt:
        number = len(self.attempts)
        words = command(self.kind, [*self.words(), *more])
        attempt = Attempt(words, self.env(), self.folder / f"attempt-{number}", self.before)
        self.attempts.append(attempt)
        return attempt

    def runs(self) -> Iterator[Path]:
        """The run folders on this disk."""
        return (Path(root) for root, folders, _ in os.walk(self.place) if "checkpoints" in folders)

    def saved(self) -> int:
        """The step from which the same command has to go on."""
        unfinished = [run for run in self.runs() if not (run / "result.json").exists()]
        return max((newest_whole(run / "checkpoints") for run in unfinished), default=0)

    def ends_as_the_whole(self, keeps: bool = True) -> bool:
        """Gives the command until the run has ended as one without an accident; whether a line came before that.

        `keeps`: it goes on at what was saved, so no more steps are trained again than there have to be.
        """
        said = False
        for _ in range(AGAIN):
            saved = self.saved() if keeps else 0
            attempt = self.start()
            if attempt.has_said_why():
                said = True
                continue
            assert attempt.wait() == 0, attempt.describe()
            first = re.search(
                r"iter\[(\d+)\]", attempt.out
            )  # counted from 0; none if all that was left was to publish
            assert first is None or int(first[1]) >= saved, f"{saved} was saved\n{attempt.describe()}"
            self.check(attempt)
            return said
        raise AssertionError(f"not ended after {AGAIN} starts\n{attempt.describe()}")

    def check(self, attempt: Attempt) -> None:
        """The result is that of the training without an accident."""
        result = json.loads(attempt.out.strip().splitlines()[-1])
        assert result["steps"] == self.kind.steps
        self.check_weights(Path(f"{self.root}{result['checkpoint']}").read_bytes())

    def check_weights(self, checkpoint: bytes) -> None:
        copy = self.folder / "last.ckpt"
        copy.write_bytes(checkpoint)
        found = compare(self.whole.checkpoint, copy)
        assert found["largest_difference"] == 0, found

    def stop(self) -> None:
        """Ends what is left of its processes."""
        for attempt in self.attempts:
            attempt.kill()


class BucketJob(Job):
    """Data and results in a bucket, by a disk that may be lost."""

    def __init__(self, kind: Kind, shared: Shared, folder: Path, store, bucket: str, endpoint: str = ""):
        super().__init__(kind, shared, folder)
        self.client, self.bucket, self.store = s3_client(store), bucket, store
        self.endpoint = endpoint or store.endpoint
        self.place = self.folder / "cache"
        shutil.copytree(shared.cache / "graphs", self.place / "graphs")
        for path in shared.data.iterdir():
            self.client.upload_file(str(path), bucket, f"data/{path.name}")

    def words(self) -> list[str]:
        where = ["--data_url", f"obs://{self.bucket}/data/", "--train_url", f"obs://{self.bucket}/run/"]
        return [*self.kind.words, "--enable_modelarts", "True", *where]

    def env(self) -> dict[str, str]:
        return {
            **variables(self.place, self.folder / f"logs-{len(self.attempts)}"),
            "S3_ENDPOINT": self.endpoint,
            "ACCESS_KEY_ID": self.store.access_key,
            "SECRET_ACCESS_KEY": self.store.secret_key,
        }

    def lose_disk(self) -> None:
        shutil.rmtree(self.place)

    def on_another_node(self, name: str) -> BucketJob:
        """The same command on a computer with an empty disk."""
        other = BucketJob.__new__(BucketJob)
        other.__dict__ = {**self.__dict__, "folder": self.folder / name, "attempts": []}
        other.place = other.folder / "cache"
        shutil.copytree(self.shared.cache / "graphs", other.place / "graphs")
        return other

    def keys(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix="run/").get("Contents", [])
        return [item["Key"] for item in found]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def saved(self) -> int:
        keys, steps = self.keys(), [super().saved()]
        for key in keys:
            run, is_manifest, _ = key.partition("/checkpoints/manifest.jsonl")
            if is_manifest and f"{run}/result.json" not in keys:
                steps += [record["step"] for record in records(self.read(key))]
        return max(steps)

    def check(self, attempt: Attempt) -> None:
        """The bucket has the run, whole: all that its manifest names, and the weights of the whole training."""
        super().check(attempt)
        run = Path(json.loads(attempt.out.strip().splitlines()[-1])["run"]).name
        folder = f"run/{run}"
        assert json.loads(self.read(f"{folder}/result.json"))["steps"] == self.kind.steps
        named = records(self.read(f"{folder}/checkpoints/manifest.jsonl"))
        for record in named:
            data = self.read(f"{folder}/checkpoints/{record['file']}")
            assert hashlib.sha256(data).hexdigest() == record["sha256"], record
        assert named[-1]["step"] == self.kind.steps
        self.check_weights(data)


def records(manifest: bytes) -> list[dict]:
    """The lines of a manifest that are whole."""
    return [json.loads(line) for line in manifest.splitlines() if line.endswith(b"}")]


def newest_whole(folder: Path) -> int:
    """The step of the newest checkpoint whose content has the sum that the manifest states; 0 for none."""
    manifest = folder / "manifest.jsonl"
    found = records(manifest.read_bytes()) if manifest.exists() else []
    for record in sorted(found, key=lambda record: record["step"], reverse=True):
        path = folder / record["file"]
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]:
            return record["step"]
    return 0


def children(pid: int) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in done.stdout.split()]


def environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def wait_until(condition: Callable[[], bool], attempt: Attempt, seconds: float = ENDED_WITHIN_S) -> None:
    """Also if the attempt ends meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition() and not attempt.has_ended:
        assert time.monotonic() < deadline, attempt.describe()
        time.sleep(0.002)
