"""Stores that go away, disks that are full, files that are damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos import moments
from tests.chaos.jobs import Job
from tests.chaos.moments import Moment
from tests.chaos.points import Point
from tests.chaos.trainings import ONE
from tests.support.faults import Fault

FOREVER_S = 3600
GIVES_UP = ("--publish_timeout", "2")


def store_away(point: Point) -> bool:
    """At the start, in the middle and at the end; for some seconds, or until the job has given up."""
    when = ("start", "steps", "end")[point.index % 3]
    seconds = point.rng.choice([point.rng.uniform(0.5, 8), FOREVER_S])
    moment = moments.draw(point.rng, 0, (when,))
    if when == "end":
        moment = Moment("steps", 17, moment.share)  # before the last files are published
    point.say(moment, f"{seconds:.1f} s")
    job = point.bucket_job(endpoint=point.proxy.endpoint)
    if when == "start" and point.rng.random() < 0.5:
        moment = Moment("start", 0, 0.0)
    attempt = job.start(*GIVES_UP)
    moment.await_in(job, attempt)
    point.proxy.down(seconds)
    said = attempt.has_said_why()
    if attempt.wait() == 0:
        job.check(attempt)
    job.endpoint = point.store.endpoint
    return job.ends_as_the_whole() or said


def full_store(point: Point) -> bool:
    """The answer of a MinIO without space to each upload, from some moment on."""
    job = point.bucket_job(endpoint=point.proxy.endpoint)
    moment = moments.draw(point.rng, point.index, ("publish", "steps", "start"))
    point.say(moment)
    attempt = job.start(*GIVES_UP)
    moment.await_in(job, attempt)
    full = {"status": 507, "code": "XMinioStorageFull", "times": None}
    point.proxy.add(Fault("status", method="PUT|POST", path="/run/", **full))
    said = attempt.has_said_why()
    if attempt.wait() == 0:
        job.check(attempt)
    point.proxy.clear()
    return job.ends_as_the_whole() or said


def full_disk(point: Point) -> bool:
    """A file system of some KiB, in a mount namespace of its own, that is made larger afterwards."""
    kib = int(2 ** point.rng.uniform(4, 12.5))
    in_bucket = point.index % 4 == 3
    point.say(f"{kib} KiB", "bucket" if in_bucket else "folder")
    job = point.bucket_job() if in_bucket else point.job()
    if in_bucket:  # which needs its data and graph
        kib += sum(path.stat().st_size for path in job.place.rglob("*")) // 1024 + 900
    with small_disk(job, kib) as grow:
        attempt = job.start(*(GIVES_UP if in_bucket else ()))
        said = attempt.has_said_why()
        if attempt.wait() == 0:
            job.check(attempt)
        grow()
        return job.ends_as_the_whole() or said


@contextmanager
def small_disk(job: Job, kib: int) -> Iterator[Callable[[], None]]:
    """The job's disk is a tmpfs in the namespace of a process that holds it; `grow()` gives it all that it wants."""
    seen, kept = job.place, job.folder / "kept"
    seen.mkdir(parents=True, exist_ok=True)
    shutil.copytree(seen, kept)
    mount = f'mount -t tmpfs -o size={kib}k tmpfs "$1" && cp -r "$2/." "$1" && echo ready && exec sleep 3600'
    holder = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(seen), str(kept)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout
        if holder.stdout.readline() != "ready\n":
            pytest.skip("no tmpfs in a mount namespace of a user namespace")
        enter = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]
        job.before, job.root = enter, f"/proc/{holder.pid}/root"
        job.place = Path(f"{job.root}{seen}")
        yield lambda: subprocess.run([*enter, "mount", "-o", "remount,size=256m", str(seen)], check=True)
    finally:
        for attempt in job.attempts:
            attempt.kill()
        holder.kill()
        holder.wait()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "a flipped bit": lambda data: data[: len(data) // 2]
    + bytes([data[len(data) // 2] ^ 4])
    + data[len(data) // 2 + 1 :],
    "bytes that are no UTF-8": lambda data: data[: len(data) // 3] + b"\xff\xfe\x80" + data[len(data) // 3 :],
    "a list": lambda data: b"[]\n",
    "strange lines": lambda data: b"5\n{}\nnull\n" + data + b'"x"\n{}\n5\n',
    "text for numbers": lambda data: data.replace(b'": 1', b'": "x1"').replace(b'": 2', b'": "2"'),
    "lists for values": lambda data: data.replace(b'": "', b'": ["').replace(b'",', b'"],'),
    "its last line twice": lambda data: data + data[data.rstrip().rfind(b"\n") + 1 :],
}
NEWEST = "the newest checkpoint"


def groups(run: Path) -> dict[str, list[Path]]:
    """The run's files, so that the damage of none hides that of another: without run.json or manifest the rest is not read."""
    files = [path for path in run.rglob("*") if path.is_file() and path.suffix != ".ckpt"]
    single = {name: [path for path in files if path.name == name] for name in ("run.json", "manifest.jsonl")}
    rest = [path for path in files if path.name not in single]
    newest = max(run.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    return {**single, "the rest": [*rest, newest]}


def damaged_files(point: Point) -> bool:
    """Each file of a killed run, here or in the bucket, in the way that has the point's number."""
    name = list(DAMAGES)[point.index]
    cut, said = point.shared.cut(ONE), False
    for group in groups(cut):
        in_bucket = point.rng.random() < 0.3
        point.say(name, group, "bucket" if in_bucket else "folder")
        job = point.bucket_job() if in_bucket else point.job()
        run = job.folder / "damaged" / cut.name if in_bucket else job.place / cut.name
        shutil.copytree(cut, run)
        for path in groups(run)[group]:
            path.write_bytes(DAMAGES[name](path.read_bytes()))
        if in_bucket:
            upload(job, run)
        said = job.ends_as_the_whole(keeps=False) or said
    return said


def upload(job: Job, run: Path) -> None:
    for path in run.rglob("*"):
        if path.is_file():
            key = f"run/{run.name}/{path.relative_to(run).as_posix()}"
            job.client.upload_file(str(path), job.bucket, key)  # type: ignore[attr-defined]
