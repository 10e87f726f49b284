"""A node of a rehearsed job: its container, the folder with its files, and what its processes see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mindlift import language
from mindlift.cloud import platforms
from mindlift.cloud.platforms.container import Container
from mindlift.cloud.platforms.mapping import mapped
from mindlift.cloud.platforms.request import Request
from mindlift.model_utils import rank_table

KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")  # of this computer's variables
CREDENTIALS = ".credentials"


@dataclass(frozen=True)
class Node:
    """A container with the folder that holds its files, and what its log is written with.

    `is_isolated`: its processes see these files at the platform's own paths, so that nothing has to be mapped.
    """

    number: int
    root: Path
    container: Container
    write: Callable[[bytes], None]
    is_isolated: bool = False

    def path(self, platform_path: str) -> Path:
        """Where a file of the container is on this computer."""
        return Path(f"{self.root}{platform_path}")

    def text(self, platform_text: str) -> str:
        """A variable or an argument as the node's processes get it."""
        return platform_text if self.is_isolated else mapped(str(self.root), platform_text)


def environment(node: Node, commands: Sequence[str]) -> dict[str, str]:
    """What a process of the job sees: the platform's and the user's variables, nothing of this computer's."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    platform = {name: node.text(value) for name, value in node.container.environment.items()}
    # a mapped job would find this computer's /cache
    cache = {} if node.is_isolated else {"MINDLIFT_CACHE": str(node.path("/cache"))}
    return {
        **kept,
        "PATH": ":".join([*commands, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": node.text(node.container.home),
        "TMPDIR": node.text("/tmp"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GLOG_v": "3",
        language.VARIABLE: language.ENGLISH,  # as logs of platforms are; `environment` of a job may say otherwise
        "CREDENTIAL_PROFILES_FILE": node.text(f"{node.container.home}/{CREDENTIALS}"),
        **cache,
        **platform,
    }


def write_tables(node: Node, request: Request, job_id: str) -> None:
    """The scheduler's table, and what the launcher makes of it."""
    text = platforms.scheduler_table(request, job_id)
    for path, content in (
        (node.container.table, text),
        (node.container.rank_table, rank_table.to_v1(rank_table.parse(text, "the scheduler's rank table"))),
    ):
        node.path(path).parent.mkdir(parents=True, exist_ok=True)
        node.path(path).write_text(content, encoding="utf-8")


def write_hosts(node: Node) -> None:
    """The names of the job's nodes, which all are this computer, beside those that it knows."""
    here = Path("/etc/hosts")
    if node.is_isolated and here.is_file():
        names = host_names(node.container.environment)
        lines = [here.read_text(encoding="utf-8", errors="replace").rstrip("\n")]
        lines += [f"127.0.0.1 {name}" for name in names]
        node.path("/etc").mkdir(parents=True, exist_ok=True)
        node.path("/etc/hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")


def host_names(variables: Mapping[str, str]) -> list[str]:
    """Those of VC_WORKER_HOSTS=a,b and BATCH_CUSTOM0_HOSTS=a:6666."""
    lists = [
        value.split(",")
        for name, value in variables.items()
        if name.startswith(("VC_WORKER_", "BATCH_")) and name.endswith("_HOSTS")
    ]
    return [item.partition(":")[0] for items in lists for item in items]


def clear(folder: Path) -> None:
    """Remove a container's files, also where the platform had made them read-only."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None
