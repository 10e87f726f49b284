"""A job as the service describes it, in our words. Pure."""

from __future__ import annotations

import shlex

from mindlift import json_text
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.base import Status
from mindlift.cloud.providers.modelarts.answers import (
    Algorithm,
    Event,
    FlavorInfo,
    JobStatus,
    Resource,
    RunningRecord,
    TrainingJob,
)
from mindlift.cloud.providers.modelarts.request import OUTPUTS, cards_of, url_of
from mindlift.cloud.providers.modelarts.states import phase_of


def status_of(found: TrainingJob, handle: Handle, now: float) -> Status:
    """`now` is the end of what still runs: seconds since the epoch."""
    metadata, status = found.get("metadata") or {}, found.get("status") or {}
    resource = (found.get("spec") or {}).get("resource") or {}
    word, started = status.get("phase") or "", (status.get("start_time") or 0) / 1000
    lasted, records = (status.get("duration") or 0) / 1000, status.get("running_records") or []
    is_over = phase_of(word).is_final or not started
    return Status(
        handle,
        metadata.get("name", ""),
        phase_of(word),
        word,
        status.get("secondary_phase") or "",
        reason_of(status),
        (metadata.get("create_time") or 0) / 1000,
        started,
        lasted if lasted or is_over else max(0.0, now - started),
        resource.get("node_count") or 1,
        cards_in(resource),
        max(0, len(records) - 1),
        outputs_of(found.get("algorithm") or {}),
    )


def cards_in(resource: Resource) -> int:
    """Of a node: what the flavor's details say, else what its name does."""
    detail = (resource.get("flavor_detail") or {}).get("flavor_info") or {}
    return unit_count(detail) or cards_of(resource.get("flavor_id") or "") or 1


def unit_count(flavor_info: FlavorInfo) -> int:
    """The cards of a flavor by its details; 0 where they say nothing."""
    unit = flavor_info.get("npu") or flavor_info.get("gpu") or {}
    count = str(unit.get("unit_num") or "")
    return int(count) if count.isdigit() else 0


def reason_of(status: JobStatus) -> str:
    """Why a job failed or was started again, from its tasks and its running records."""
    words = [
        f"{task.get('task')} ended with exit code {task['exit_code']}: {task.get('message') or 'no message'}"
        for task in status.get("task_statuses") or []
        if task.get("exit_code")
    ]
    ends = [end_of(record) for record in status.get("running_records") or [] if record.get("end_reason")]
    return "; ".join(words or ends[-1:])


def end_of(record: RunningRecord) -> str:
    task, recover = record.get("end_related_task"), record.get("end_recover")
    return (f"{task}: " if task else "") + str(record["end_reason"]) + (f" ({recover})" if recover else "")


def event_text(events: list[Event]) -> str:
    """What the newest of `events` says, one that tells of a problem before others."""
    bad = [event for event in events if event.get("level") in ("Error", "Warning")]
    return " ".join(str((bad or events)[0].get("message") or "").split()) if events else ""


def outputs_of(algorithm: Algorithm) -> dict[str, str]:
    """Where a job's results go: its output channels, or what a job that copies by itself was told of them."""
    found = {
        str(channel.get("name")): url_of(
            ((channel.get("remote") or {}).get("obs") or {}).get("obs_url") or ""
        )
        for channel in algorithm.get("outputs") or []
    }
    if found:
        return found
    noted = (algorithm.get("environments") or {}).get(OUTPUTS, "")
    if noted:
        return outputs_in(noted)
    values = {item.get("name"): item.get("value") for item in algorithm.get("parameters") or []}
    words = [word for word in shlex.split(algorithm.get("command") or "") if word.startswith("--train_url=")]
    url = values.get("train_url") or (words[-1].partition("=")[2] if words else "")
    return {"train_url": url} if url else {}


def outputs_in(text: str) -> dict[str, str]:
    """The variable of a program's job; empty for one that somebody else has set."""
    try:
        found = json_text.parse(text)
    except ValueError:
        return {}
    return {str(name): str(url) for name, url in found.items()} if isinstance(found, dict) else {}
