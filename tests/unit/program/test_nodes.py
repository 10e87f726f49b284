"""Which rank of which machine a `mindlift run` is, by what launchers set."""

from __future__ import annotations

import pytest

from mindlift.errors import RankError
from mindlift.model_utils.ranks import read_node
from tests.support.rank_tables import v1


@pytest.mark.parametrize(
    ("env", "node", "local_rank", "peers"),
    [
        ("", 0, 0, 1),
        ("RANK_ID=9 RANK_SIZE=16 MA_NUM_HOSTS=2 DEVICE_ID=1", 1, 1, 8),
        (
            "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=8 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=4",
            1,
            1,
            4,
        ),
        ("MS_ROLE=MS_WORKER MS_WORKER_NUM=4 MS_NODE_ID=2 MS_SCHED_HOST=a MS_SCHED_PORT=1", 0, 2, 4),
        # once for all cards of a machine, as a job's own command is started on ModelArts
        ("MA_NUM_HOSTS=2 VC_TASK_INDEX=1 MA_NUM_GPUS=8", 1, 0, 1),
        ("MA_NUM_HOSTS=1 MA_NUM_GPUS=8", 0, 0, 1),
        ("MA_NUM_HOSTS=2 VC_TASK_INDEX=1 MA_NUM_GPUS=8 DEVICE_ID=3", 1, 3, 8),
        ("DLS_TASK_NUMBER=2 DLS_TASK_INDEX=1", 1, 0, 1),
        # PyTorch's documentation of torchrun: LOCAL_RANK of LOCAL_WORLD_SIZE, RANK of WORLD_SIZE
        ("RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4", 1, 1, 4),
        (
            "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MA_NUM_HOSTS=2 VC_TASK_INDEX=1 MA_NUM_GPUS=4",
            1,
            1,
            4,
        ),
        # SLURM's documentation of srun: tasks per node as 4(x2)
        ("SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_STEP_TASKS_PER_NODE=4(x2)", 1, 1, 4),
    ],
)
def test_the_place_of_a_process(env, node, local_rank, peers):
    found = read_node(dict(word.split("=") for word in env.split()))
    assert (found.node, found.local_rank, found.devices_per_node) == (node, local_rank, peers)


def test_a_rank_table_without_a_rank_is_one_process_of_a_machine(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(v1(("10.0.0.1", [(rank, rank, f"10.0.1.{rank}") for rank in range(4)])))
    found = read_node({"RANK_TABLE_FILE": str(path)})
    assert (found.node, found.local_rank, found.devices_per_node) == (0, 0, 1)


def test_half_set_variables_are_an_error_as_elsewhere():
    with pytest.raises(RankError, match="RANK_SIZE is not set"):
        read_node({"RANK_ID": "0"})
