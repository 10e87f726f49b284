"""The commands of cloud/submit.py. Each takes the parsed command line and returns the exit code."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from mindlift.checkout import ROOT
from mindlift.cli.job_access import note, out, reached, read_job
from mindlift.cli.job_fetch import fetch, fetch_from
from mindlift.cli.job_follow import cancelled, follow_to_end, logs, wait
from mindlift.cloud import handle as handles
from mindlift.cloud import show
from mindlift.cloud.errors import JobError, NoAnswer
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check, Provider, Status
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase, known_phases
from mindlift.files import write_atomic
from mindlift.language import localized

LAST_LINES = 10


def plan(args: argparse.Namespace) -> int:
    from mindlift.cloud.prepare import cost, earlier, preflight
    from mindlift.cloud.prepare import package as packages
    from mindlift.cloud.prepare import plan as plans

    job, provider = read_job(args)
    changes = []
    try:
        package = code_of(job, job.allow_dirty)
    except JobError as err:  # the plan of what would be sent without them, and all that is wrong with it
        package = code_of(job, True)
        changes = [Check("changes", False, str(err))]
    asks = not args.offline
    job = earlier.continued(job, provider, note, earlier.default_folder()) if asks else job
    job = packages.placed(job, package)
    checks = [*changes, *preflight.all_checks(job, package, provider, asks)]
    asks = asks and not preflight.failed(checks)
    if asks:
        checks.append(cost.estimate(job, RetryPolicy(say=note).call(lambda: provider.price(job))).as_check())
    found = plans.describe(job, package, provider.plan(job, package, asks), checks)
    out(
        json.dumps(found, indent=2, ensure_ascii=False, default=str)
        if args.json
        else plans.as_text(found, checks)
    )
    return 2 if preflight.failed(checks) else 0


def code_of(job: Job, allow_dirty: bool) -> Package:
    """The files of the job: of the user's program, or of MindLift."""
    from mindlift.cloud.prepare import package as packages
    from mindlift.cloud.prepare import program

    if job.is_program:
        return program.collect(job)
    return packages.collect(ROOT, job.boot_file, allow_dirty)


def submit(args: argparse.Namespace) -> int:
    from mindlift.cloud.prepare import earlier, images, wheels
    from mindlift.cloud.prepare import package as packages
    from mindlift.cloud.prepare.effects import SENT
    from mindlift.cloud.prepare.submission import Submission

    asked, provider = read_job(args)
    package = code_of(asked, asked.allow_dirty)
    job = earlier.continued(asked, provider, note, earlier.default_folder())
    if job.wheels and provider.effects["wheels"] == SENT:
        package = wheels.add(package, images.find(job.image or job.engine), images.wanted(job))
    job = packages.placed(job, package)
    submission = Submission(provider, RetryPolicy(say=note), note, args.queue, args.yes, args.timeout)
    handle = submission.run(job, package)
    earlier.remember(asked, job, handle, earlier.default_folder())
    out(str(handle))
    if not args.wait:
        note(f"follow it with: python cloud/submit.py logs -f {handle}")
        return 0
    code = follow_to_end(provider, handle, args.timeout, shows_logs=True)
    if code in (0, 1):  # it has ended
        fetch_from(provider, handle, args)
    return code


def status(args: argparse.Namespace) -> int:
    handle, provider = reached(args)
    found = RetryPolicy(say=note).call(lambda: provider.show(handle))
    lines = last_lines(provider, found) if found.phase is Phase.FAILED else []
    if args.json:
        out(json.dumps({**found.as_dict(), "last_lines": lines}, indent=2, ensure_ascii=False))
    else:
        out(show.statuses([found], screen=show.screen_columns()))
        out("".join(f"\n  {line}" for line in lines)[1:]) if lines else None
    return 0


def last_lines(provider: Provider, found: Status) -> list[str]:
    """What a job that failed said last, on the node that failed first."""
    from mindlift.cloud.follow.newest_lines import LogTail

    node, rank = (re.search(rf"\b{word}(\d+)\b", found.reason) for word in ("(?:worker-|node )", "rank "))
    first = int(node[1]) if node else int(rank[1]) // max(1, found.cards) if rank else 0
    tail = LogTail(provider, found.handle, first, LAST_LINES)
    return RetryPolicy(say=note).call(lambda: tail.read(has_ended=True))


def cancel(args: argparse.Namespace) -> int:
    handle, provider = reached(args)
    retry = RetryPolicy(say=note)
    retry.call(lambda: provider.cancel(handle))
    if args.wait:
        return cancelled(provider, handle, args.timeout)
    found = retry.call(lambda: provider.show(handle))
    out(f"{handle} {found.phase.value}")
    return 0


def list_jobs(args: argparse.Namespace) -> int:
    from mindlift.cloud.follow import best

    job, provider = read_job(args)
    phases = [as_phase(word) for word in args.state]
    found = RetryPolicy(say=note).call(lambda: list(provider.list(phases, args.limit)))
    known, problem = best.of_jobs(provider, found) if args.best else ({}, "")
    if problem:
        note(problem)
    if args.json:
        rows = [dict(item.as_dict()) for item in found]
        for row in rows if args.best else ():
            row["best"] = best.as_dict(known.get(str(row["handle"])))
        out(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    column = [best.as_text(known.get(str(item.handle))) for item in found] if args.best else None
    out(show.statuses(found, column, show.screen_columns()))
    return 0


def top(args: argparse.Namespace) -> int:
    from mindlift.cloud.follow import top as watching

    job, provider = read_job(args)
    jobs_now = watching.Jobs(provider, [as_phase(word) for word in args.state], args.limit)
    return watching.watch(jobs_now, args.interval, args.once, args.json)


def as_phase(word: str) -> Phase:
    try:
        return Phase(word.lower())
    except ValueError:
        raise JobError(f"--state {word}: expected one of {known_phases()}") from None


def selfcheck(args: argparse.Namespace) -> int:
    from mindlift.cloud.prepare import bucket

    job, provider = read_job(args)
    found = []

    def tell(check: Check) -> None:
        found.append(check)
        if not args.json:
            out(show.check_line(check))

    for check in provider.selfcheck(job):
        tell(check)
    if job.train_url and all(check.ok is not False for check in found):
        with provider.reach_store():
            for check in bucket.selfcheck(job.train_url):
                tell(check)
    if args.json:
        out(json.dumps([vars(check) for check in found], indent=2, ensure_ascii=False))
    return 1 if any(check.ok is False for check in found) else 0


def probe(args: argparse.Namespace) -> int:
    from mindlift.cloud import probe as probes

    job, provider = read_job(args)
    handle = handles.parse(args.job) if args.job else None
    if handle and handle.provider != provider.name:
        raise JobError(f"--job {handle} is a job of {handle.provider}, but --provider is {provider.name}")
    if provider.name == "local":
        raise JobError("--provider local asks no service; choose one of modelarts, openi")
    found = probes.Probe(provider.name, time.strftime("%Y-%m-%d"))
    for name, question in provider.questions(job, handle, found):
        out(localized(probes.asked(name, question, found)))
    if not found.records:
        raise NoAnswer(f"{provider.name} answered nothing, so no file was written; `selfcheck` says why")
    path = Path(args.out or f"probe-{provider.name}-{time.strftime('%Y%m%d')}.yaml")
    write_atomic(path, probes.as_text(found))
    answered = sum(record["status"] < 300 for record in found.records)
    note(
        f"{path}: {len(found.records)} records, {answered} of them answers; read it before you send it to anybody"
    )
    return 0 if answered else 1


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": plan,
    "submit": submit,
    "status": status,
    "logs": logs,
    "wait": wait,
    "cancel": cancel,
    "list": list_jobs,
    "top": top,
    "fetch": fetch,
    "selfcheck": selfcheck,
    "probe": probe,
}
