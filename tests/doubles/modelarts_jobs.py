"""A job of ModelArts' double: what its body asks of the machines, and what the service tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mindlift.cloud.platforms.request import Request, State
from tests.doubles.modelarts_rules import require

if TYPE_CHECKING:
    from tests.doubles.modelarts import ModelArtsDouble

WORDS = {
    "queued": "Pending",
    "starting": "Creating",
    "running": "Running",
    "stopping": "Terminating",
    "succeeded": "Completed",
    "failed": "Failed",
    "stopped": "Terminated",
}
FINAL = ("Completed", "Failed", "Terminated", "Abnormal")
SECOND = {
    "Pending": "Queuing",
    "Abnormal": "CreateFailed",
}  # SDK Status.secondary_phase; else the phase's own word


def pruned(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: pruned(value) for name, value in answer.items() if value is not None}
    return [pruned(item) for item in answer] if isinstance(answer, list) else answer


def placed(algorithm: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Channels as the service answers them: with the folder of the container."""
    folder = f"/home/ma-user/modelarts/{kind}/"
    return [
        {"access_method": "parameter", **channel, "local_dir": f"{folder}{channel['name']}_0"}
        for channel in algorithm.get(kind) or []
    ]


def status_of(state: State, word: str, nodes: int) -> dict[str, Any]:
    end = state.ended_at or 0
    lasted = max(0.0, end - state.started_at) if state.started_at and end else 0
    code = state.exit_code or 0
    blank = dict.fromkeys(
        (
            "start_at",
            "end_at",
            "end_recover",
            "end_reason",
            "end_related_task",
            "end_recover_before_downgrade",
        )
    )
    starts = ["init_or_rescheduled", *["restarted"] * state.restarts]
    task = {"task": "worker-0", "exit_code": code, "message": state.reason if code else ""}
    return {
        "phase": word,
        "secondary_phase": SECOND.get(word, word),
        "node_count_metrics": None,
        "start_time": int(state.started_at * 1000),
        "duration": int(lasted * 1000),
        "tasks": [f"worker-{node}" for node in range(nodes)],
        "running_records": [{**blank, "start_type": start} for start in starts],
        "task_statuses": [task] if word in FINAL else [],
    }


def matches(job: dict[str, Any], item: dict[str, Any]) -> bool:
    value = job["status"]["phase"] if item["key"] == "phase" else job["metadata"].get(item["key"])
    if item["operator"] == "like":
        return any(part in str(value) for part in item["value"])
    require(item["operator"] != "between", "2809", item["value"])  # the client asks for no span of time
    return value in item["value"]


def request_of(body: dict[str, Any], double: ModelArtsDouble) -> Request:
    """What the machines are told of a job. Cards are CPUs there, so MindLift's programs are told the device."""
    algorithm, notes = body["algorithm"], body["metadata"].get("annotations") or {}

    def sources(kind: str) -> tuple[tuple[str, str], ...]:
        channels = algorithm.get(kind) or []
        return tuple((item["name"], "obs:/" + item["remote"]["obs"]["obs_url"]) for item in channels)

    given = {item["name"]: item["value"] for item in algorithm.get("parameters") or []}
    boot_file = algorithm.get("boot_file", "")[len(algorithm["code_dir"]) :]
    command = algorithm.get("command", "")
    is_own = "enable_modelarts" in given or "--enable_modelarts" in command
    if is_own:
        given["device_target"] = "CPU"
    if is_own and command:
        command += " --device_target=CPU"
    channels = [*(algorithm.get("inputs") or []), *(algorithm.get("outputs") or [])]
    access = next((item["access_method"] for item in channels), "direct")
    log = body["spec"].get("log_export_path", {}).get("obs_url", "")
    variables = dict(algorithm.get("environments") or {})
    method = variables.pop("MA_RUN_METHOD", "rank_table")
    return Request(
        platform="modelarts-v2",
        name=body["metadata"]["name"],
        code_url="obs:/" + algorithm["code_dir"],
        boot_file=boot_file,
        command=command,  # GUIDE: a custom image's command is run by a shell, once on each node
        is_own=is_own,
        arguments=tuple(f"--{name}={value}" for name, value in given.items()),
        inputs=sources("inputs"),
        outputs=sources("outputs"),
        log_url="obs:/" + log if log else "",
        nodes=body["spec"]["resource"]["node_count"],
        cards=double.cards(body["spec"]["resource"]),
        launcher="none" if command else method,
        access=access,
        environment=variables,
        retries=int(notes.get("fault-tolerance/job-retry-num", 0)),
        unconditional_retry=notes.get("fault-tolerance/job-unconditional-retry") == "true",
    )
