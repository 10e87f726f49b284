"""Training jobs of OpenI (启智) and C2Net by its REST API. See base.Provider."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from mindlift.cloud.errors import Answer, JobError, NoAnswer, Overloaded, Refused, ServiceError
from mindlift.cloud.follow.log_text import Place
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package, git
from mindlift.cloud.probe import Probe
from mindlift.cloud.providers.base import (
    Check,
    LogPage,
    Output,
    Plan,
    Price,
    Provider,
    Question,
    Status,
    page_size,
    seconds_since,
)
from mindlift.cloud.providers.openi import answers, logs, questions, request
from mindlift.cloud.providers.openi.account import account_checks, chosen_for, machines, price_of, required
from mindlift.cloud.providers.openi.branch import branch_check, code_folder, current_branch, folder_checks
from mindlift.cloud.providers.openi.codes import QUEUE_CODES
from mindlift.cloud.providers.openi.output import download
from mindlift.cloud.providers.openi.rest import SERVICE, Rest, read_token
from mindlift.cloud.providers.openi.states import NOT_CREATED, phase_of
from mindlift.cloud.states import Phase

PAGE = 50
PLATFORMS = {request.QIZHI: "openi-qizhi"}
MOVING = {
    1: "they are being moved",
    3: "they wait to be moved",
    2: "they could not be moved; it is tried again",
}


def make(job: Job) -> Provider:
    return OpenI(Rest(job.endpoint), job)


class OpenI:
    """See base.Provider."""

    name = "openi"
    longest_poll_s = 15.0
    effects = request.EFFECTS
    full_codes = frozenset(QUEUE_CODES)

    def __init__(self, rest: Rest, job: Job):
        self.rest = rest

    def complete(self, job: Job) -> Job:
        """The branch that is checked out, and no places in a bucket of their own: those that were only derived go."""
        code_url = "" if job.code_url == job.in_bucket("code") else job.code_url
        log_url = "" if job.log_url == job.in_bucket(f"logs/{job.name}") else job.log_url
        branch = job.branch or current_branch(code_folder(job))
        return job.replace(branch=branch, code_url=code_url, log_url=log_url)

    def reach_store(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def plan(self, job: Job, package: Package, asks: bool = True) -> Plan:
        """The exact request where the service can be asked for its numbers, else with their names in their place."""
        platform, why = PLATFORMS.get(job.cluster, "openi-c2net"), "offline"
        if asks:
            try:
                chosen = chosen_for(self.rest, job, required(self.rest, job))
                return Plan(request.body(job, chosen), platform)
            except (ServiceError, NoAnswer, JobError) as err:
                why = str(err)
        named = request.Chosen(
            {"id": job.spec or f"{job.cards} x Ascend"},
            {"image_name": job.image},
            job.datasets,
            job.models,
        )
        return Plan({**request.body(job, named), "not asked": why}, platform)

    def price(self, job: Job) -> Price | None:
        """Points per hour of the whole job; None if no machine fits, or its price is not known."""
        return price_of(required(self.rest, job), job)

    def offline_checks(self, job: Job, package: Package) -> Iterator[Check]:
        """All that can be found wrong without the service."""
        yield from request.checks(job)
        yield from request.forms(job)
        yield from folder_checks(job)

    def bucket_needs(self, job: Job) -> None:
        """OpenI keeps data and results itself."""

    def check(self, job: Job, package: Package) -> Iterator[Check]:
        """What only the service can tell; see offline_checks for the rest."""
        try:
            request.repo_of(job)
            needs = required(self.rest, job)
            yield from account_checks(needs, job, package)
            yield self.chosen(job, needs)
            yield self.check_branch(job, package)
            taken = self.find(job)
            yield Check(
                "name",
                taken is None,
                f"{job.name} is " + (f"the name of {taken}" if taken else "free"),
                "choose another name, or leave it out",
            )
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def chosen(self, job: Job, needs: answers.Required) -> Check:
        """Machine, image, data sets and models by their names."""
        try:
            found = chosen_for(self.rest, job, needs)
        except JobError as err:
            return Check("choice", False, str(err))
        return Check(
            "choice",
            True,
            f"{request.describe_spec(found.spec)}, {found.image.get('image_name')}, "
            f"{len(found.datasets)} data sets, {len(found.models)} models",
        )

    def check_branch(self, job: Job, package: Package) -> Check:
        return branch_check(self.rest, job, package)

    def selfcheck(self, job: Job) -> Iterator[Check]:
        try:
            yield Check("token", True, f"found in {read_token(self.rest.env)[2]}")
            user = self.rest.get("who am I", answers.USER)
            yield Check("account", True, f"{user.get('login', '?')} at {self.rest.endpoint}")
            needs = required(self.rest, job)
            yield from account_checks(needs, job, None)
            yield machines(needs, job)
            if job.repo:
                folder = code_folder(job)
                head = git(folder, "rev-parse", "HEAD").decode().strip()
                branch = job.branch or current_branch(folder)
                yield self.check_branch(job.replace(branch=branch), Package(head, False, {}))
        except (ServiceError, NoAnswer, JobError) as err:
            yield Check("service", False, str(err))

    def create(self, job: Job, package: Package) -> Handle:
        owner, name = request.repo_of(job)
        body = request.body(job, chosen_for(self.rest, job, required(self.rest, job)))
        answer = self.rest.post(f"create job {job.name}", answers.CREATE.at(owner=owner, repo=name), body)
        if not answer.get("id"):
            raise NoAnswer(f"create job {job.name}: {SERVICE}'s answer has no number of the job")
        return Handle(self.name, (owner, name, str(answer["id"])))

    def find(self, job: Job) -> Handle | None:
        """Names are unique in a repository only, and the search finds parts of names as well."""
        repo = tuple(job.repo.lower().split("/"))
        for item in self.items(q=job.name):
            handle = self.handle(item)
            is_here = tuple(part.lower() for part in handle.parts[:2]) == repo
            if is_here and (item.get("task") or {}).get("display_job_name") == job.name:
                return handle
        return None

    def items(self, size: int = PAGE, **query: str) -> Iterator[answers.Item]:
        """Jobs as the list has them, newest first: `task`, with the repository beside it."""
        page = 1
        while True:
            answer = self.rest.get(
                "list jobs", answers.LIST, job_type="TRAIN", page=page, pageSize=size, **query
            )
            items = answer.get("tasks") or []
            yield from items
            if not items or page * size >= (answer.get("total") or 0):
                return
            page += 1

    def handle(self, item: answers.Item) -> Handle:
        """`-` for the repository of a job that outlived it."""
        owner, name = item.get("owner_name") or "-", item.get("repo_name") or "-"
        return Handle(self.name, (owner, name, str((item.get("task") or {}).get("id", ""))))

    def show(self, handle: Handle) -> Status:
        """`brief` makes the service ask its cluster; the details say why."""
        self.rest.get(f"show job {handle.id}", answers.BRIEF, id=handle.id)
        answer = self.rest.get(f"show job {handle.id}", answers.SHOW, id=handle.id)
        status = self.status(answer.get("task") or {}, handle)
        if status.phase is Phase.QUEUED and not status.reason:
            return Status(**{**vars(status), "reason": self.why(handle)})
        return status

    def why(self, handle: Handle) -> str:
        answer = self.rest.get(f"events of job {handle.id}", answers.EVENTS, id=handle.id)
        events = answer.get("events") or []
        return str(events[-1].get("message", "")) if events else ""

    def status(self, task: answers.Task, handle: Handle) -> Status:
        """Of the list, too, whose tasks have neither nodes nor cards nor a reason: 0 and '' then."""
        started, ended = float(task.get("start_time") or 0), float(task.get("end_time") or 0)
        word = str(task.get("status", ""))
        phase = phase_of(word)
        duration_s = ended - started if ended else 0.0 if phase.is_final else seconds_since(started)
        detail = str(task.get("detailed_status") or "")
        return Status(
            handle=handle,
            name=html.unescape(task.get("display_job_name") or ""),
            phase=phase,
            raw=word,
            detail="" if detail == "-" else detail,
            reason=html.unescape(task.get("failed_reason") or ""),
            created_at=float(task.get("created_unix") or 0),
            started_at=started,
            duration_s=duration_s if started else 0.0,
            nodes=int(task.get("work_server_number") or 0),
            cards=int((task.get("spec") or {}).get("acc_cards_num") or 0),
        )

    def logs(self, handle: Handle, node: int, place: Place, has_ended: bool) -> LogPage:
        return logs.read(self.rest, handle, node, place, has_ended)

    def cancel(self, handle: Handle) -> None:
        """Overloaded while the job is still being created: the service would answer well, and stop nothing."""
        what, status = f"cancel job {handle.id}", self.show(handle)
        if status.phase.is_final:
            return
        if status.raw in NOT_CREATED:
            says = "it is still being created, and can't be stopped before"
            raise Overloaded(Answer(SERVICE, what, status.raw, says))
        self.rest.post(what, answers.STOP, id=handle.id)

    def list(self, phases: Sequence[Phase], limit: int | None = None) -> Iterator[Status]:
        """The service knows no phases to ask for: pages are looked through until there are enough."""
        size = PAGE if phases else page_size(limit, PAGE)
        found = (self.status(item.get("task") or {}, self.handle(item)) for item in self.items(size))
        return islice((status for status in found if not phases or status.phase in phases), limit)

    def questions(self, job: Job, handle: Handle | None, probe: Probe) -> Iterator[tuple[str, Question]]:
        probe.redactor.hidden = [read_token(self.rest.env)[0]]
        self.rest.probe = probe
        return questions.questions(self, job, handle)

    def output(self, handle: Handle, folder: Path) -> Output:
        """Refused while the job runs; Overloaded while the service still moves the results, which it does after the end."""
        what = f"results of job {handle.id}"
        answer = self.rest.get(what, answers.OUTPUT, id=handle.id, parent_dir="")
        output = answer.get("output") or {}
        status = output.get("status", 0)
        if status != 0 and not output.get("is_task_terminal", True):
            hint = "its results come after its end"
            raise Refused(Answer(SERVICE, what, str(status), "the job still runs", hint))
        if status == 2:
            self.rest.post(f"move the {what}", answers.MOVE_OUTPUT, id=handle.id)
        if status != 0:
            says = MOVING.get(status, "they are not there yet")
            raise Overloaded(Answer(SERVICE, what, str(status), says))
        download(self.rest, handle, folder)
        return Output({"output": str(folder)})
