"""The provider that runs a job on this computer, in the contract of the platform that --platform names."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mindlift.cloud.arguments import WORDS, WRITTEN_SO, input_urls, places, start, starts_by_boot_file
from mindlift.cloud.errors import Answer, JobError, NoSuchJob
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.job_rules import resolve_secrets, with_folders
from mindlift.cloud.platforms.container import as_arguments
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.prepare import preflight
from mindlift.cloud.prepare.effects import NO_EFFECT, SENT
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.probe import Probe
from mindlift.cloud.providers.base import Check, LogPage, Output, Plan, Price, Provider, Question, Status
from mindlift.cloud.providers.local import isolation, machine
from mindlift.cloud.providers.local.folder import JobFolder, home
from mindlift.cloud.providers.local.keeper import StoreAccess, store_of
from mindlift.cloud.providers.local.servers import find_minio
from mindlift.cloud.states import Phase
from mindlift.errors import MindLiftError
from mindlift.files import expanded
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
        """`job` with places in the rehearsal's bucket where it names none; local inputs go there too."""
        runs = f"obs://{BUCKET}/runs/{job.name}/"
        if not job.is_program:
            job = job.replace(train_url=job.train_url or runs)
        job = with_folders(job, BUCKET)
        named = [*job.results.values(), *job.sources.values(), job.code_url, job.log_url]
        self.buckets |= {place.bucket for place in map(parse, filter(is_remote, named)) if place}
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
        return Plan(vars(request), job.platform)

    def offline_checks(self, job: Job, package: Package) -> Iterator[Check]:
        if job.python:
            python = Path(expanded(job.python))
            is_there = python.is_file() and os.access(python, os.X_OK)
            says = (
                f"{job.python} plays the container's Python"
                if is_there
                else f"{job.python} is not a program here"
            )
            yield Check("python", is_there, says, "name the bin/python of a virtual environment")
        yield isolated(job)
        if job.is_openi:
            yield from openi_checks(job)

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
        yield from preflight.in_use(job, (status for status in self.list(()) if not status.phase.is_final))

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
        yield isolated(job)
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
        request = replace(to_request(job, {}), code_sha256=package.sha256)
        machine.start(self.home, job.name, request, self.store, resolve_secrets(job))
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
            dict(request.outputs),
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

    def list(self, phases: Sequence[Phase], limit: int | None = None) -> Iterator[Status]:
        found = (self.status(folder) for folder in machine.jobs(self.home))
        return islice((status for status in found if not phases or status.phase in phases), limit)

    def questions(self, job: Job, handle: Handle | None, probe: Probe) -> Iterator[tuple[str, Question]]:
        return iter(())

    def output(self, handle: Handle, folder: Path) -> Output:
        return Output(dict(self.folder(handle).request().outputs))


def openi_checks(job: Job) -> Iterator[Check]:
    """What OpenI would refuse."""
    given = {
        "retries": (
            job.retries,
            "OpenI does not start a failed job again; submitted again, the job continues",
        ),
        "keep": (job.keep, "OpenI gives jobs no store of the user's"),
        "command": (job.command, "OpenI starts a Python file"),
        "requirements": (job.requirements, "OpenI installs nothing"),
        "outputs": (len(job.results) > 1, "OpenI keeps one folder; write all results below one output"),
        "launcher": (
            job.launcher != "rank_table",
            f"OpenI starts the ranks itself, and knows no {job.launcher}",
        ),
    }
    for name, (is_given, says) in given.items():
        if is_given:
            yield Check(name, False, says, f"leave {name} out" if name != "outputs" else "name one")
    if not job.command and starts_by_boot_file(job):
        yield Check("args", False, WORDS, WRITTEN_SO)


def isolated(job: Job) -> Check:
    """How the nodes of a rehearsal see their files."""
    try:
        is_isolated = isolation.is_isolated(job.isolation)
    except JobError as err:
        return Check("isolation", False, str(err))
    if job.paths and not is_isolated:
        places, why = ", ".join(job.paths.values()), isolation.describe(job.isolation)
        says = f"{places} would be this computer's own: {why}"
        return Check("paths", False, says, "leave isolation out, or paths")
    return Check("isolation", True if is_isolated else None, isolation.describe(job.isolation))


def to_request(job: Job, secrets: dict[str, str], is_rehearsal: bool = True) -> Request:
    """The job as the platform would be told."""
    is_openi = job.platform.startswith("openi")
    sources = input_urls(job)
    if is_openi and not job.is_program:  # OpenI's data sets have names, and models are told apart from data
        sources = {last_part(url): url for url in sources.values()}
    begins = start(job)
    models = [job.pretrained] if is_openi and job.pretrained else []
    return Request(
        platform=job.platform,
        name=job.name,
        code_url=job.code_url,
        boot_file=begins.boot_file,
        command=begins.command,
        arguments=arguments_of(job, is_rehearsal),
        inputs=tuple(sources.items()),
        outputs=tuple(job.results.items()),
        models=tuple((last_part(url), url) for url in models),
        log_url=job.log_url,
        nodes=job.nodes,
        cards=job.cards,
        launcher=job.launcher,
        access=begins.access,
        environment={**job.environment, **secrets},
        retries=job.retries,
        unconditional_retry=bool(job.retries),
        restart=job.restart,
        max_hours=job.max_hours,
        isolation=job.isolation,
        is_own=not job.is_program,
        python=expanded(job.python) if job.python and is_rehearsal else "",
    )


def arguments_of(job: Job, is_rehearsal: bool) -> tuple[str, ...]:
    """The job's own words. In a rehearsal cards are CPUs, so MindLift's programs are told the device."""
    is_openi = job.platform.startswith("openi")
    found = list(start(job.replace(pretrained="") if is_openi else job).words)
    if is_rehearsal and not job.is_program and "device_target" not in job.recipe:
        found.append("--device_target=CPU")
    if job.platform == "modelarts-v2":
        found += as_arguments(*places(job))
    return (*found, *(job.rehearsal_args if is_rehearsal else ()))


def last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def make_buckets(names: set[str]) -> None:
    """Buckets in a store of our own."""
    service = SERVICES.get()
    there = {bucket["Name"] for bucket in service.call("list buckets", "list_buckets").get("Buckets", [])}
    for name in names - there:
        service.call(f"create bucket {name}", "create_bucket", Bucket=name)
