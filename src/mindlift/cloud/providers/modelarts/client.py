"""Training jobs of ModelArts by its REST v2. See base.Provider."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mindlift.cloud.errors import JobError, NoAnswer, Refused, ServiceError
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import resolve_secrets
from mindlift.cloud.json_types import JsonObject
from mindlift.cloud.prepare import bucket, preflight
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.probe import Probe
from mindlift.cloud.providers.base import (
    Check,
    LogPage,
    Needs,
    Output,
    Plan,
    Price,
    Provider,
    Question,
    Status,
    page_size,
)
from mindlift.cloud.providers.modelarts import answers, logs, questions, request, view
from mindlift.cloud.providers.modelarts.account import account_checks, name_of
from mindlift.cloud.providers.modelarts.codes import HAS_ENDED, OVER_QUOTA
from mindlift.cloud.providers.modelarts.effects import EFFECTS
from mindlift.cloud.providers.modelarts.keys import read_keys
from mindlift.cloud.providers.modelarts.session import Session
from mindlift.cloud.providers.modelarts.states import words_for
from mindlift.cloud.states import Phase
from mindlift.storage import settings
from mindlift.storage.places import SERVICES, set_auth

PAGE = 50  # jobs of one answer, the most that the service gives
EVENTS = 20  # of the newest, to find one that tells of a problem
ACTIVE = [Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.STOPPING]


def make(job: Job) -> Provider:
    return ModelArts(Session(job))


class ModelArts:
    """See base.Provider."""

    name = "modelarts"
    longest_poll_s = 15.0
    effects = EFFECTS
    full_codes = frozenset({OVER_QUOTA})

    def __init__(self, session: Session):
        self.session = session
        self.reaches_store = False

    def complete(self, job: Job) -> Job:
        """Its region; and how an own image, for which no launcher starts a process per card, really runs."""
        job = job.replace(region=self.session.region)
        if not request.has_own_start(job):
            return job
        starts_ranks = job.ranks > 1 and job.launcher == "rank_table"
        return job.replace(access=request.access_of(job), launcher="msrun" if starts_ranks else job.launcher)

    @contextlib.contextmanager
    def reach_store(self) -> Iterator[None]:
        """The store that the environment names, else OBS of the region, with the storage layer's keys or else ours.

        A handle may be the first to name the region: then OBS is known from `output` on.
        """
        self.reaches_store = True
        try:
            self.point_at_obs(self.session.region)
            yield
        finally:
            self.reaches_store = False
            SERVICES.forget()

    def point_at_obs(self, region: str) -> None:
        env = self.session.env
        if not region or any(env.get(name) for name in settings.ENDPOINTS):
            return
        keys = settings.read_keys(env, {}) or read_keys(env)
        set_auth(
            ak=keys.access_key,
            sk=keys.secret_key,
            security_token=keys.token or None,
            server=f"https://obs.{region}.myhuaweicloud.com",
        )

    def plan(self, job: Job, package: Package, asks: bool = True) -> Plan:
        """Asks nothing; of the engine it knows what a check has heard."""
        known = {name_of(item): item for item in self.session.known_engines or []}
        engine = known.get(job.engine)
        is_v1 = bool(engine and engine.get("v1_compatible"))
        body = request.body(job, dict.fromkeys(job.secrets, "***"))
        return Plan(body, "modelarts-v1" if is_v1 else "modelarts-v2")

    def offline_checks(self, job: Job, package: Package) -> Iterator[Check]:
        """What the request, the environment and the secrets alone show. Sends nothing."""
        yield from request.checks(job, package)
        with contextlib.suppress(JobError):  # a secret that is not there is another check's
            for problem in request.secret_problems(resolve_secrets(job, self.session.env)):
                yield Check("secrets", False, problem, "shorten or change it")
        endpoint = next(
            (self.session.env[name] for name in settings.ENDPOINTS if self.session.env.get(name)), ""
        )
        if endpoint and self.session.real_region:
            yield bucket.check_endpoint(endpoint, self.session.real_region)

    def bucket_needs(self, job: Job) -> Needs:
        """Object buckets of the job's region without default encryption, and an empty folder for logs.

        User guide: Creating a Training Job, Prerequisites and Persistent Log Saving; Creating an OBS Bucket.
        """
        return Needs(
            region=self.session.real_region,
            takes_encrypted=False,
            takes_file_systems=False,
            wants_empty_logs=True,
        )

    def price(self, job: Job) -> Price | None:
        """None: flavors carry a billing code and a number of units, and no call tells an amount."""
        return None

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        yield from self.of_service(job, lambda job: [self.check_name(job)], self.check_outputs)

    def selfcheck(self, job: Job) -> Iterator[Check]:
        yield from self.of_service(job)

    def check_outputs(self, job: Job) -> Iterator[Check]:
        yield from preflight.in_use(job, self.list(ACTIVE))

    def of_service(self, job: Job, *others: Callable[[Job], Iterable[Check]]) -> Iterator[Check]:
        """Checks that ask the service, up to the first that it does not answer: the ones behind it need that too."""
        try:
            yield Check("keys", True, f"found in {read_keys(self.session.env).source}")
            yield Check("project", True, f"{self.session.project} at {self.session.place}")
            yield from account_checks(self.session, job)
            for checks in others:
                yield from checks(job)
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def check_name(self, job: Job) -> Check:
        """The service's own word: it also knows the names of jobs that are not listed for me."""
        try:
            answer = self.session.call(
                "check the name",
                answers.VALIDATE_NAME,
                job_name=job.name,
                workspace_id=job.workspace_id,
            )
        except Refused as err:  # not every edition of the service has this call, nor every account the right
            other = self.find(job)
            text = f"{job.name} is the name of {other}" if other else f"{job.name} is on no list; {err}"
            return Check("name", False if other else None, text, "choose another name, or leave it out")
        taken = bool(answer.get("is_duplicate"))
        text = f"{job.name} is " + (f"the name of {self.find(job) or 'another job'}" if taken else "free")
        return Check("name", not taken, text, "choose another name, or leave it out")

    def create(self, job: Job, package: Package) -> Handle:
        secrets = resolve_secrets(job)
        what = f"create job {job.name}"
        answer = self.session.call(
            what,
            answers.CREATE,
            list(secrets.values()),
            body=request.body(job, secrets),
        )
        if not (answer.get("metadata") or {}).get("id"):
            raise NoAnswer(f"{what}: ModelArts' answer names no job")
        return self.handle(answer)

    def handle(self, answer: answers.TrainingJob) -> Handle:
        return Handle(self.name, (self.session.place, self.session.project, answer["metadata"]["id"]))

    def find(self, job: Job) -> Handle | None:
        """By `like`, the operator that the reference shows with names: it also finds longer names."""
        found = self.search([{"key": "name", "operator": "like", "value": [job.name]}], job.workspace_id)
        return next((self.handle(item) for item in found if item["metadata"].get("name") == job.name), None)

    def search(
        self, filters: Sequence[JsonObject], workspace_id: str, limit: int | None = None
    ) -> Iterator[answers.TrainingJob]:
        """Jobs, newest first, no more than `limit`; the offset counts pages."""
        return islice(self.pages(filters, workspace_id, page_size(limit, PAGE)), limit)

    def pages(
        self, filters: Sequence[JsonObject], workspace_id: str, size: int
    ) -> Iterator[answers.TrainingJob]:
        page = 0
        items: list[answers.TrainingJob] = [{}] * size
        while len(items) == size:
            body = {
                "offset": page,
                "limit": size,
                "sort_by": "create_time",
                "order": "desc",
                "workspace_id": workspace_id,
                "filters": filters,
            }
            items = self.session.call("list jobs", answers.LIST, body=body).get("items") or []
            yield from items
            page += 1

    def details(self, handle: Handle) -> answers.TrainingJob:
        return self.at(handle).call(f"show job {handle.id}", answers.SHOW, training_job_id=handle.id)

    def at(self, handle: Handle) -> Session:
        place, project, _ = handle.parts
        return self.session.at(place, project)

    def show(self, handle: Handle) -> Status:
        status = view.status_of(self.details(handle), handle, time.time())
        if status.reason or status.phase not in (Phase.QUEUED, Phase.FAILED):
            return status
        return replace(status, reason=self.newest_event(handle))

    def newest_event(self, handle: Handle) -> str:
        """Why a job waits, or why it failed where its tasks do not say, as its events tell."""
        try:
            answer = self.at(handle).call(
                f"events of job {handle.id}",
                answers.EVENTS,
                training_job_id=handle.id,
                offset=0,
                limit=EVENTS,
                order="desc",
                x_language="en-us",
            )
        except Refused as err:
            return f"its events can't be read: {err.code}"
        return view.event_text(answer.get("events") or [])

    def logs(self, handle: Handle, node: int, place: Place, has_ended: bool) -> LogPage:
        return logs.read(self.at(handle), handle.id, node, place, has_ended)

    def cancel(self, handle: Handle) -> None:
        try:
            self.at(handle).call(
                f"cancel job {handle.id}",
                answers.STOP,
                training_job_id=handle.id,
                body={"action_type": "terminate"},
            )
        except Refused as err:
            if err.code != HAS_ENDED:
                raise

    def list(self, phases: Sequence[Phase], limit: int | None = None) -> Iterator[Status]:
        words = [word for phase in phases for word in words_for(phase)]
        if phases and not words:  # UNKNOWN is no word of the service
            return iter(())
        by_phase: JsonObject = {"key": "phase", "operator": "in", "value": words}
        found = self.search([by_phase] if words else [], self.session.job.workspace_id, limit)
        return (view.status_of(item, self.handle(item), time.time()) for item in found)

    def questions(self, job: Job, handle: Handle | None, probe: Probe) -> Iterator[tuple[str, Question]]:
        probe.redactor.hidden = [*self.session.hidden(), self.session.project]
        self.session.probe = probe
        return questions.questions(self, job, handle)

    def output(self, handle: Handle, folder: Path) -> Output:
        if self.reaches_store:
            self.point_at_obs(self.at(handle).region)
        return Output(view.outputs_of(self.details(handle).get("algorithm") or {}))
