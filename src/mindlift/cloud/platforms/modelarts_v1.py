"""ModelArts' first generation: the job gets URLs and copies by itself."""

from __future__ import annotations

from mindlift.cloud.platforms.container import KEEP, Container, as_arguments, last_folder, with_user
from mindlift.cloud.platforms.request import Request

HOME = "/home/work"
JOB_DIR = f"{HOME}/user-job-dir"
SERVICE = "ModelArts"
DROPPED: frozenset[str] = frozenset()


def container(request: Request, job_id: str, node: int) -> Container:
    return Container(
        code=f"{JOB_DIR}/{last_folder(request.code_url)}",
        boot_file=request.boot_file,
        command=request.command,
        arguments=arguments(request),
        environment=with_user(variables(request, job_id, node), request),
        workspace="/home/ma-user/workspace",
        logs="/tmp/log",
        home=HOME,
        folders=("/cache", "/tmp"),
        table="/user/config/jobstart_hccl.json",
        rank_table="/home/ma-user/rank_table/jobstart_hccl.json",
    )


def arguments(request: Request) -> tuple[str, ...]:
    """The places first, as URLs; then the user's own."""
    places = () if request.access in ("none", KEEP) else (*request.inputs, *request.outputs)
    return (*as_arguments(*places), *request.arguments)


def variables(request: Request, job_id: str, node: int) -> dict[str, str]:
    """The DLS_ and BATCH_ variables of v1, and the folder that the scheduler's rank table appears in."""
    names = [f"BATCH_CUSTOM{number}_HOSTS" for number in range(request.nodes)]
    if request.nodes == 1:
        names = [f"BATCH_{job_id}.0_HOSTS"]
    hosts = {name: f"{job_id}-worker-{number}:6666" for number, name in enumerate(names)}
    return {
        **hosts,
        "DLS_TASK_INDEX": str(node),
        "DLS_TASK_NUMBER": str(request.nodes),
        "DLS_APP_URL": request.code_url,
        "DLS_DATA_URL": request.inputs[0][1] if request.inputs else "",
        "DLS_TRAIN_URL": request.train_url,
        "BATCH_JOB_ID": job_id,
        "BATCH_TASK_CURRENT_INSTANCE": f"{job_id}-worker-{node}",
        "RANK_TABLE_FILE": "/user/config",
        "PYTHONPATH": JOB_DIR,
    }
