"""OpenI's 智算网络 C2Net: data and models are mounted below /cache, results are collected from /cache/output."""

from __future__ import annotations

import json

from mindlift.cloud.platforms.container import Container, Transfer, last_folder, with_user
from mindlift.cloud.platforms.request import Request, Sources

CODE, DATASET, MODEL, OUTPUT = "/cache/code", "/cache/dataset", "/cache/pretrainmodel", "/cache/output"
SERVICE = "OpenI"
DROPPED: frozenset[str] = frozenset()


def container(request: Request, job_id: str, node: int) -> Container:
    inputs = [Transfer(url, f"{DATASET}/{name}") for name, url in request.inputs]
    models = [Transfer(url, f"{MODEL}/{name}") for name, url in request.models]
    return Container(
        code=f"{CODE}/{last_folder(request.code_url).lower()}",
        boot_file=request.boot_file,
        command=request.command,
        arguments=arguments(request),
        environment=with_user(variables(request, job_id, node), request),
        workspace="/cache/workspace",
        logs="/tmp/log",
        home="/home/ma-user",
        inputs=(*inputs, *models),
        read_only=tuple(item.path for item in inputs),
        outputs=tuple(Transfer(url, OUTPUT) for _, url in request.outputs[:1]),
        folders=("/cache", "/tmp", DATASET, MODEL, OUTPUT),
        table="/user/config/jobstart_hccl.json",
        rank_table="/home/ma-user/rank_table/jobstart_hccl.json",
    )


def arguments(request: Request) -> tuple[str, ...]:
    """The user's own: places are in variables."""
    return request.arguments


def variables(request: Request, job_id: str, node: int) -> dict[str, str]:
    """What the c2net library reads. That C2Net mounts on NPUs is from its server's source, not tried."""

    def named(kind: str, sources: Sources) -> str:
        return json.dumps([{f"{kind}_url": url, f"{kind}_name": name} for name, url in sources])

    return {
        "DATA_DOWNLOAD_METHOD": "MOUNT",
        "CODE_URL": request.code_url,
        "LOCAL_CODE_PATH": CODE,
        "DATASET_URL": named("dataset", request.inputs),
        "LOCAL_DATASET_PATH": DATASET,
        "PRETRAIN_MODEL_URL": named("model", request.models),
        "LOCAL_PRETRAIN_MODEL_PATH": MODEL,
        "OUTPUT_URL": request.train_url,
        "LOCAL_OUTPUT_PATH": OUTPUT,
        "CODE_NEED_UNZIP": "false",
        "DATASET_NEED_UNZIP": "false",
        "PRETRAIN_MODEL_NEED_UNZIP": "false",
        "TRACKSERVER": "",
        "RUNID": "",
    }
