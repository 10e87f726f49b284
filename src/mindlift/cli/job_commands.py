"""The commands of cloud/submit.py. Each takes the parsed command line and returns the exit code."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import yaml

from mindlift.checkout import ROOT
from mindlift.cli.job_arguments import flags
from mindlift.cloud import handle as handles
from mindlift.cloud import job as jobs
from mindlift.cloud import providers, show
from mindlift.cloud.errors import JobError, LogNotThere, NoAnswer, ServiceError
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Check, Provider
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase, known_phases
from mindlift.files import write_atomic

if TYPE_CHECKING:
    from mindlift.cloud.follow.follow import Follower

STILL_RUNNING = 3


def note(line: str) -> None:
    """What happens, beside the output proper."""
    print(line, file=sys.stderr, flush=True)


def out(line: str) -> None:
    print(line, flush=True)


def read_job(args: argparse.Namespace) -> tuple[Job, Provider]:
    job = jobs.read(args.config, flags(args), time.strftime("%m%d-%H%M%S"))
    provider = providers.load(job)
    return provider.complete(job), provider


def reached(args: argparse.Namespace) -> tuple[Handle, Provider]:
    """The job that a handle names, and its provider; `--region` and the like come from flags."""
    handle = handles.parse(args.handle)
    job = jobs.read(args.config, {**flags(args), "provider": handle.provider}, "job")
    return handle, providers.load(job)


def plan(args: argparse.Namespace) -> int:
    from mindlift.cloud.prepare import cost, preflight
    from mindlift.cloud.prepare import package as packages
    from mindlift.cloud.prepare import plan as plans

    job, provider = read_job(args)
    changes = []
    try:
        package = packages.collect(ROOT, job.boot_file, job.allow_dirty)
    except JobError as err:  # the plan of what would be sent without them, and all that is wrong with it
        package = packages.collect(ROOT, job.boot_file, True)
        changes = [Check("changes", False, str(err))]
    job = packages.placed(job, package)
    asks = not args.offline
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


def submit(args: argparse.Namespace) -> int:
    from mindlift.cloud.prepare import package as packages
    from mindlift.cloud.prepare.submission import Submission

    job, provider = read_job(args)
    package = packages.collect(ROOT, job.boot_file, job.allow_dirty)
    job = packages.placed(job, package)
    submission = Submission(provider, RetryPolicy(say=note), note, args.queue, args.yes, args.timeout)
    handle = submission.run(job, package)
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
    out(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if args.json else show.statuses([found]))
    return 0


def logs(args: argparse.Namespace) -> int:
    from mindlift.cloud.follow.follow import Follower
    from mindlift.cloud.follow.positions import Positions, default_folder

    handle, provider = reached(args)
    positions = Positions(default_folder() if args.follow and not args.all else None)
    nodes = None if args.node is None else [args.node]
    retry = RetryPolicy(min(120, args.timeout), note)
    follower = Follower(provider, handle, out, note, positions, retry, nodes)
    found = retry.call(lambda: provider.show(handle))
    if args.node is not None and not 0 <= args.node < max(1, found.nodes):
        raise JobError(f"--node {args.node}: {handle} has {max(1, found.nodes)}, numbered from 0")
    if args.follow:
        return followed(follower, handle, args.timeout)
    try:
        follower.read_logs(found)
    except LogNotThere as err:
        if err.is_final or found.phase.is_final:
            raise
        note(f"no log yet: {err}")
    return 0


def wait(args: argparse.Namespace) -> int:
    handle, provider = reached(args)
    return follow_to_end(provider, handle, args.timeout, shows_logs=False)


def follow_to_end(provider: Provider, handle: Handle, timeout_s: float, shows_logs: bool) -> int:
    from mindlift.cloud.follow.follow import Follower
    from mindlift.cloud.follow.positions import Positions, default_folder

    positions = Positions(default_folder() if shows_logs else None)
    retry = RetryPolicy(min(600, timeout_s), note)
    follower = Follower(provider, handle, out, note, positions, retry, shows_logs=shows_logs)
    return followed(follower, handle, timeout_s)


def followed(follower: Follower, handle: Handle, timeout_s: float) -> int:
    """Follow to the end; Ctrl-C detaches from the job, which keeps running."""
    try:
        found = follower.run(timeout_s)
    except KeyboardInterrupt:
        follower.positions.save()
        note(
            f"\ndetached; the job keeps running. Follow it again with: python cloud/submit.py logs -f {handle}"
        )
        note(f"end it with: python cloud/submit.py cancel {handle}")
        return 130
    if found.phase is Phase.UNKNOWN:
        note(
            f"{found.raw!r} is a state that this version does not know, and the job has stayed in it: look at it on"
        )
        note(f"the pages of its service; `status` shows when it changes, `cancel` ends it: {handle}")
        return STILL_RUNNING
    if not found.phase.is_final:
        note(f"still {found.phase.value} after {show.duration(timeout_s)}; it keeps running")
        return STILL_RUNNING
    return 0 if found.phase is Phase.SUCCEEDED else 1


def cancel(args: argparse.Namespace) -> int:
    handle, provider = reached(args)
    retry = RetryPolicy(say=note)
    retry.call(lambda: provider.cancel(handle))
    found = retry.call(lambda: provider.show(handle))
    out(f"{handle} {found.phase.value}")
    return 0


def list_jobs(args: argparse.Namespace) -> int:
    job, provider = read_job(args)
    phases = [as_phase(word) for word in args.state]
    found = RetryPolicy(say=note).call(lambda: list(provider.list(phases)))[: args.limit]
    out(
        json.dumps([item.as_dict() for item in found], indent=2, ensure_ascii=False)
        if args.json
        else show.statuses(found)
    )
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


def fetch(args: argparse.Namespace) -> int:
    handle, provider = reached(args)
    return fetch_from(provider, handle, args)


def fetch_from(provider: Provider, handle: Handle, args: argparse.Namespace) -> int:
    from mindlift.cloud.follow import fetch as fetching

    folder = Path(args.out or Path("output") / "cloud" / handle.id)
    with provider.reach_store():
        output = RetryPolicy(args.results_timeout, note).call(
            lambda: provider.output(handle, folder / ".download")
        )
        if not output.url:
            raise JobError(f"{handle} names no place for its results")
        fetched = fetching.fetch_run(output.url, folder, args.which, note)
        fetch_platform_logs(provider, handle, fetched.root)
    shutil.rmtree(folder / ".download", ignore_errors=True)
    out(str(fetched.root))
    if args.which == "none":
        return 0
    names = ", ".join(saved.file for saved in fetched.checkpoints) or "no checkpoint yet"
    note(
        f"checkpoints: {names}; evaluate with: python eval.py {eval_options(fetched.root)} --pretrained {fetched.root}"
    )
    return 0


def eval_options(root: Path) -> str:
    """The network and the data set of a run, as eval.py takes them."""
    path = root / "config.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    options = {name: value for group in found.values() for name, value in group.items()}
    return " ".join(f"--{name} {options[name]}" for name in ("net", "dataset") if name in options)


def fetch_platform_logs(provider: Provider, handle: Handle, root: Path) -> None:
    """The platform's own log of each node, beside those of the ranks, as far as it can be read."""
    from mindlift.cloud.follow.follow import Follower
    from mindlift.cloud.follow.positions import Positions

    try:
        found = RetryPolicy(say=note).call(lambda: provider.show(handle))
    except (ServiceError, NoAnswer) as err:
        note(f"the platform's logs are not fetched: {err}")
        return
    for node in range(max(1, found.nodes)):
        path = root / "logs" / f"platform_node_{node}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:

            def keep(line: str, file: TextIO = file) -> None:
                file.write(line + "\n")

            follower = Follower(
                provider,
                handle,
                keep,
                note,
                Positions(None),
                RetryPolicy(say=note),
                [node],
                names_nodes=False,
            )
            follower.follow_logs(found)
            follower.close_logs(found)
        if not path.stat().st_size:
            path.unlink()


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
        out(probes.asked(name, question, found))
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
