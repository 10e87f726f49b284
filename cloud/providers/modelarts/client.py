"""Training jobs of ModelArts by its REST v2. See base.Provider."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloud.errors import JobError, NoAnswer, Refused, ServiceError
from cloud.handle import Handle
from cloud.job import Job, resolve_secrets
from cloud.package import Package
from cloud.providers.base import Check, LogPage, Output, Plan, Status, seconds_since
from cloud.providers.modelarts import request
from cloud.providers.modelarts.account import account_checks
from cloud.providers.modelarts.session import Session, read_keys
from cloud.providers.modelarts.states import phase_of, words_for
from cloud.states import Phase
from src.model_utils.moxing_shim.places import SERVICES, set_auth
from src.model_utils.moxing_shim.settings import ENDPOINTS

PAGE = 50  # jobs of one answer
LINES = 500  # of a log in one answer
ACTIVE = [Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.STOPPING]


def make(job: Job) -> ModelArts:
    return ModelArts(Session(job))


class ModelArts:
    """See base.Provider."""

    name = "modelarts"
    longest_poll_s = 15.0

    def __init__(self, session: Session):
        self.session = session

    def complete(self, job: Job) -> Job:
        return job.replace(region=self.session.region)

    @contextlib.contextmanager
    def reach_store(self) -> Iterator[None]:
        """The store that the environment names, else OBS of the region with the keys of ModelArts."""
        if self.session.region and not any(self.session.env.get(name) for name in ENDPOINTS):
            keys = read_keys(self.session.env)
            set_auth(
                ak=keys.access_key,
                sk=keys.secret_key,
                server=f"https://obs.{self.session.region}.myhuaweicloud.com",
            )
        try:
            yield
        finally:
            SERVICES.forget()

    def plan(self, job: Job, package: Package) -> Plan:
        return Plan(request.body(job, dict.fromkeys(job.secrets, "***")), "modelarts-v2")

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        yield from request.checks(job, package)
        try:
            yield from account_checks(self.session, job)
            yield self.check_name(job)
            yield self.check_train_url(job)
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def selfcheck(self, job: Job) -> Iterator[Check]:
        try:
            keys = read_keys(self.session.env)
            yield Check("keys", True, f"found in {keys.source}")
            yield Check("project", True, f"{self.session.project} in {self.session.place}")
            yield from account_checks(self.session, job)
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def check_name(self, job: Job) -> Check:
        taken = self.find(job)
        return Check("name", taken is None, f"{job.name} is " + (f"the name of {taken}" if taken else "free"),
                     "choose another name, or leave it out")  # fmt: skip

    def check_train_url(self, job: Job) -> Check:
        for status in self.list(ACTIVE):
            if status.train_url and status.train_url.rstrip("/") == job.train_url.rstrip("/"):
                return Check("train_url", False, f"{job.train_url} is in use by {status.handle}",
                             "wait for that job, cancel it, or choose another train_url")  # fmt: skip
        return Check("train_url", True, f"{job.train_url} is in use by no other job")

    def create(self, job: Job, package: Package) -> Handle:
        body = request.body(job, resolve_secrets(job))
        answer = self.session.call(
            f"create job {job.name}", "create_training_job", "CreateTrainingJobRequest", body=body
        )
        return self.handle(answer)

    def handle(self, answer: dict[str, Any]) -> Handle:
        return Handle(self.name, (self.session.place, self.session.project, answer["metadata"]["id"]))

    def find(self, job: Job) -> Handle | None:
        found = self.search([{"key": "name", "operator": "in", "value": [job.name]}])
        return next((self.handle(item) for item in found if item["metadata"].get("name") == job.name), None)

    def search(self, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Jobs, newest first; the offset counts pages."""
        page = 0
        while True:
            body = {
                "offset": page,
                "limit": PAGE,
                "sort_by": "create_time",
                "order": "desc",
                "filters": filters,
            }
            answer = self.session.call(
                "list jobs", "list_training_jobs", "ListTrainingJobsRequest", body=body
            )
            items = answer.get("items") or []
            yield from items
            page += 1
            if not items or page * PAGE >= (answer.get("total") or 0):
                return

    def details(self, handle: Handle) -> dict[str, Any]:
        place, project, job_id = handle.parts
        return self.session.at(place, project).call(
            f"show job {job_id}",
            "show_training_job_details",
            "ShowTrainingJobDetailsRequest",
            training_job_id=job_id,
        )

    def show(self, handle: Handle) -> Status:
        status = self.status(self.details(handle))
        if status.reason or status.phase is not Phase.QUEUED:
            return status
        return Status(**{**vars(status), "reason": self.newest_event(handle)})

    def status(self, found: dict[str, Any]) -> Status:
        metadata, status, spec = found.get("metadata", {}), found.get("status", {}), found.get("spec", {})
        resource = spec.get("resource", {})
        records = status.get("running_records") or []
        started = (status.get("start_time") or 0) / 1000
        lasted = (status.get("duration") or 0) / 1000
        return Status(
            self.handle(found), metadata.get("name", ""), phase_of(status.get("phase", "")), status.get("phase", ""),
            status.get("secondary_phase", ""), reason_of(status), (metadata.get("create_time") or 0) / 1000, started,
            lasted or seconds_since(started), resource.get("node_count") or 1, cards_of(resource), max(0, len(records) - 1),
            train_url_of(found.get("algorithm", {})),
        )  # fmt: skip

    def newest_event(self, handle: Handle) -> str:
        """Why a job waits, as its newest event says."""
        answer = self.session.call(
            f"events of job {handle.id}", "list_training_job_events", "ListTrainingJobEventsRequest",
            training_job_id=handle.id, offset=0, limit=1, order="desc", x_language="en-us",
        )  # fmt: skip
        events = answer.get("events") or []
        return events[0].get("message", "") if events else ""

    def logs(self, handle: Handle, node: int, after: int) -> LogPage:
        """By lines, and from the preview where the service has no lines: it holds the last 5 MB.

        Not tried on the service: that `base_line` is the number of the line before the first one wanted,
        counted from 1, and that it is left out for the first.
        """
        place, project, job_id = handle.parts
        task, session = f"worker-{node}", self.session.at(place, project)
        base = {"base_line": str(after)} if after else {}
        try:
            answer = session.call(
                f"log of job {job_id}", "show_training_job_logs_from_aom", "ShowTrainingJobLogsFromAomRequest",
                training_job_id=job_id, task_id=task, lines=LINES, order="asc", **base,
            )  # fmt: skip
        except Refused as err:
            if "2776" in err.code:  # not there yet
                return LogPage(after)
            return self.preview(session, job_id, task, after)
        lines = (answer.get("content") or "").splitlines()
        first = answer.get("start_line") or ""
        start = int(first) - 1 if str(first).isdigit() and lines else after
        if not lines and str(answer.get("end_line") or "").isdigit():
            start = min(after, int(answer["end_line"]))  # the log began anew
        return LogPage(start, lines)

    def preview(self, session: Session, job_id: str, task: str, after: int) -> LogPage:
        answer = session.call(
            f"log of job {job_id}", "show_training_job_logs_preview", "ShowTrainingJobLogsPreviewRequest",
            training_job_id=job_id, task_id=task,
        )  # fmt: skip
        lines = (answer.get("content") or "").splitlines()
        return LogPage(after, lines[after:]) if len(lines) >= after else LogPage(len(lines))

    def cancel(self, handle: Handle) -> None:
        place, project, job_id = handle.parts
        try:
            self.session.at(place, project).call(
                f"cancel job {job_id}", "stop_training_job", "StopTrainingJobRequest", training_job_id=job_id,
                body={"action_type": "terminate"},
            )  # fmt: skip
        except Refused as err:
            if err.http != 409:  # it has ended already
                raise

    def list(self, phases: Sequence[Phase]) -> Iterator[Status]:
        words = [word for phase in phases for word in words_for(phase)]
        filters = [{"key": "phase", "operator": "in", "value": words}] if words else []
        if phases and not words:
            return iter(())
        return (self.status(found) for found in self.search(filters))

    def output(self, handle: Handle, folder: Path) -> Output:
        return Output(train_url_of(self.details(handle).get("algorithm", {})))


def train_url_of(algorithm: dict[str, Any]) -> str:
    """Where a job's results go: its output channel, or the parameter of a job that copies by itself."""
    for channel in algorithm.get("outputs") or []:
        if channel.get("name") == "train_url":
            return request.url_of(((channel.get("remote") or {}).get("obs") or {}).get("obs_url", ""))
    values = {item.get("name"): item.get("value") for item in algorithm.get("parameters") or []}
    return values.get("train_url") or ""


def cards_of(resource: dict[str, Any]) -> int:
    """Of a node: what the flavor's details say, else what its name does."""
    detail = (resource.get("flavor_detail") or {}).get("flavor_info") or {}
    count = str((detail.get("npu") or detail.get("gpu") or {}).get("unit_num"))
    return int(count) if count.isdigit() else request.cards_of(resource.get("flavor_id") or "") or 1


def reason_of(status: dict[str, Any]) -> str:
    """Why a job failed or was restarted, from its tasks and its running records."""
    words = []
    for task in status.get("task_statuses") or []:
        if task.get("exit_code"):
            words.append(
                f"{task.get('task')} ended with exit code {task['exit_code']}: {task.get('message') or 'no message'}"
            )
    records = status.get("running_records") or []
    ends = [record["end_reason"] for record in records if record.get("end_reason")]
    return "; ".join(words or ends[-1:])
