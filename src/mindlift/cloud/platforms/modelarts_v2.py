"""ModelArts today: the platform copies data in and results out, and names local folders."""

from __future__ import annotations

import json

from mindlift.cloud.platforms.container import Container, Transfer, as_arguments, last_folder, with_user
from mindlift.cloud.platforms.request import Request

HOME = "/home/ma-user"
MOUNT = f"{HOME}/modelarts"
JOB_DIR = f"{MOUNT}/user-job-dir"
LOGS = f"{MOUNT}/log"
DATA, TRAIN = f"{MOUNT}/inputs/data_url_0", f"{MOUNT}/outputs/train_url_0"


def container(request: Request, job_id: str, node: int) -> Container:
    copies = request.access != "direct"
    inputs = (Transfer(request.data_url, DATA),) if copies and request.data_url else ()
    outputs = (Transfer(request.train_url, TRAIN, is_periodic=True),) if copies and request.train_url else ()
    code = f"{JOB_DIR}/{last_folder(request.code_url)}"
    environment = {**variables(request, job_id, node), **channels(request, bool(inputs), bool(outputs))}
    if copies and request.access == "env":
        environment.update({"data_url": DATA} if inputs else {}, **({"train_url": TRAIN} if outputs else {}))
    return Container(
        code=code,
        boot_file=request.boot_file,
        arguments=arguments(request, bool(inputs), bool(outputs)),
        environment=with_user(environment, request),
        workspace=f"{MOUNT}/workspace",
        logs=LOGS,
        home=HOME,
        inputs=inputs,
        outputs=outputs,
        folders=("/cache", "/tmp", DATA, TRAIN),
        table="/user/config/jobstart_hccl.json",
        rank_table=f"{HOME}/rank_table/jobstart_hccl.json",
    )


def arguments(request: Request, has_data: bool, has_output: bool) -> tuple[str, ...]:
    """The user's parameters, and behind them the channels of access method `parameter`."""
    places: list[tuple[str, str]] = []
    if request.access == "parameter":
        places += [("data_url", DATA)] if has_data else []
        places += [("train_url", TRAIN)] if has_output else []
    elif request.access == "direct":
        places += [("data_url", request.data_url)] if request.data_url else []
        places += [("train_url", request.train_url)] if request.train_url else []
    if has_output:
        places.append(("resume_url", request.train_url))
    return as_arguments(*request.parameters, *places)


def variables(request: Request, job_id: str, node: int) -> dict[str, str]:
    """The preset variables of a v2 container."""
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
    }


def channels(request: Request, has_data: bool, has_output: bool) -> dict[str, str]:
    """MA_INPUTS and MA_OUTPUTS: the channels as JSON."""
    found = {}
    for name, key, path, url, there in (
        ("MA_INPUTS", "inputs", DATA, request.data_url, has_data),
        ("MA_OUTPUTS", "outputs", TRAIN, request.train_url, has_output),
    ):
        channel = {
            "name": path.rpartition("/")[2][:-2],
            "local_dir": path,
            "remote": {"obs": {"obs_url": url}},
        }
        found[name] = json.dumps({key: [channel] if there else []})
    return found
