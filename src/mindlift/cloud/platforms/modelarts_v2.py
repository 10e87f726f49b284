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
SERVICE = "ModelArts"
DROPPED: frozenset[str] = frozenset()


def container(request: Request, job_id: str, node: int) -> Container:
    inputs = (Transfer(request.data_url, DATA),) if has_data(request) else ()
    outputs = (Transfer(request.train_url, TRAIN, is_periodic=True),) if has_output(request) else ()
    return Container(
        code=f"{JOB_DIR}/{last_folder(request.code_url)}",
        boot_file=request.boot_file,
        arguments=arguments(request),
        environment=with_user(variables(request, job_id, node), request),
        workspace=f"{MOUNT}/workspace",
        logs=LOGS,
        home=HOME,
        inputs=inputs,
        outputs=outputs,
        folders=("/cache", "/tmp", DATA, TRAIN),
        table="/user/config/jobstart_hccl.json",
        rank_table=f"{HOME}/rank_table/jobstart_hccl.json",
    )


def has_data(request: Request) -> bool:
    """Whether the platform copies an input channel; with `direct` the job does by itself."""
    return request.access != "direct" and bool(request.data_url)


def has_output(request: Request) -> bool:
    return request.access != "direct" and bool(request.train_url)


def arguments(request: Request) -> tuple[str, ...]:
    """The user's parameters, and behind them the channels of access method `parameter`."""
    places: list[tuple[str, str]] = []
    if request.access == "parameter":
        places += local_folders(request).items()
    elif request.access == "direct":
        places += [("data_url", request.data_url)] if request.data_url else []
        places += [("train_url", request.train_url)] if request.train_url else []
    if has_output(request):
        places.append(("resume_url", request.train_url))
    return as_arguments(*request.parameters, *places)


def local_folders(request: Request) -> dict[str, str]:
    """The folder of each channel that the platform copies, by its name."""
    return {
        **({"data_url": DATA} if has_data(request) else {}),
        **({"train_url": TRAIN} if has_output(request) else {}),
    }


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
        **channels(request),
        **(local_folders(request) if request.access == "env" else {}),
    }


def channels(request: Request) -> dict[str, str]:
    """MA_INPUTS and MA_OUTPUTS: the channels as JSON."""
    found = {}
    for name, key, path, url, is_there in (
        ("MA_INPUTS", "inputs", DATA, request.data_url, has_data(request)),
        ("MA_OUTPUTS", "outputs", TRAIN, request.train_url, has_output(request)),
    ):
        channel = {
            "name": path.rpartition("/")[2][:-2],
            "local_dir": path,
            "remote": {"obs": {"obs_url": url}},
        }
        found[name] = json.dumps({key: [channel] if is_there else []})
    return found
