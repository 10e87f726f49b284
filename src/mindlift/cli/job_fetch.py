"""The command that downloads a job's results: fetch."""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path
from typing import TextIO

from mindlift.cli import ending
from mindlift.cli.job_access import note, out, reached
from mindlift.cloud.errors import JobError, NoAnswer, ServiceError
from mindlift.cloud.follow.fetch import Fetched
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Provider
from mindlift.cloud.retry import RetryPolicy
from mindlift.runs.provenance import CONFIG
from mindlift.runs.remote import Lifetime


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
        if not output.urls:
            raise JobError(f"{handle} names no place for its results")
        job = lifetime_of(provider, handle)
        found = [
            fetching.fetch(url, folder, name if len(output.urls) > 1 else "", args.which, job, note)
            for name, url in output.urls.items()
        ]
        if not any(item.root for item in found):
            places = ", ".join(output.urls.values())
            raise JobError(f"there is nothing in {places} yet; `logs` tells how far the job is")
        root = next(item.root for item in found if item.root)
        fetch_platform_logs(provider, handle, root if found[0].is_run else folder)
    shutil.rmtree(folder / ".download", ignore_errors=True)
    for item in found:
        if item.root:
            tell(item, args.which)
    return 0


def lifetime_of(provider: Provider, handle: Handle) -> Lifetime:
    """When the job ran; unknown where the service does not say so now."""
    try:
        return RetryPolicy(say=note).call(lambda: provider.show(handle)).lifetime
    except (ServiceError, NoAnswer) as err:
        note(f"when {handle} ran is not known: {err}")
        return Lifetime()


def tell(fetched: Fetched, which: str) -> None:
    out(str(fetched.root))
    if not fetched.is_run or which == "none":
        return
    assert fetched.root
    if not fetched.checkpoints:
        note("no checkpoint saved yet")
        ending.following(["mindlift", "report", fetched.root])
        return
    names = ", ".join(saved.file for saved in fetched.checkpoints)
    note(f"checkpoints: {names}; evaluate with: {' '.join(map(shlex.quote, eval_command(fetched.root)))}")


def eval_command(root: Path) -> list[str]:
    """eval.py with the network and the data set of a run."""
    from mindlift.runs.folder import read_config

    options, _ = read_config(root / CONFIG)
    named = [(f"--{name}", str(options[name])) for name in ("net", "dataset") if name in options]
    return ["python", "eval.py", *(word for pair in named for word in pair), "--pretrained", str(root)]


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
