"""What all commands of jobs share: the job and its provider by the arguments, and where lines go."""

from __future__ import annotations

import argparse
import sys
import time

from mindlift.cli.job_arguments import flags
from mindlift.cloud import handle as handles
from mindlift.cloud import job_file, providers
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.base import Provider


def note(line: str) -> None:
    """What happens, beside the output proper."""
    print(line, file=sys.stderr, flush=True)


def out(line: str) -> None:
    print(line, flush=True)


def read_job(args: argparse.Namespace) -> tuple[Job, Provider]:
    job = job_file.read(args.config, flags(args), time.strftime("%m%d-%H%M%S"))
    provider = providers.load(job)
    return provider.complete(job), provider


def reached(args: argparse.Namespace) -> tuple[Handle, Provider]:
    """The job that a handle names, and its provider; `--region` and the like come from flags."""
    handle = handles.parse(args.handle)
    job = job_file.read(args.config, {**flags(args), "provider": handle.provider}, "job")
    return handle, providers.load(job)
