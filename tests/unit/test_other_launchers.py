"""The variables of launchers that MindSpore's ranks can't meet through: torchrun and SLURM's srun."""

import pytest

from mindlift.errors import RankError
from mindlift.model_utils.ranks import Ranks, read_ranks

TORCHRUN = {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "h"}
MSRUN = {
    "MS_ROLE": "MS_WORKER",
    "MS_WORKER_NUM": "4",
    "MS_NODE_ID": "2",
    "MS_SCHED_HOST": "h",
    "MS_SCHED_PORT": "1",
}
OPENMPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}

REFUSED = {
    "torchrun, four processes": (TORCHRUN, "torchrun started this as rank 2 of 4"),
    "the way out": (TORCHRUN, "msrun --worker_num 4"),
    "the first of them": ({**TORCHRUN, "RANK": "0", "LOCAL_RANK": "0"}, "rank 0 of 4"),
    "half of torchrun's": ({"RANK": "0"}, "RANK=0, but WORLD_SIZE is not set"),
    "the other half": ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2, but RANK is not set"),
    "a local rank alone": ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1, but RANK and WORLD_SIZE are not set"),
    "more than there are": ({"RANK": "4", "WORLD_SIZE": "4"}, "rank 4 of 4 ranks does not exist"),
    "no number": ({"RANK": "a", "WORLD_SIZE": "2"}, "RANK=a: expected a whole number"),
    "srun, two tasks": ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, "SLURM started this as rank 1 of 2"),
    "a step of two in a job of one": (
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "2"},
        "rank 0 of 2",
    ),
    "a task beyond the others": ({"SLURM_PROCID": "3", "SLURM_NTASKS": "2"}, "rank 3 of 2 ranks"),
    "torchrun around msrun": ({**MSRUN, **TORCHRUN, "RANK": "1"}, "RANK=1 contradicts"),
    "torchrun around mpirun": ({**OPENMPI, **TORCHRUN, "WORLD_SIZE": "8"}, "WORLD_SIZE=8 contradicts"),
}
TAKEN = {
    "torchrun, one process": ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, Ranks()),
    "srun, one task": ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, Ranks()),
    "a step of one in a job of four": (
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"},
        Ranks(),
    ),
    "salloc, without srun": ({"SLURM_NTASKS": "4"}, Ranks()),
    "a local rank of 0 alone": ({"LOCAL_RANK": "0"}, Ranks()),
    "a device beside it": ({"RANK": "0", "WORLD_SIZE": "1", "DEVICE_ID": "3"}, Ranks(device=3)),
    "mpirun in a job of SLURM": (
        {**OPENMPI, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
        Ranks(2, 4, 2, 4, "openmpi"),
    ),
    "msrun in a pod that is node 0 of 1": (
        {**MSRUN, "RANK": "0", "WORLD_SIZE": "1"},
        Ranks(2, 4, 2, 4, "msrun", peers_at="h:1"),
    ),
    "both say the same": ({**MSRUN, **TORCHRUN}, Ranks(2, 4, 2, 4, "msrun", peers_at="h:1")),
}


@pytest.mark.parametrize(("env", "says"), REFUSED.values(), ids=REFUSED)
def test_processes_that_would_train_alone_are_refused(env, says):
    with pytest.raises(RankError, match=says):
        read_ranks(env)


@pytest.mark.parametrize(("env", "ranks"), TAKEN.values(), ids=TAKEN)
def test_what_is_one_process_or_has_a_launcher_of_mindspore(env, ranks):
    assert read_ranks(env) == ranks
