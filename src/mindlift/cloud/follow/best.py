"""The best checkpoint of each of my jobs, by what its run's manifest in the bucket says."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from mindlift.cloud.json_types import Json
from mindlift.cloud.providers.base import Provider, Status
from mindlift.errors import MindLiftError
from mindlift.runs.manifest import Saved, best_first
from mindlift.runs.remote import Lifetime, published, run_of_job
from mindlift.storage.url import is_remote, join

PERCENT = ("top1", "top5")  # figures that are stored as such


def of_jobs(provider: Provider, jobs: Sequence[Status]) -> tuple[dict[str, tuple[str, Saved]], str]:
    """(run's URL, checkpoint) by the handle of each job that has one; and why there may be more, or ''."""
    found: dict[str, tuple[str, Saved]] = {}
    places = [job for job in jobs if is_remote(job.train_url) and job.started_at]
    with contextlib.ExitStack() as store:
        try:
            if places:
                store.enter_context(provider.reach_store())
            for job in places:
                best = of_run(job.train_url, job.lifetime)
                if best:
                    found[str(job.handle)] = best
        except (MindLiftError, OSError) as err:
            return found, f"not all of the best checkpoints are known: {' '.join(str(err).split())}"
    return found, ""


def of_run(train_url: str, job: Lifetime) -> tuple[str, Saved] | None:
    """The run of a job, and its best checkpoint; None where none has a score (`--keep_best`)."""
    name = run_of_job(train_url, job)
    run = join(train_url, name) if name else ""
    scored = best_first(published(join(run, "checkpoints"))) if run else []
    return (run, scored[0]) if scored else None


def as_text(best: tuple[str, Saved] | None) -> str:
    """`net-3_50.ckpt (top1 98.75 %)`, or `-`."""
    if best is None:
        return "-"
    saved = best[1]
    assert saved.score is not None, "best_first"
    value = f"{saved.score:.2f} %" if saved.metric in PERCENT else f"{saved.score:.4g}"
    return f"{saved.file} ({saved.metric} {value})"


def as_dict(best: tuple[str, Saved] | None) -> dict[str, Json] | None:
    """For `--json`."""
    if best is None:
        return None
    run, saved = best
    return {"url": join(run, "checkpoints", saved.file), "metric": saved.metric, "score": saved.score}
