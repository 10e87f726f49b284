"""A platform's contract with a job: folders, variables, arguments, and what is copied when. Pure.

Paths are the platform's own, such as /cache. Sources: the platforms' documents and launchers, as told in
docs/cloud.md, which also marks what could not be verified.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from mindlift.cloud.platforms.request import Request

KEEP = (
    "keep"  # access of a job whose data `mindlift run` brings: the platform copies nothing and names no place
)
CONNECT_TIMEOUT_S = "1800"  # what Ascend's launcher sets where the user has not


@dataclass(frozen=True)
class Transfer:
    """Files that the platform moves: a URL and a path. `is_periodic`: also while the job runs."""

    url: str
    path: str
    is_periodic: bool = False


@dataclass(frozen=True)
class Container:
    """One node of a job. `arguments` follow the boot file; `environment` is what all its processes see."""

    code: str
    boot_file: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    workspace: str  # each rank's working directory is device<N> below it
    logs: str
    home: str
    inputs: tuple[Transfer, ...] = ()  # before the start
    read_only: tuple[str, ...] = ()
    outputs: tuple[Transfer, ...] = ()  # after the end, and meanwhile where that is so
    folders: tuple[str, ...] = ()
    command: str = ""  # a line for a shell, in place of the boot file
    table: str = ""  # the scheduler's rank table, v0.1
    rank_table: str = ""  # the launcher's, v1.0

    @property
    def program(self) -> str:
        return f"{self.code}/{self.boot_file}"

    def words(self, python: str) -> list[str]:
        """What is started: the boot file by an interpreter, or a command of the user's by a shell."""
        if self.command:
            return ["/bin/sh", "-c", self.command]
        return [python, self.program, *self.arguments]


@dataclass(frozen=True)
class Rank:
    """One process: global rank, card on its node, and the number of all."""

    rank: int
    device: int
    size: int


def ranks_of(request: Request, node: int) -> list[Rank]:
    first = node * request.cards
    return [Rank(first + card, card, request.cards * request.nodes) for card in range(request.cards)]


def rank_environment(container: Container, rank: Rank, job_id: str) -> dict[str, str]:
    """What Ascend's launcher adds for one card (davincirun of the preset images)."""
    return {
        "JOB_ID": job_id,
        "DEVICE_ID": str(rank.device),
        "ASCEND_DEVICE_ID": str(rank.device),
        "RANK_ID": str(rank.rank),
        "RANK_SIZE": str(rank.size),
        "RANK_TABLE_FILE": container.rank_table,
        "HCCL_CONNECT_TIMEOUT": container.environment.get("HCCL_CONNECT_TIMEOUT", CONNECT_TIMEOUT_S),
        "ASCEND_PROCESS_LOG_PATH": f"{container.logs}/{job_id}/ascend/process_log/rank_{rank.rank}",
    }


def place(environment: Mapping[str, str]) -> str:
    """The variables that tell the processes of a job apart, in a few words."""
    return " ".join(f"{name}={environment[name]}" for name in ("RANK_ID", "RANK_SIZE", "DEVICE_ID"))


def working_directory(container: Container, rank: Rank) -> str:
    return f"{container.workspace}/device{rank.device}"


def log_name(job_id: str, rank: Rank) -> str:
    return f"{job_id}-proc-rank-{rank.rank}-device-{rank.device}.txt"


def host(node: int) -> str:
    """The address of a node in rank tables."""
    return f"192.168.0.{10 + node}"


def scheduler_table(request: Request, job_id: str) -> str:
    """The rank table as the platform's scheduler writes it (v0.1)."""
    pods = [
        {
            "pod_name": f"{job_id}-worker-{node}",
            "server_id": host(node),
            "devices": [
                {"device_id": str(card), "device_ip": f"192.{1 + card}.{node}.254"}
                for card in range(request.cards)
            ],
        }
        for node in range(request.nodes)
    ]
    group = {
        "group_name": "job-trainjob",
        "device_count": str(request.cards * request.nodes),
        "instance_count": str(request.nodes),
        "instance_list": pods,
    }
    return json.dumps({"status": "completed", "group_count": "1", "group_list": [group]}, indent=1) + "\n"


def last_folder(url: str) -> str:
    """The name of the folder that a URL names."""
    return posixpath.basename(url.rstrip("/"))


def as_arguments(*pairs: tuple[str, str]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in pairs)


def with_user(environment: Mapping[str, str], request: Request) -> dict[str, str]:
    """The user's variables win over the platform's."""
    return {**environment, **request.environment}
