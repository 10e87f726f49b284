"""Training jobs of OpenI (启智) and C2Net by its REST API. See base.Provider."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloud.errors import JobError, NoAnswer, Overloaded, ServiceError
from cloud.handle import Handle
from cloud.job import Job
from cloud.package import Package, git
from cloud.providers.base import Check, LogPage, Output, Plan, Status, seconds_since
from cloud.providers.openi import logs, request
from cloud.providers.openi.account import account_checks, chosen_for, required
from cloud.providers.openi.output import download
from cloud.providers.openi.rest import SERVICE, Rest, read_token
from cloud.providers.openi.states import phase_of
from cloud.states import Phase

ROOT = Path(__file__).resolve().parents[3]
PAGE = 50
PLATFORMS = {request.QIZHI: "openi-qizhi"}
MOVING = {1: "are being moved", 3: "wait to be moved", 2: "could not be moved; it is tried again"}


def make(job: Job) -> OpenI:
    return OpenI(Rest(job.endpoint), job)


class OpenI:
    """See base.Provider."""

    name = "openi"
    longest_poll_s = 15.0

    def __init__(self, rest: Rest, job: Job):
        self.rest, self.repo = rest, job.repo

    def complete(self, job: Job) -> Job:
        """The branch that is checked out, and no places in a bucket: code is pushed, results are kept there."""
        return job.replace(branch=job.branch or current_branch(), code_url="", log_url="")

    def reach_store(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def plan(self, job: Job, package: Package) -> Plan:
        """The exact request where the service can be asked for its numbers, else with their names in their place."""
        platform = PLATFORMS.get(job.cluster, "openi-c2net")
        try:
            return Plan(request.body(job, chosen_for(self.rest, job)), platform)
        except (ServiceError, NoAnswer, JobError) as err:
            named = request.Chosen(
                {"id": job.spec or f"{job.cards} x Ascend"},
                {"image_name": job.image},
                job.datasets,
                job.models,
            )
            return Plan({**request.body(job, named), "not asked": str(err)}, platform)

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        yield from request.checks(job)
        try:
            request.repo_of(job)
            needs = required(self.rest, job)
            yield from account_checks(needs, job, package)
            yield self.chosen(job)
            yield self.check_branch(job, package)
            taken = self.find(job)
            yield Check("name", taken is None, f"{job.name} is " + (f"the name of {taken}" if taken else "free"),
                        "choose another name, or leave it out")  # fmt: skip
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def chosen(self, job: Job) -> Check:
        """Machine, image, data sets and models by their names."""
        try:
            found = chosen_for(self.rest, job)
        except JobError as err:
            return Check("choice", False, str(err))
        return Check("choice", True, f"{request.describe_spec(found.spec)}, {found.image.get('image_name')}, "
                     f"{len(found.datasets)} data sets, {len(found.models)} models")  # fmt: skip

    def check_branch(self, job: Job, package: Package) -> Check:
        """OpenI trains what was pushed."""
        owner, name = request.repo_of(job)
        answer = self.rest.get("list branches", f"/{owner}/{name}/ai_task/repo_branch")
        branches = answer.get("branch_name") or []
        advice = f"git push origin {job.branch}"
        if job.branch not in branches:
            return Check("branch", False, f"{job.repo} has no branch {job.branch}", advice)
        try:
            tip = git(ROOT, "rev-parse", f"refs/remotes/origin/{job.branch}").decode().strip()
        except JobError:
            return Check(
                "branch",
                None,
                f"{job.branch} is there; whether it is this code can't be told: there is no origin/{job.branch}",
            )
        is_same = tip == package.revision and not package.is_dirty
        return Check(
            "branch",
            is_same,
            f"{job.branch} is pushed"
            if is_same
            else f"{job.branch} at origin is {tip[:12]}, this code is {package.revision[:12]}"
            + (" with changes" if package.is_dirty else ""),
            f"commit and {advice}",
        )

    def selfcheck(self, job: Job) -> Iterator[Check]:
        try:
            yield Check("token", True, f"found in {read_token(self.rest.env)[2]}")
            user = self.rest.get("who am I", "/user")
            yield Check("account", True, f"{user.get('login', '?')} at {self.rest.endpoint}")
            needs = required(self.rest, job)
            yield from account_checks(needs, job, None)
            there = sorted(
                {request.describe_spec(spec) for spec in (needs.get("specs") or {}).get("all") or []}
            )
            yield Check("machines", bool(there), ", ".join(there) or f"none on {job.cluster}")
            if job.repo:
                head = git(ROOT, "rev-parse", "HEAD").decode().strip()
                yield self.check_branch(job, Package(head, False, {}))
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def create(self, job: Job, package: Package) -> Handle:
        owner, name = request.repo_of(job)
        body = request.body(job, chosen_for(self.rest, job))
        answer = self.rest.post(f"create job {job.name}", f"/{owner}/{name}/ai_task/create", body)
        if not answer.get("id"):
            raise NoAnswer(f"create job {job.name}: {SERVICE}'s answer has no number of the job")
        return Handle(self.name, (owner, name, str(answer["id"])))

    def find(self, job: Job) -> Handle | None:
        for task in self.tasks(q=job.name):
            if task.get("display_job_name") == job.name:
                return self.handle(task)
        return None

    def tasks(self, **query: Any) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            answer = self.rest.get(
                "list jobs", "/ai_task/my_list", job_type="TRAIN", page=page, pageSize=PAGE, **query
            )
            items = answer.get("tasks") or []
            yield from (item.get("task") or {} for item in items)
            if not items or page * PAGE >= (answer.get("total") or 0):
                return
            page += 1

    def handle(self, task: dict[str, Any]) -> Handle:
        owner = task.get("repo_owner_name") or self.repo.partition("/")[0] or "-"
        name = task.get("repo_name") or self.repo.partition("/")[2] or "-"
        return Handle(self.name, (owner, name, str(task["id"])))

    def show(self, handle: Handle) -> Status:
        """`brief` makes the service ask its cluster; the details say why."""
        self.rest.get(f"show job {handle.id}", "/ai_task/brief", id=handle.id)
        answer = self.rest.get(f"show job {handle.id}", "/ai_task", id=handle.id)
        status = self.status(answer.get("task") or {}, handle)
        if status.phase is Phase.QUEUED and not status.reason:
            return Status(**{**vars(status), "reason": self.why(handle)})
        return status

    def why(self, handle: Handle) -> str:
        answer = self.rest.get(f"events of job {handle.id}", "/ai_task/operation_profile", id=handle.id)
        events = answer.get("events") or []
        return str(events[-1].get("message", "")) if events else ""

    def status(self, task: dict[str, Any], handle: Handle | None = None) -> Status:
        started, ended = float(task.get("start_time") or 0), float(task.get("end_time") or 0)
        spec = task.get("spec") or {}
        word = str(task.get("status", ""))
        return Status(
            handle or self.handle(task), task.get("display_job_name", ""), phase_of(word), word,
            task.get("detailed_status") or "", task.get("failed_reason") or "", float(task.get("created_unix") or 0), started,
            (ended - started if ended else seconds_since(started)) if started else 0.0,
            int(task.get("work_server_number") or 1), int(spec.get("acc_cards_num") or 1),
        )  # fmt: skip

    def logs(self, handle: Handle, node: int, place: Mapping[str, Any], has_ended: bool) -> LogPage:
        return logs.read(self.rest, handle, node, place, has_ended)

    def cancel(self, handle: Handle) -> None:
        if not self.show(handle).phase.is_final:
            self.rest.post(f"cancel job {handle.id}", "/ai_task/stop", id=handle.id)

    def list(self, phases: Sequence[Phase]) -> Iterator[Status]:
        found = (self.status(task) for task in self.tasks())
        return (status for status in found if not phases or status.phase in phases)

    def output(self, handle: Handle, folder: Path) -> Output:
        """Overloaded while the service still moves the results, which it does after the end."""
        answer = self.rest.get(f"results of job {handle.id}", "/ai_task/output", id=handle.id, parent_dir="")
        status = (answer.get("output") or {}).get("status", 0)
        if status == 2:
            self.rest.post(f"move the results of job {handle.id}", "/ai_task/output/reschedule", id=handle.id)
        if status != 0:
            raise Overloaded(
                SERVICE,
                f"results of job {handle.id}",
                str(status),
                f"they {MOVING.get(status, 'are not there yet')}",
            )
        download(self.rest, handle, folder)
        return Output(str(folder))


def current_branch() -> str:
    found = git(ROOT, "rev-parse", "--abbrev-ref", "HEAD").decode().strip()
    return "" if found == "HEAD" else found
