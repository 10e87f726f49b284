"""Which rank is this process? The only reader of the launchers' rank variables (see `read_ranks`)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mindlift.errors import RankError
from mindlift.model_utils import rank_table
from mindlift.model_utils.rank_variables import Env, agree, has, number, pair

REHEARSAL = "MINDLIFT_PEERS_AT"  # host:port of a scheduler: ranks of a rank table meet there, on CPUs
START_HINT = "scripts/local_ranks.sh {n} train.py ..., scripts/run_distribute_train.sh {n} ... or msrun"


@dataclass(frozen=True)
class Ranks:
    """This process among its peers. One device is rank 0 of 1, never None."""

    rank: int = 0
    size: int = 1
    device: int = 0
    devices_per_node: int = 1
    source: str = "none"  # none, rank_table, msrun, openmpi, modelarts_v2, modelarts_v1
    is_scheduler: bool = False  # msrun starts the script once more as its scheduler: it trains nothing
    peers_at: str = ""  # host:port of that scheduler
    split_rings: str = ""  # what rank_table.split_rings says of the launcher's rank table

    @property
    def node(self) -> int:
        return self.rank // self.devices_per_node

    @property
    def local_rank(self) -> int:
        return self.rank % self.devices_per_node

    @property
    def is_main(self) -> bool:
        return self.rank == 0 and not self.is_scheduler


def read_ranks(env: Env | None = None) -> Ranks:
    """Ranks from the launcher's variables; RankError if they are half set or contradict each other.

    | family, in this order           | decided by | used |
    |---------------------------------|------------|------|
    | 1 Ascend, one process per card  | RANK_ID or RANK_SIZE (and no MS_ROLE: msrun sets both as well) | RANK_ID, RANK_SIZE, RANK_TABLE_FILE (a file, or a folder with jobstart_hccl.json); the device: see `_card` |
    | 2 msrun, dynamic cluster        | MS_ROLE | MS_WORKER_NUM, MS_NODE_ID; RANK_ID and RANK_SIZE must agree |
    | 3 OpenMPI                       | OMPI_COMM_WORLD_RANK or _SIZE | also _LOCAL_RANK, _LOCAL_SIZE |
    | 4 ModelArts v2 container        | MA_NUM_HOSTS, MA_NUM_GPUS or VC_* | node VC_TASK_INDEX of MA_NUM_HOSTS, MA_NUM_GPUS cards; rank = node * cards + ASCEND_DEVICE_ID |
    | 5 ModelArts v1 container        | DLS_TASK_NUMBER or DLS_TASK_INDEX | DLS_TASK_INDEX of DLS_TASK_NUMBER, BATCH_*_HOSTS |
    | 6 torchrun                      | RANK, WORLD_SIZE or LOCAL_RANK | one process only: see `_read_torchrun` |
    | 7 SLURM's srun                  | SLURM_PROCID | SLURM_STEP_NUM_TASKS, else SLURM_NTASKS; one process only |
    | 8 none of them                  |            | one process; a lone DEVICE_ID chooses the device |

    VC_TASK_INDEX means nothing on one node and is ignored there. Empty variables count as not set.
    """
    env = os.environ if env is None else env
    if has(env, "MS_ROLE", "MS_WORKER_NUM", "MS_NODE_ID"):
        ranks = _read_msrun(env)
    elif has(env, "RANK_ID") or (has(env, "RANK_SIZE") and not _has_openmpi(env)):
        ranks = _read_per_card(env)
    elif _has_openmpi(env):
        ranks = _read_openmpi(env)
    elif has(env, "RANK_TABLE_FILE"):
        ranks = _read_lone_table(env)
    elif has(env, "MA_NUM_HOSTS", "MA_NUM_GPUS", "VC_TASK_INDEX", "VC_WORKER_HOSTS"):
        ranks = _read_modelarts_v2(env)
    elif has(env, "DLS_TASK_NUMBER", "DLS_TASK_INDEX"):
        ranks = _read_modelarts_v1(env)
    elif has(env, "RANK", "WORLD_SIZE", "LOCAL_RANK"):
        ranks = _read_torchrun(env)
    elif has(env, "SLURM_PROCID"):
        ranks = _read_slurm(env)
    else:
        ranks = Ranks(device=_device(env) or 0)
    if has(env, "LOCAL_RANK") and not ranks.is_scheduler:  # without it, RANK may be the number of a node
        agree(env, "RANK", ranks.rank, f"the rank of {ranks.source}")
        agree(env, "WORLD_SIZE", ranks.size, f"the number of ranks of {ranks.source}")
    if ranks.rank >= ranks.size:
        raise RankError(f"rank {ranks.rank} of {ranks.size} ranks does not exist: {show(env)}")
    return ranks


def read_node(env: Env | None = None) -> Ranks:
    """Where this process is among those of its machine, for programs whose ranks meet in their own way.

    As read_ranks, but torchrun's and SLURM's ranks count as they are, and a launcher that is started once for all cards
    of a machine (a container without a card's number; a rank table without a rank) is one rank of that machine.
    """
    env = os.environ if env is None else env
    of_card = has(env, "MS_ROLE", "RANK_ID", "RANK_SIZE") or _has_openmpi(env)
    if of_card:
        return read_ranks(env)
    if has(env, "LOCAL_RANK") and has(env, "RANK", "WORLD_SIZE"):
        rank, size = pair(env, "RANK", "WORLD_SIZE")
        return Ranks(rank, size, 0, number(env, "LOCAL_WORLD_SIZE", least=1) or size, "torchrun")
    if has(env, "SLURM_PROCID"):
        rank = number(env, "SLURM_PROCID") or 0
        size = number(env, "SLURM_STEP_NUM_TASKS", least=1) or number(env, "SLURM_NTASKS", least=1) or 1
        per_node = re.match(r"\d+", env.get("SLURM_STEP_TASKS_PER_NODE", ""))
        return Ranks(rank, size, 0, int(per_node.group()) if per_node else size, "slurm")
    whole = {name: value for name, value in env.items() if name != "RANK_TABLE_FILE"}
    if _device(whole) is None:
        whole.pop("MA_NUM_GPUS", None)
    return read_ranks(whole)


def in_cloud_job(env: Env | None = None) -> bool:
    """True inside a ModelArts container (v2, v1) or one of OpenI / C2NET."""
    env = os.environ if env is None else env
    return has(env, "MA_JOB_DIR", "MA_VJ_NAME", "DLS_TASK_NUMBER", "BATCH_JOB_ID", "DATA_DOWNLOAD_METHOD")


def check_ranks(
    ranks: Ranks, rank: int | None, group_size: int | None, is_distributed: bool, device: int | None = None
) -> Ranks:
    """The ranks to train with, after --rank, --group_size, --is_distributed and --device_id had their say.

    The options can't make peers, so a contradiction is a RankError that names both sides. A device of 0 is no
    contradiction: programs whose files say 0 for all cards mean the launcher's.
    """
    if ranks.is_scheduler:
        return ranks
    launched = f"the launcher ({ranks.source}) started {ranks.size} process(es), this is rank {ranks.rank}"
    if not is_distributed and ranks.size > 1:
        raise RankError(f"--is_distributed 0, but {launched}: start one process, or drop --is_distributed 0")
    if group_size is not None and group_size != ranks.size:
        how = START_HINT.format(n=group_size)
        raise RankError(
            f"--group_size {group_size}, but {launched}: start {group_size} processes with {how}, "
            f"or drop --group_size"
        )
    if rank is not None and rank != ranks.rank:
        raise RankError(f"--rank {rank}, but {launched}: drop --rank, the launcher numbers the processes")
    if device and device != ranks.device:
        if ranks.source != "none" or ranks.device:
            raise RankError(
                f"--device_id {device}, but {launched} on device {ranks.device}: drop --device_id"
            )
        return Ranks(device=device)
    return ranks if is_distributed else Ranks(device=ranks.device, source=ranks.source)


def _read_per_card(env: Env) -> Ranks:
    rank, size = pair(env, "RANK_ID", "RANK_SIZE")
    agree(env, "OMPI_COMM_WORLD_RANK", rank, "RANK_ID")
    agree(env, "OMPI_COMM_WORLD_SIZE", size, "RANK_SIZE")
    peers = env.get(REHEARSAL, "")
    if not has(env, "RANK_TABLE_FILE"):
        device = _device(env)
        per_node = _per_node(env, size)
        return Ranks(
            rank, size, rank % per_node if device is None else device, per_node, "rank_table", peers_at=peers
        )
    table, path = _table(env)
    if table.size != size:
        raise RankError(f"RANK_SIZE={size}, but RANK_TABLE_FILE={path} holds {table.size} device(s)")
    mine = next((entry for entry in table.devices if entry.rank == rank), None)
    if mine is None:
        raise RankError(f"RANK_ID={rank} is not in RANK_TABLE_FILE={path} (ranks 0 to {table.size - 1})")
    per_node = len(table.devices_of(mine.server))
    return Ranks(
        rank,
        size,
        _card(env, mine),
        per_node,
        "rank_table",
        peers_at=peers,
        split_rings="; ".join(rank_table.split_rings(table)),
    )


def _read_lone_table(env: Env) -> Ranks:
    table, path = _table(env)
    if table.size > 1:
        raise RankError(
            f"RANK_TABLE_FILE={path} holds {table.size} devices, but RANK_ID and RANK_SIZE are not set: "
            f"start one process per card with {START_HINT.format(n=table.size)}, or unset RANK_TABLE_FILE"
        )
    return Ranks(device=_card(env, table.devices[0]), source="rank_table")


def _read_msrun(env: Env) -> Ranks:
    role = env.get("MS_ROLE", "")
    if role not in ("MS_WORKER", "MS_SCHED"):
        shown = f"MS_ROLE={role}" if role else "MS_ROLE is not set"
        raise RankError(f"{shown}, expected MS_WORKER or MS_SCHED: start with msrun, or unset {show(env)}")
    size = number(env, "MS_WORKER_NUM", least=1)
    if size is None:
        raise RankError(f"MS_ROLE={role}, but MS_WORKER_NUM is not set: start with msrun, which sets both")
    missing = [name for name in ("MS_SCHED_HOST", "MS_SCHED_PORT") if not has(env, name)]
    if missing:
        raise RankError(f"MS_ROLE={role}, but {' and '.join(missing)} not set: start with msrun")
    agree(env, "RANK_SIZE", size, "MS_WORKER_NUM")
    peers_at = f"{env['MS_SCHED_HOST']}:{number(env, 'MS_SCHED_PORT', least=1)}"
    if role == "MS_SCHED":
        return Ranks(0, size, 0, size, "msrun", is_scheduler=True, peers_at=peers_at)
    rank = number(env, "MS_NODE_ID")
    if rank is None:
        raise RankError("MS_NODE_ID is not set: on several machines give msrun --node_rank 0, 1, ...")
    agree(env, "RANK_ID", rank, "MS_NODE_ID")
    device, per_node = _device(env), _per_node(env, size)
    if device is not None and rank < size and device != rank % per_node:
        raise RankError(
            f"MS_NODE_ID={rank} with DEVICE_ID={device} on {per_node} processes a machine: for several "
            "machines their number must be known, export MA_NUM_HOSTS=<machines> before msrun"
        )
    return Ranks(rank, size, rank % per_node, per_node, "msrun", peers_at=peers_at)


def _read_openmpi(env: Env) -> Ranks:
    rank, size = pair(env, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
    agree(env, "RANK_SIZE", size, "OMPI_COMM_WORLD_SIZE")
    per_node = number(env, "OMPI_COMM_WORLD_LOCAL_SIZE", least=1) or size
    local = number(env, "OMPI_COMM_WORLD_LOCAL_RANK")
    local = rank % per_node if local is None else local
    if per_node > size or local >= per_node:
        raise RankError(f"OpenMPI's variables contradict each other: {show(env)}")
    return Ranks(rank, size, local, per_node, "openmpi")


def _read_modelarts_v2(env: Env) -> Ranks:
    listed = [host for host in env.get("VC_WORKER_HOSTS", "").split(",") if host.strip()]
    hosts = number(env, "MA_NUM_HOSTS", least=1)
    if hosts is not None and listed and len(listed) != hosts:
        raise RankError(
            f"MA_NUM_HOSTS={hosts}, but VC_WORKER_HOSTS={env['VC_WORKER_HOSTS']} names {len(listed)}"
        )
    hosts = hosts or len(listed) or 1
    node = number(env, "VC_TASK_INDEX") if hosts > 1 else 0
    if node is None:
        raise RankError(f"MA_NUM_HOSTS={hosts}, but VC_TASK_INDEX is not set: which of the nodes is this?")
    cards, device = number(env, "MA_NUM_GPUS") or 0, _device(env)
    if cards <= 1:
        return Ranks(node, hosts, device or 0, 1, "modelarts_v2")
    if device is None:
        raise RankError(
            f"MA_NUM_GPUS={cards}, but neither ASCEND_DEVICE_ID nor DEVICE_ID is set: start one process per "
            "card (MA_RUN_METHOD=msrun in the job's environment), or pass --is_distributed 0 to use one card"
        )
    if device >= cards:
        raise RankError(f"device {device} of MA_NUM_GPUS={cards} does not exist: {show(env)}")
    return Ranks(node * cards + device, hosts * cards, device, cards, "modelarts_v2")


def _read_modelarts_v1(env: Env) -> Ranks:
    named = [name for name in env if name.startswith("BATCH_") and name.endswith("_HOSTS") and env[name]]
    size = number(env, "DLS_TASK_NUMBER", least=1)
    if size is None:
        raise RankError(f"DLS_TASK_NUMBER is not set, but {show(env)}")
    if named and len(named) != size:
        raise RankError(f"DLS_TASK_NUMBER={size}, but {', '.join(sorted(named))} name {len(named)}")
    node = number(env, "DLS_TASK_INDEX") if size > 1 else 0
    if node is None:
        raise RankError(f"DLS_TASK_NUMBER={size}, but DLS_TASK_INDEX is not set: which of them is this?")
    return Ranks(node, size, _device(env) or 0, 1, "modelarts_v1")


def _read_torchrun(env: Env) -> Ranks:
    """MindSpore has no way to meet through torchrun: N processes would train N times, each alone."""
    local = number(env, "LOCAL_RANK") or 0
    if not has(env, "RANK", "WORLD_SIZE"):
        if local:
            raise RankError(
                f"LOCAL_RANK={local}, but RANK and WORLD_SIZE are not set: unset it, or set all three"
            )
        return Ranks(device=_device(env) or 0)
    rank, size = pair(env, "RANK", "WORLD_SIZE")
    if size == 1 and rank == 0 and local == 0:
        return Ranks(device=_device(env) or 0)
    raise RankError(_cannot_meet("torchrun", rank, size, env))


def _read_slurm(env: Env) -> Ranks:
    """The same for srun. In a batch script SLURM_NTASKS is what was asked for, and srun starts as many."""
    rank = number(env, "SLURM_PROCID") or 0
    size = number(env, "SLURM_STEP_NUM_TASKS", least=1) or number(env, "SLURM_NTASKS", least=1) or 1
    if size == 1 and rank == 0:
        return Ranks(device=_device(env) or 0)
    raise RankError(_cannot_meet("SLURM", rank, size, env))


def _cannot_meet(launcher: str, rank: int, size: int, env: Env) -> str:
    if rank >= size:
        return f"rank {rank} of {size} ranks does not exist: {show(env)}"
    return (
        f"{launcher} started this as rank {rank} of {size} ({show(env)}), but MindSpore's ranks can't meet through it:"
        f" start with msrun --worker_num {size} --local_worker_num {size} train.py ..., mpirun -n {size} or"
        f" scripts/local_ranks.sh {size}; for one process alone pass --is_distributed 0"
    )


def _table(env: Env) -> tuple[rank_table.RankTable, Path]:
    path = Path(env["RANK_TABLE_FILE"])
    path = path / "jobstart_hccl.json" if path.is_dir() else path
    try:
        table = rank_table.parse(path.read_text(encoding="utf-8"), f"RANK_TABLE_FILE={path}")
    except (OSError, UnicodeDecodeError) as err:
        raise RankError(f"RANK_TABLE_FILE={env['RANK_TABLE_FILE']} can't be read: {err}") from err
    problems = rank_table.check(table)
    if problems:
        raise RankError(f"RANK_TABLE_FILE={path}: {'; '.join(problems)}")
    return table, path


def _per_node(env: Env, size: int) -> int:
    """Processes on a machine, where the launcher does not say: all of them but on several hosts."""
    hosts = number(env, "MA_NUM_HOSTS", least=1) or number(env, "DLS_TASK_NUMBER", least=1) or 1
    if size % hosts:
        raise RankError(f"{size} ranks can't be shared equally by {hosts} hosts: {show(env)}")
    return size // hosts


def _card(env: Env, mine: rank_table.Device) -> int:
    """The number of the card of a rank that has an entry in a rank table.

    A table's numbers are physical. ModelArts' launcher numbers the cards that a container sees from 0 on, in
    ASCEND_DEVICE_ID and DEVICE_ID, and MindSpore wants those (ModelArts' documents on its preset images call them
    logical). Elsewhere DEVICE_ID is what some script has counted, and the table knows better.
    """
    given = _device(env)
    is_logical = in_cloud_job(env) or has(env, "ASCEND_DEVICE_ID")
    return given if is_logical and given is not None else mine.device


def _device(env: Env) -> int | None:
    logical, device = number(env, "ASCEND_DEVICE_ID"), number(env, "DEVICE_ID")
    if logical is not None and device is not None and logical != device:
        raise RankError(f"ASCEND_DEVICE_ID={logical} but DEVICE_ID={device}: unset the wrong one")
    return device if logical is None else logical


def _has_openmpi(env: Env) -> bool:
    return has(env, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")


def show(env: Env) -> str:
    kinds = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MS_ROLE", "MS_WORKER", "MS_NODE")
    others = (
        "OMPI_COMM_WORLD_",
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "SLURM_STEP_NUM",
        "MA_NUM_",
        "VC_TASK",
        "DLS_TASK",
    )
    names = [name for name in sorted(env) if name.startswith(kinds + others) or name.endswith("DEVICE_ID")]
    return " ".join(f"{name}={env[name]}" for name in names if has(env, name))
