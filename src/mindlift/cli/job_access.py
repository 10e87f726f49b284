"""What all commands of jobs share: the job and its provider by the arguments, and where lines go."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mindlift import sanitize
from mindlift.checkout import ROOT
from mindlift.cli.job_arguments import ON_A_PROGRAM, flags
from mindlift.cloud import handle as handles
from mindlift.cloud import job_file, providers
from mindlift.cloud.errors import JobError
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Provider
from mindlift.language import localized


def note(line: str) -> None:
    """What happens, beside the output proper."""
    print(localized(sanitize.lines(line)), file=sys.stderr, flush=True)


def out(text: str) -> None:
    """What was asked for. Lines of logs go into files as they are, and to a terminal without what would steer it."""
    if sys.stdout.isatty():
        text = "\n".join(map(sanitize.log_line, text.split("\n")))
    print(text, flush=True)


def read_job(args: argparse.Namespace) -> tuple[Job, Provider]:
    if args.subcommand in ON_A_PROGRAM:
        refuse_no_job(args)
    job = job_file.read(args.config, flags(args), time.strftime("%m%d-%H%M%S"))
    provider = providers.load(job)
    return provider.complete(job), provider


def refuse_no_job(args: argparse.Namespace) -> None:
    """What names no job submits none; a plan of one is shown, unless this folder has programs of its own."""
    named = {*flags(args)} - {"provider", "platform", "name", "cards", "nodes"}
    if args.config or named:
        return
    here = Path.cwd()
    if here != ROOT and ROOT not in here.parents and any(here.glob("*.py")):
        boot_file = "train.py" if (here / "train.py").is_file() else "PROGRAM.py"
        raise JobError(
            f"no job is named, and {here} has programs of its own: `{args.subcommand} {boot_file} -- ARGS` runs one of them,"
            " --net and --dataset one of MindLift's trainings, --config a job file"
        )
    if args.subcommand == "submit":
        raise JobError(
            "no job is named: pass --config FILE, --net and --dataset of one of MindLift's trainings, or a program of yours,"
            " PROGRAM.py -- ARGS"
        )


def reached(args: argparse.Namespace) -> tuple[Handle, Provider]:
    """The job that a handle names, and its provider; `--region` and the like come from flags."""
    handle = handles.parse(args.handle)
    job = job_file.read(args.config, {**flags(args), "provider": handle.provider}, "job")
    return handle, providers.load(job)
