"""ModelArts today: the platform copies data in and results out, and names local folders."""

from __future__ import annotations

import json

from mindlift.cloud.platforms.container import KEEP, Container, Transfer, as_arguments, last_folder, with_user
from mindlift.cloud.platforms.request import Request, Sources

HOME = "/home/ma-user"
MOUNT = f"{HOME}/modelarts"
JOB_DIR = f"{MOUNT}/user-job-dir"
LOGS = f"{MOUNT}/log"
SERVICE = "ModelArts"
DROPPED: frozenset[str] = frozenset()


def container(request: Request, job_id: str, node: int) -> Container:
    inputs, outputs = local_folders("inputs", request), local_folders("outputs", request)
    return Container(
        code=f"{JOB_DIR}/{last_folder(request.code_url)}",
        boot_file=request.boot_file,
        command=request.command,
        arguments=arguments(request),
        environment=with_user(variables(request, job_id, node), request),
        workspace=f"{MOUNT}/workspace",
        logs=LOGS,
        home=HOME,
        inputs=tuple(Transfer(url, inputs[name]) for name, url in request.inputs if inputs),
        outputs=tuple(
            Transfer(url, outputs[name], is_periodic=True) for name, url in request.outputs if outputs
        ),
        folders=("/cache", "/tmp", *inputs.values(), *outputs.values()),
        table="/user/config/jobstart_hccl.json",
        rank_table=f"{HOME}/rank_table/jobstart_hccl.json",
    )


def arguments(request: Request) -> tuple[str, ...]:
    """The user's own, and behind them the channels of access method `parameter`."""
    if request.access != "parameter":
        return request.arguments
    channels = {**local_folders("inputs", request), **local_folders("outputs", request)}
    return (*request.arguments, *as_arguments(*channels.items()))


def local_folders(kind: str, request: Request) -> dict[str, str]:
    """The folder of each channel of `kind`, inputs or outputs, by its name; with `direct` the job copies by itself."""
    if request.access in ("direct", KEEP):
        return {}
    sources = request.inputs if kind == "inputs" else request.outputs
    return {name: f"{MOUNT}/{kind}/{name}_0" for name, _ in sources}


def variables(request: Request, job_id: str, node: int) -> dict[str, str]:
    """The preset variables of a v2 container, and the channels."""
    vj = f"ma-job-{job_id}"
    hosts = ",".join(f"{vj}-worker-{number}.{vj}" for number in range(request.nodes))
    return {
        "MA_HOME": HOME,
        "MA_JOB_DIR": JOB_DIR,
        "MA_MOUNT_PATH": MOUNT,
        "MA_LOG_DIR": LOGS,
        "WORKSPACE": f"{JOB_DIR}/code",
        "MA_CURRENT_IP": "127.0.0.1",
        "MA_CURRENT_HOST_IP": "127.0.0.1",
        "MA_NUM_GPUS": str(request.cards),
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": str(request.nodes),
        "MA_VJ_NAME": vj,
        "MA_CURRENT_INSTANCE_NAME": f"modelarts-job-{job_id}-worker-{node}",
        "VC_TASK_INDEX": str(node),
        "VC_WORKER_NUM": str(request.nodes),
        "VC_WORKER_HOSTS": hosts,
        "PYTHONPATH": JOB_DIR,
        "MA_INPUTS": channels("inputs", request.inputs, request),
        "MA_OUTPUTS": channels("outputs", request.outputs, request),
        **(
            {**local_folders("inputs", request), **local_folders("outputs", request)}
            if request.access == "env"
            else {}
        ),
    }


def channels(kind: str, sources: Sources, request: Request) -> str:
    """MA_INPUTS or MA_OUTPUTS: the channels as JSON."""
    folders, urls = local_folders(kind, request), dict(sources)
    found = [
        {"name": name, "local_dir": path, "remote": {"obs": {"obs_url": urls[name]}}}
        for name, path in folders.items()
    ]
    return json.dumps({kind: found})
