"""What the launchers start, and how the ranks of programs that know nothing of MindLift meet on CPUs. Pure.

Sources: MindSpore's "Dynamic Cluster Startup" and "msrun Launching" for MS_* and msrun's options; PyTorch's "torchrun
(Elastic Launch)" for torchrun's.
"""

from __future__ import annotations

from pathlib import Path

from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local.interpreter import Interpreter

HOST = "127.0.0.1"
# of this computer too, but no interface's: msrun takes the node with the master's address for the master, and all are here
NOBODYS_HOST = "127.0.0.2"
# `mindspore.context` is its name in all versions
MEET = (
    "import mindspore.context; mindspore.context.set_context(device_target='CPU'); "
    "from mindspore.communication import init; init()"
)


def needs_scheduler(way: str, request: Request, interpreter: Interpreter) -> bool:
    """Whether the ranks meet at a process of the launcher's own."""
    if way == "rank_table":
        # a program of others may ask for the group of its single rank
        is_alone = request.nodes * request.cards == 1
        return not is_alone if request.is_own else "mindspore" in interpreter.has
    return way == "msrun" and request.nodes > 1


def meeting_host(way: str) -> str:
    return NOBODYS_HOST if way == "msrun" else HOST


def scheduler(size: int, port: int, host: str = HOST) -> dict[str, str]:
    """The variables of the process at which MindSpore's ranks meet."""
    return {
        "MS_ROLE": "MS_SCHED",
        "MS_WORKER_NUM": str(size),
        "MS_SCHED_HOST": host,
        "MS_SCHED_PORT": str(port),
    }


def worker(rank: int, size: int, port: int) -> dict[str, str]:
    """Those of a rank that meets there: CPUs have no HCCL, which a rank table would be for."""
    return {**scheduler(size, port), "MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank)}


def on_node(
    way: str, request: Request, interpreter: Interpreter, node: int, port: int, logs: str
) -> list[str]:
    """What stands before the program on node `node` where one process per node starts the ranks."""
    if way == "msrun":
        return msrun(request, interpreter, node, port, logs)
    if way == "torchrun":
        return torchrun(request, interpreter, node, port, logs)
    return []


def msrun(request: Request, interpreter: Interpreter, node: int, port: int, logs: str) -> list[str]:
    path = Path(interpreter.python).with_name("msrun")
    if not path.exists():
        raise JobError(
            f"launcher: msrun is not there beside {interpreter.python}; it needs MindSpore 2.3 or newer"
        )
    return [
        str(path),
        f"--worker_num={request.nodes * request.cards}",
        f"--local_worker_num={request.cards}",
        f"--master_addr={NOBODYS_HOST if request.nodes > 1 else HOST}",
        f"--master_port={port}",
        f"--node_rank={node}",
        f"--log_dir={logs}",
        "--join=True",
    ]


def torchrun(request: Request, interpreter: Interpreter, node: int, port: int, logs: str) -> list[str]:
    if "torch" not in interpreter.has:
        raise JobError(f"launcher: torchrun needs PyTorch, which {interpreter.python} can't import")
    return [
        interpreter.python,
        "-m",
        "torch.distributed.run",
        f"--nnodes={request.nodes}",
        f"--nproc_per_node={request.cards}",
        f"--node_rank={node}",
        f"--master_addr={HOST}",
        f"--master_port={port}",
        f"--log_dir={logs}",
        "--tee=3",  # to its file and to the node's log, standard output and error
    ]
