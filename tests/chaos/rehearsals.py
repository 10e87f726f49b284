"""Rehearsals whose ranks, platform or store die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from mindlift.cli.compare_checkpoints import compare
from mindlift.cloud.providers.local import keeper
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.model_utils.staging.node_gate import Process
from tests.chaos.jobs import records
from tests.chaos.points import Point
from tests.chaos.trainings import ONE, STEPS, TWO
from tests.support.home import Home
from tests.support.servers import Store, find_minio, s3_client

ENDED_WITHIN_S = 240
OWN_BUCKET = "mindlift"


def rehearsal(point: Point) -> bool:
    """A rank, the platform's process, or the MinIO that rehearsals share is killed; what fails is submitted again."""
    victim = ("rank", "platform", "store")[point.index % 3]
    kind = TWO if point.index % 2 else ONE
    step, restart = point.rng.randint(-4, 16), point.rng.choice(["in_place", "reschedule"])
    point.say(victim, kind.name, f"step {step}", restart)
    home = Home(point.store, point.bucket, point.folder)
    if victim == "store":
        own_store(home)
    words = dict(zip(kind.words[::2], kind.words[1::2]))
    named = ["--net", words.pop("--net"), "--dataset", words.pop("--dataset"), "--cards", str(kind.ranks)]
    recipe = [f"{name[2:]}={value}" for name, value in words.items()]
    job = [*named, "--recipe", *recipe, "--data_url", point.shared.data]
    said, pauses = False, point.rng.uniform(0, 2)
    with store_of(home) as store:
        retried = home.submit(*job, "--retries", 2, "--restart", restart)
        kill(home.job(retried), victim, step, pauses, point)
        for handle in again(home, retried, job):
            done = home.run("wait", handle, timeout=ENDED_WITHIN_S)
            assert done.code in (0, 1), done.err
            if not done.code:
                break
            status = home.status(handle)
            assert status["reason"], status
            assert "\n" not in status["reason"], status
            assert victim != "rank", status
            said = True
        assert not done.code, done.err
        log = "\n".join(home.job(handle).log_lines(0))
        assert "Traceback" not in log, log[-3000:]
        compared(home, store, point)
    return said


def own_store(home: Home) -> None:
    """The rehearsals' own, as for a user without a MINIO_ENDPOINT."""
    for name in ("MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
        home.env[name] = ""
    home.env["MINIO_BINARY"] = str(find_minio())
    home.bucket = OWN_BUCKET
    home.common[-1] = f"obs://{OWN_BUCKET}/run/"


@contextlib.contextmanager
def store_of(home: Home) -> Iterator[Store]:
    if home.env["MINIO_ENDPOINT"]:
        yield home.store
        return
    with keeper.store_of(Path(home.env["MINDLIFT_REHEARSALS"])) as access:
        yield access


def again(home: Home, first: str, job: list[object]) -> Iterator[str]:
    """The handles of the same job, submitted once more and once more."""
    yield first
    yield home.submit(*job)
    yield home.submit(*job)


def kill(job: JobFolder, victim: str, step: int, pause_s: float, point: Point) -> None:
    """SIGKILL at a step, or, for a negative one, some time after the ranks have started."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while not job.state().is_final:
        if len(job.processes()) > 1 and (
            step < 0 or any(f", step {step + 1} of " in line for line in job.log_lines(0))
        ):
            break
        assert time.monotonic() < deadline, job.log_lines(0)
        time.sleep(0.02)
    time.sleep(pause_s if step < 0 else pause_s / 10)
    processes = job.processes()
    if victim == "store":
        note = json.loads((job.root.parent / "store/store.json").read_text())
        pid = Process(**note["server"]).pid
    else:
        pid = processes[0].pid if victim == "platform" else point.rng.choice(processes[1:]).pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def compared(home: Home, store: Store, point: Point) -> None:
    """The run in the bucket has ended, with the weights of a training without an accident."""
    client = s3_client(store)
    found = client.list_objects_v2(Bucket=home.bucket, Prefix="run/").get("Contents", [])
    ends = [item["Key"] for item in found if item["Key"].endswith("/result.json")]
    assert ends, found
    for key in ends:
        folder = key.rpartition("/")[0]
        manifest = client.get_object(Bucket=home.bucket, Key=f"{folder}/checkpoints/manifest.jsonl")
        last = records(manifest["Body"].read())[-1]
        assert last["step"] == STEPS
        copy = point.folder / "published.ckpt"
        client.download_file(home.bucket, f"{folder}/checkpoints/{last['file']}", str(copy))
        whole = point.shared.whole(TWO if point.index % 2 else ONE)
        assert compare(whole.checkpoint, copy)["largest_difference"] == 0
