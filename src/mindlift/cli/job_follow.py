"""The commands that follow a job: logs, wait."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mindlift.cli.job_access import note, out, reached
from mindlift.cloud import show
from mindlift.cloud.errors import JobError, LogNotThere
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Provider
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.language import gettext, localized

if TYPE_CHECKING:
    from mindlift.cloud.follow.follow import Follower

STILL_RUNNING = 3


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


def cancelled(provider: Provider, handle: Handle, timeout_s: float) -> int:
    """Wait until a job that was asked to end has ended, well or not."""
    code = follow_to_end(provider, handle, timeout_s, shows_logs=False)
    return 0 if code in (0, 1) else code


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
        lasted = localized(show.duration(timeout_s))
        note(gettext("still {0} after {1}; it keeps running", gettext(found.phase.value), lasted))
        return STILL_RUNNING
    return 0 if found.phase is Phase.SUCCEEDED else 1
