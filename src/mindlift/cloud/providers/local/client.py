"""The provider that runs a job on this computer, in the contract of the platform that --platform names."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mindlift.cloud.errors import Answer, JobError, NoSuchJob
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS, Job, parameters, resolve_secrets
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.prepare.effects import NO_EFFECT, SENT
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.probe import Probe
from mindlift.cloud.providers.base import Check, LogPage, Output, Plan, Price, Provider, Question, Status
from mindlift.cloud.providers.local import machine
from mindlift.cloud.providers.local.folder import JobFolder, home
from mindlift.cloud.providers.local.keeper import StoreAccess, store_of
from mindlift.cloud.providers.local.servers import find_minio
from mindlift.cloud.states import Phase
from mindlift.errors import MindLiftError
from mindlift.files import expanded
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import SERVICES, set_auth
from mindlift.storage.url import is_remote, parse

BUCKET = "mindlift"
FREE_GB = 2.0
OF_SERVICES = f"{NO_EFFECT}a rehearsal asks no service"
EFFECTS = {
    **dict.fromkeys(FIELDS, SENT),
    **dict.fromkeys(
        (
            "region",
            "endpoint",
            "project_id",
            "workspace_id",
            "flavor",
            "pool_id",
            "engine",
            "image",
            "repo",
            "branch",
            "cluster",
            "spec",
            "datasets",
            "models",
            "annotations",
            "description",
            "max_cost",
        ),
        OF_SERVICES,
    ),
    "wheels": f"{NO_EFFECT}a rehearsal runs with this Python and its packages",
}


def make(job: Job) -> Provider:
    return Local(home())


class Local:
    """See base.Provider."""

    name = "local"
    longest_poll_s = 1.0
    effects = EFFECTS
    full_codes: frozenset[str] = frozenset()

    def __init__(self, folder: Path):
        self.home = folder
        self.store: StoreAccess | None = None
        self.buckets = {BUCKET}

    def complete(self, job: Job) -> Job:
        """`job` with places in the rehearsal's bucket where it names none; a local data_url goes there too."""
        train_url = job.train_url or f"obs://{BUCKET}/runs/{job.name}/"
        job = job.replace(train_url=train_url)
        job = job.replace(
            code_url=job.code_url or job.in_bucket("code"),
            log_url=job.log_url or job.in_bucket(f"logs/{job.name}"),
        )
        places = [parse(url) for url in (job.train_url, job.code_url, job.log_url)]
        self.buckets |= {place.bucket for place in places if place}
        return job

    @contextlib.contextmanager
    def reach_store(self) -> Iterator[None]:
        """obs:// URLs mean the rehearsal's store for the block."""
        with store_of(self.home) as access:
            self.store = access
            set_auth(ak=access.access_key, sk=access.secret_key, server=access.endpoint)
            try:
                if access.is_own:
                    make_buckets(self.buckets)
                yield
            finally:
                SERVICES.forget()
                self.store = None

    def plan(self, job: Job, package: Package, asks: bool = True) -> Plan:
        request = to_request(job, dict.fromkeys(job.secrets, "***"))
        return Plan({**vars(request), "parameters": dict(request.parameters)}, job.platform)

    def offline_checks(self, job: Job, package: Package) -> Iterator[Check]:
        if job.data_url and not is_remote(job.data_url):
            there = Path(job.data_url).exists()
            yield Check(
                "data_url",
                there,
                f"{job.data_url} " + (f"goes to {data_url(job)}" if there else "does not exist here"),
                "name a local folder or archive, or obs://bucket/folder/ in the rehearsal's store",
            )
        if job.python:
            python = Path(expanded(job.python))
            is_there = python.is_file() and os.access(python, os.X_OK)
            says = (
                f"{job.python} plays the container's Python"
                if is_there
                else f"{job.python} is not a program here"
            )
            yield Check("python", is_there, says, "name the bin/python of a virtual environment")
        if job.platform.startswith("openi") and job.retries:
            yield Check(
                "retries",
                False,
                "OpenI does not start a failed job again",
                "leave retries out; submitted again, the job continues",
            )

    def bucket_needs(self, job: Job) -> None:
        """A store of its own takes every bucket."""

    def price(self, job: Job) -> Price | None:
        return Price(0.0, "CNY")

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        taken = JobFolder(self.home / job.name).exists()
        yield Check(
            "name",
            not taken,
            f"{job.name} is " + ("the name of another rehearsal" if taken else "free"),
            "choose another name, or leave it out",
        )
        yield self.check_disk()
        used = [
            str(status.handle)
            for status in self.list(())
            if not status.phase.is_final and status.train_url == job.train_url
        ]
        yield Check(
            "train_url",
            not used,
            f"{job.train_url} is " + (f"in use by {used[0]}" if used else "in use by no other job"),
            "wait for that job, cancel it, or choose another train_url",
        )

    def check_disk(self) -> Check:
        self.home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.home).free / 1e9
        return Check(
            "disk",
            free > FREE_GB,
            f"{free:.1f} GB free in {self.home}",
            f"free {FREE_GB:g} GB, or set MINDLIFT_REHEARSALS",
        )

    def selfcheck(self, job: Job) -> Iterator[Check]:
        yield self.check_disk()
        kind = "MINIO_ENDPOINT" if not find_minio() else "MinIO"
        try:
            with self.reach_store():
                assert self.store
                kind = {"given": "the server that MINIO_ENDPOINT names"}.get(self.store.kind, self.store.kind)
                yield Check("store", True, f"{kind} answers at {self.store.endpoint}")
        except MindLiftError as err:
            yield Check("store", False, str(err), "run `make minio`")

    def create(self, job: Job, package: Package) -> Handle:
        assert self.store, "inside reach_store()"
        if job.data_url and not is_remote(job.data_url):
            upload_data(Path(job.data_url), data_url(job))
        machine.start(self.home, job.name, to_request(job, {}), self.store, resolve_secrets(job))
        return Handle(self.name, (job.name,))

    def find(self, job: Job) -> Handle | None:
        return Handle(self.name, (job.name,)) if JobFolder(self.home / job.name).exists() else None

    def folder(self, handle: Handle) -> JobFolder:
        folder = JobFolder(self.home / handle.id)
        if not folder.exists():
            says, hint = f"no job {handle.id} in {self.home}", "`list` shows which there are"
            raise NoSuchJob(Answer("the rehearsal", f"show {handle}", "404", says, hint))
        return folder

    def show(self, handle: Handle) -> Status:
        return self.status(self.folder(handle))

    def status(self, folder: JobFolder) -> Status:
        request, state = folder.request(), machine.state(folder)
        end = state.ended_at or machine.time.time()
        return Status(
            Handle(self.name, (folder.id,)),
            request.name,
            Phase(state.phase),
            state.phase,
            request.platform,
            state.reason,
            state.created_at,
            state.started_at,
            end - state.started_at if state.started_at else 0.0,
            request.nodes,
            request.cards,
            state.restarts,
            request.train_url,
        )

    def logs(self, handle: Handle, node: int, place: Place, has_ended: bool) -> LogPage:
        folder = self.folder(handle)
        nodes = folder.request().nodes
        if node >= nodes:
            raise JobError(f"node {node}: the job has {nodes}, numbered from 0")
        after = int(place.get("lines", 0))
        lines = folder.log_lines(node, after)
        return LogPage(lines, {"lines": after + len(lines)})

    def cancel(self, handle: Handle) -> None:
        machine.stop(self.folder(handle))

    def list(self, phases: Sequence[Phase]) -> Iterator[Status]:
        found = (self.status(folder) for folder in machine.jobs(self.home))
        return (status for status in found if not phases or status.phase in phases)

    def questions(self, job: Job, handle: Handle | None, probe: Probe) -> Iterator[tuple[str, Question]]:
        return iter(())

    def output(self, handle: Handle, folder: Path) -> Output:
        return Output(self.folder(handle).request().train_url)


def to_request(job: Job, secrets: dict[str, str], is_rehearsal: bool = True) -> Request:
    """The job as the platform would be told. In a rehearsal cards are CPUs, so the device is named."""
    is_openi = job.platform.startswith("openi")
    given = dict(parameters(job))
    if is_rehearsal:
        given.setdefault("device_target", "CPU")
    named = (given.pop("pretrained"),) if is_openi and "pretrained" in given else ()
    data = (data_url(job),) if is_openi and job.data_url else ()
    return Request(
        platform=job.platform,
        name=job.name,
        code_url=job.code_url,
        boot_file=job.boot_file,
        parameters=tuple(given.items()),
        data_url=data_url(job),
        train_url=job.train_url,
        log_url=job.log_url,
        datasets=tuple((last_part(url), url) for url in data),
        models=tuple((last_part(url), url) for url in named),
        nodes=job.nodes,
        cards=job.cards,
        run_method=job.run_method,
        access=job.access,
        environment={**job.environment, **secrets},
        retries=job.retries,
        unconditional_retry=bool(job.retries),
        restart=job.restart,
        max_hours=job.max_hours,
        python=expanded(job.python) if job.python and is_rehearsal else "",
    )


def last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def data_url(job: Job) -> str:
    """Where the data is in the store: a local folder goes beside the results, under its name and whose it is."""
    if not job.data_url or is_remote(job.data_url):
        return job.data_url
    path = Path(job.data_url).resolve()
    mark = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
    return job.in_bucket(f"data-{mark}") + path.name + ("/" if path.is_dir() else "")


def upload_data(source: Path, url: str) -> None:
    """Make `url` what the local folder or archive is."""
    if source.is_dir():
        transfer.copy_tree(str(source.resolve()), url, delete=True)
    else:
        transfer.copy_file(str(source.resolve()), url)


def make_buckets(names: set[str]) -> None:
    """Buckets in a store of our own."""
    service = SERVICES.get()
    there = {bucket["Name"] for bucket in service.call("list buckets", "list_buckets").get("Buckets", [])}
    for name in names - there:
        service.call(f"create bucket {name}", "create_bucket", Bucket=name)
