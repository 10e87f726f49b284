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


def note(line: str) -> None:
    """What happens, beside the output proper."""
    print(sanitize.lines(line), file=sys.stderr, flush=True)


def out(text: str) -> None:
    """What was asked for. Lines of logs go into files as they are, and to a terminal without what would steer it."""
    if sys.stdout.isatty():
        text = "\n".join(map(sanitize.log_line, text.split("\n")))
    print(text, flush=True)


def read_job(args: argparse.Namespace) -> tuple[Job, Provider]:
    if args.subcommand in ON_A_PROGRAM:
        refuse_somebody_elses_folder(args)
    job = job_file.read(args.config, flags(args), time.strftime("%m%d-%H%M%S"))
    provider = providers.load(job)
    return provider.complete(job), provider


def refuse_somebody_elses_folder(args: argparse.Namespace) -> None:
    """In a folder with a program of its own, a job of MindLift's is not what was meant without a word of it."""
    named = {*flags(args)} - {"provider", "platform", "name", "cards", "nodes"}
    here = Path.cwd()
    if args.config or named or here == ROOT or ROOT in here.parents or not any(here.glob("*.py")):
        return
    boot_file = "train.py" if (here / "train.py").is_file() else "PROGRAM.py"
    raise JobError(
        f"no job is named, and {here} has programs of its own: `{args.subcommand} {boot_file} -- ARGS` runs one of them, "
        "--net and --dataset one of MindLift's trainings, --config a job file"
    )


def reached(args: argparse.Namespace) -> tuple[Handle, Provider]:
    """The job that a handle names, and its provider; `--region` and the like come from flags."""
    handle = handles.parse(args.handle)
    job = job_file.read(args.config, {**flags(args), "provider": handle.provider}, "job")
    return handle, providers.load(job)
