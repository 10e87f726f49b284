"""OpenI's 启智 cluster (云脑二): ModelArts v1 below, and the selected data sets and models as JSON arguments."""

from __future__ import annotations

import json

from mindlift.cloud.platforms import modelarts_v1
from mindlift.cloud.platforms.container import Container, as_arguments, with_user
from mindlift.cloud.platforms.request import Request, Sources

JOB_DIR = "/home/work/user-job-dir"
VERSION = "V0001"
SERVICE = "OpenI"
DROPPED = frozenset(["train_url", "data_url"])


def container(request: Request, job_id: str, node: int) -> Container:
    return Container(
        code=f"{JOB_DIR}/{VERSION}",
        boot_file=request.boot_file,
        command=request.command,
        arguments=arguments(request),
        environment=with_user(variables(request, job_id, node), request),
        workspace="/home/ma-user/workspace",
        logs="/tmp/log",
        home="/home/work",
        folders=("/cache", "/tmp"),
        table="/user/config/jobstart_hccl.json",
        rank_table="/home/ma-user/rank_table/jobstart_hccl.json",
    )


def variables(request: Request, job_id: str, node: int) -> dict[str, str]:
    """Those of ModelArts v1, with the version of the code on Python's path."""
    return {**modelarts_v1.variables(request, job_id, node), "PYTHONPATH": f"{JOB_DIR}/{VERSION}"}


def arguments(request: Request) -> tuple[str, ...]:
    """In the order in which the service writes them."""
    output = three_slashes(request.train_url)
    found = [("data_url", three_slashes(request.inputs[0][1]))] if request.inputs else []
    found.append(("train_url", output))
    if request.inputs:
        found.append(("multi_data_url", as_json("dataset", request.inputs)))
    if request.models:
        found.append(("pretrain_url", as_json("model", request.models)))
        found.append(("ckpt_url", three_slashes(request.models[0][1])))
    found.append(("result_url", output))
    own = tuple(word for word in request.arguments if word.partition("=")[0][2:] not in DROPPED)
    device = () if request.has("device_target") else (("device_target", "Ascend"),)
    return (*as_arguments(*found), *own, *as_arguments(*device))


def three_slashes(url: str) -> str:
    """`s3:///bucket/key/`, as the service spells URLs."""
    return f"s3:///{url.partition('://')[2]}" if url else ""


def as_json(kind: str, sources: Sources) -> str:
    return json.dumps([{f"{kind}_url": three_slashes(url), f"{kind}_name": name} for name, url in sources])
