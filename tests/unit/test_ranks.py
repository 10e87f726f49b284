"""What ranks.read_ranks makes of the variables of every launcher, and of a rank table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.errors import DeviceError, RankError
from mindlift.model_utils import device_adapter
from mindlift.model_utils.device_adapter import Ranks, check_ranks, read_ranks
from tests.support.programs import ROOT
from tests.support.rank_tables import TWO_PODS, v1

MSRUN = {"MS_ROLE": "MS_WORKER", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "8118", "MS_WORKER_NUM": "4"}
WORKER_3 = {**MSRUN, "MS_NODE_ID": "3", "RANK_ID": "3", "RANK_SIZE": "4", "DEVICE_ID": "3"}
OMPI = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8"}
HOSTS = {"MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1", "VC_WORKER_HOSTS": "w-0.job,w-1.job"}


def brief(ranks: Ranks) -> tuple[int, int, int, int, str]:
    return ranks.rank, ranks.size, ranks.device, ranks.devices_per_node, ranks.source


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, (0, 1, 0, 1, "none")),
        ({"DEVICE_ID": "3"}, (0, 1, 3, 1, "none")),
        ({"RANK_ID": "", "RANK_SIZE": ""}, (0, 1, 0, 1, "none")),
        (
            {"RANK_ID": "5", "RANK_SIZE": "8", "ASCEND_DEVICE_ID": "5", "DEVICE_ID": "5"},
            (5, 8, 5, 8, "rank_table"),
        ),
        ({"RANK_ID": "9", "RANK_SIZE": "16", "MA_NUM_HOSTS": "2"}, (9, 16, 1, 8, "rank_table")),
        (WORKER_3, (3, 4, 3, 4, "msrun")),
        ({**WORKER_3, "MA_NUM_HOSTS": "2", "DEVICE_ID": "1"}, (3, 4, 1, 2, "msrun")),
        (OMPI, (5, 8, 5, 8, "openmpi")),
        ({**OMPI, "RANK_SIZE": "8"}, (5, 8, 5, 8, "openmpi")),
        (
            {**OMPI, "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"},
            (5, 8, 1, 4, "openmpi"),
        ),
        ({"MA_NUM_HOSTS": "1", "MA_NUM_GPUS": "0", "VC_TASK_INDEX": "7"}, (0, 1, 0, 1, "modelarts_v2")),
        ({**HOSTS, "MA_NUM_GPUS": "8", "ASCEND_DEVICE_ID": "2"}, (10, 16, 2, 8, "modelarts_v2")),
        ({**HOSTS, "MA_NUM_GPUS": "1"}, (1, 2, 0, 1, "modelarts_v2")),
        ({"VC_WORKER_HOSTS": "a,b,c", "VC_TASK_INDEX": "2"}, (2, 3, 0, 1, "modelarts_v2")),
        ({"DLS_TASK_NUMBER": "1"}, (0, 1, 0, 1, "modelarts_v1")),
        (
            {
                "DLS_TASK_NUMBER": "2",
                "DLS_TASK_INDEX": "1",
                "BATCH_CUSTOM0_HOSTS": "a:6666",
                "BATCH_CUSTOM1_HOSTS": "b:6666",
            },
            (1, 2, 0, 1, "modelarts_v1"),
        ),
    ],
)
def test_read_ranks(env: dict[str, str], expected: tuple[int, int, int, int, str]) -> None:
    assert brief(read_ranks(env)) == expected


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"RANK_ID": "1"}, ["RANK_ID=1", "RANK_SIZE is not set"]),
        ({"RANK_SIZE": "8"}, ["RANK_SIZE=8", "RANK_ID is not set"]),
        ({"RANK_ID": "x", "RANK_SIZE": "8"}, ["RANK_ID=x", "whole number"]),
        ({"RANK_ID": "-1", "RANK_SIZE": "8"}, ["RANK_ID=-1"]),
        ({"RANK_ID": "0", "RANK_SIZE": "0"}, ["RANK_SIZE=0", "from 1 on"]),
        ({"RANK_ID": "8", "RANK_SIZE": "8"}, ["rank 8 of 8", "RANK_ID=8", "RANK_SIZE=8"]),
        ({"RANK_ID": "0", "RANK_SIZE": "1", "DEVICE_ID": "1", "ASCEND_DEVICE_ID": "2"}, ["=1", "=2"]),
        ({"RANK_ID": "0", "RANK_SIZE": "9", "MA_NUM_HOSTS": "2"}, ["MA_NUM_HOSTS=2", "RANK_SIZE=9"]),
        ({"RANK_ID": "1", "RANK_SIZE": "8", **OMPI}, ["OMPI_COMM_WORLD_RANK=5", "RANK_ID=1"]),
        ({"RANK_ID": "0", "RANK_SIZE": "1", "RANK_TABLE_FILE": "/nowhere/t"}, ["RANK_TABLE_FILE=/nowhere/t"]),
        ({**WORKER_3, "RANK_ID": "1"}, ["RANK_ID=1", "MS_NODE_ID=3"]),
        ({**WORKER_3, "RANK_SIZE": "8"}, ["RANK_SIZE=8", "MS_WORKER_NUM=4"]),
        ({**WORKER_3, "DEVICE_ID": "1"}, ["MS_NODE_ID=3", "DEVICE_ID=1", "MA_NUM_HOSTS"]),
        ({**WORKER_3, "MS_NODE_ID": "4", "RANK_ID": "4"}, ["rank 4 of 4"]),
        ({**MSRUN}, ["MS_NODE_ID is not set", "--node_rank"]),
        ({"MS_ROLE": "MS_WORKER", "MS_NODE_ID": "0"}, ["MS_WORKER_NUM is not set"]),
        (
            {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": "0", "MS_WORKER_NUM": "2"},
            ["MS_SCHED_HOST", "MS_SCHED_PORT"],
        ),
        ({**WORKER_3, "MS_ROLE": "MS_PSERVER"}, ["MS_ROLE=MS_PSERVER", "msrun"]),
        ({"MS_WORKER_NUM": "2"}, ["MS_ROLE is not set", "MS_WORKER_NUM=2"]),
        ({"OMPI_COMM_WORLD_RANK": "1"}, ["OMPI_COMM_WORLD_SIZE is not set"]),
        ({**OMPI, "RANK_SIZE": "4"}, ["RANK_SIZE=4", "OMPI_COMM_WORLD_SIZE=8"]),
        ({**OMPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "16"}, ["OMPI_COMM_WORLD_LOCAL_SIZE=16"]),
        ({"MA_NUM_GPUS": "8"}, ["MA_NUM_GPUS=8", "MA_RUN_METHOD=msrun", "--is_distributed 0"]),
        ({"MA_NUM_GPUS": "8", "DEVICE_ID": "8"}, ["device 8", "MA_NUM_GPUS=8"]),
        ({"MA_NUM_HOSTS": "2"}, ["MA_NUM_HOSTS=2", "VC_TASK_INDEX is not set"]),
        ({**HOSTS, "MA_NUM_HOSTS": "3"}, ["MA_NUM_HOSTS=3", "w-0.job,w-1.job"]),
        ({**HOSTS, "VC_TASK_INDEX": "2"}, ["rank 2 of 2", "VC_TASK_INDEX=2"]),
        ({"DLS_TASK_INDEX": "0"}, ["DLS_TASK_NUMBER is not set"]),
        ({"DLS_TASK_NUMBER": "2"}, ["DLS_TASK_INDEX is not set"]),
        (
            {"DLS_TASK_NUMBER": "2", "BATCH_CUSTOM0_HOSTS": "a:1"},
            ["DLS_TASK_NUMBER=2", "BATCH_CUSTOM0_HOSTS"],
        ),
    ],
)
def test_half_set_and_contradicting_variables_are_named(env: dict[str, str], words: list[str]) -> None:
    with pytest.raises(RankError) as caught:
        read_ranks(env)
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("as_folder", [False, True])
def test_rank_table_file_and_folder(tmp_path: Path, as_folder: bool) -> None:
    path = tmp_path / "jobstart_hccl.json"
    path.write_text(TWO_PODS)
    env = {"RANK_ID": "3", "RANK_SIZE": "4", "RANK_TABLE_FILE": str(tmp_path if as_folder else path)}
    ranks = read_ranks(env)
    assert brief(ranks) == (3, 4, 1, 2, "rank_table")
    assert (ranks.node, ranks.local_rank, ranks.is_main) == (1, 1, False)


# What davincirun, the launcher of ModelArts' preset images, sets for its second card. Its numbers are logical: they
# count the cards that the container sees, whatever their numbers in the server ("Ascend-Powered-Engine", RTF start).
DAVINCIRUN = {
    "MA_VJ_NAME": "ma-job-1",
    "MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir",
    "MA_NUM_HOSTS": "1",
}


@pytest.mark.parametrize(
    ("variables", "card"),
    [
        ({}, 5),
        ({"DEVICE_ID": "1"}, 5),  # a launch script has counted; the table has the server's numbers
        ({"DEVICE_ID": "5"}, 5),
        ({"ASCEND_DEVICE_ID": "1", "DEVICE_ID": "1", **DAVINCIRUN}, 1),
        ({"DEVICE_ID": "1", **DAVINCIRUN}, 1),
        ({"ASCEND_DEVICE_ID": "1"}, 1),  # the same launcher in another cluster
        (DAVINCIRUN, 5),
    ],
)
def test_a_rank_tables_card(upper_cards: Path, variables: dict[str, str], card: int) -> None:
    env = {"RANK_ID": "1", "RANK_SIZE": "4", "RANK_TABLE_FILE": str(upper_cards), **variables}
    assert brief(read_ranks(env)) == (1, 4, card, 4, "rank_table")


def test_a_lone_rank_tables_card(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(v1(("a", [(0, 4, "10.0.0.4")])))
    for env in ({}, {"DEVICE_ID": "0"}, {"RANK_ID": "0", "RANK_SIZE": "1", "DEVICE_ID": "0"}):
        assert brief(read_ranks({"RANK_TABLE_FILE": str(path), **env})) == (0, 1, 4, 1, "rank_table")
    assert read_ranks({"RANK_TABLE_FILE": str(path), "ASCEND_DEVICE_ID": "0", **DAVINCIRUN}).device == 0


def test_rank_tables_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "jobstart_hccl.json"
    env = {"RANK_ID": "0", "RANK_SIZE": "8", "RANK_TABLE_FILE": str(tmp_path)}
    with pytest.raises(RankError, match="can't be read"):
        read_ranks(env)
    path.write_text(TWO_PODS)
    with pytest.raises(RankError, match=r"RANK_SIZE=8.*holds 4 device"):
        read_ranks(env)
    with pytest.raises(RankError, match=r"holds 4 devices, but RANK_ID and RANK_SIZE are not set"):
        read_ranks({"RANK_TABLE_FILE": str(path)})
    path.write_text('{"status": "initializing"}')
    with pytest.raises(RankError, match="status is 'initializing'"):
        read_ranks(env)
    path.write_text("{")
    with pytest.raises(RankError, match="not a rank table"):
        read_ranks(env)


def test_msruns_scheduler_is_no_worker() -> None:
    ranks = read_ranks({**MSRUN, "MS_ROLE": "MS_SCHED", "RANK_ID": "0", "RANK_SIZE": "4"})
    assert ranks.is_scheduler
    assert not ranks.is_main
    assert ranks.peers_at == "127.0.0.1:8118"
    assert check_ranks(ranks, 3, 4, True) == ranks
    assert read_ranks(WORKER_3).is_scheduler is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (n, True)
        for n in ("MA_JOB_DIR", "MA_VJ_NAME", "DLS_TASK_NUMBER", "BATCH_JOB_ID", "DATA_DOWNLOAD_METHOD")
    ]
    + [("HOME", False)],
)
def test_in_cloud_job(name: str, expected: bool) -> None:
    assert device_adapter.in_cloud_job({name: "x"}) is expected


def test_check_ranks() -> None:
    four = Ranks(1, 4, 1, 4, "msrun")
    assert check_ranks(four, None, None, True) == four
    assert check_ranks(four, 1, 4, True) == four
    assert check_ranks(Ranks(device=3), None, None, False) == Ranks(device=3)
    for rank, size, distributed, words in [
        (None, 8, True, ["--group_size 8", "started 4", "start 8 processes", "scripts/", "msrun"]),
        (0, None, True, ["--rank 0", "this is rank 1"]),
        (None, None, False, ["--is_distributed 0", "started 4"]),
    ]:
        with pytest.raises(RankError) as caught:
            check_ranks(four, rank, size, distributed)
        assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    with pytest.raises(RankError, match="--group_size 8"):
        check_ranks(Ranks(), None, 8, True)


def test_a_device_that_is_asked_for() -> None:
    """It is a process's own where no launcher has a word; 0 is what files say that mean the launcher's."""
    four = Ranks(1, 4, 1, 4, "msrun")
    assert check_ranks(Ranks(), None, None, True, 3).device == 3
    assert check_ranks(Ranks(), None, None, False, 3).device == 3
    for asked in (None, 0, 1):
        assert check_ranks(four, None, None, True, asked) == four
    for ranks in (four, Ranks(device=1)):
        with pytest.raises(RankError, match="--device_id 2, but the launcher .* on device 1"):
            check_ranks(ranks, None, None, True, 2)


@pytest.mark.parametrize(
    ("version", "flags", "given", "expected"),
    [
        ("2.9.0", {"avx512f"}, {}, "AVX2"),
        ("2.10.0", {"avx512f", "avx2"}, {}, "AVX2"),
        ("2.10.0", {"avx2"}, {}, None),
        ("2.8.0", {"avx512f"}, {}, None),
        ("", {"avx512f"}, {}, None),
        ("2.10.0", {"avx512f"}, {"ONEDNN_MAX_CPU_ISA": "ALL"}, "ALL"),
    ],
)
def test_onednn_is_capped_only_where_it_is_slow(
    version: str, flags: set[str], given: dict[str, str], expected: str | None
) -> None:
    env = dict(given)
    device_adapter.prepare_environment(Ranks(), env, frozenset(flags), version)
    assert env.get("ONEDNN_MAX_CPU_ISA") == expected


def test_threads_are_shared_and_the_users_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    three, many = Ranks(0, 3, 0, 3, "msrun"), Ranks(0, 16, 0, 16, "msrun")
    assert (device_adapter.cpus_per_rank(three), device_adapter.cpus_per_rank(many)) == (2, 1)

    def prepared(ranks: Ranks, env: dict[str, str], threads: int | None = None) -> str:
        device_adapter.prepare_environment(ranks, env, frozenset(), "2.8.0", threads)
        return env["OMP_NUM_THREADS"]

    assert prepared(three, {}) == "2"
    assert prepared(three, {"OMP_NUM_THREADS": "5"}) == "5"
    assert prepared(three, {"OMP_NUM_THREADS": "1"}) == "2"  # that is mindspore's own, inherited from msrun
    assert prepared(Ranks(), {"OMP_NUM_THREADS": "1"}) == "1"
    assert prepared(Ranks(), {"OMP_NUM_THREADS": "5"}, threads=3) == "3"


def test_choose_device(tmp_path: Path) -> None:
    plugins = tmp_path / "plugin"
    plugins.mkdir()

    def choose(target: str, cuda: bool = True) -> str:
        return device_adapter.choose_device(target, tmp_path, plugins, "2.8.0", lambda: cuda)

    assert (choose("auto"), choose("CPU")) == ("CPU", "CPU")
    with pytest.raises(DeviceError, match=r"no .*davinci0.*--device_target CPU"):
        choose("Ascend")
    with pytest.raises(DeviceError, match=r"mindspore 2\.8\.0 here has no GPU plugin.*--device_target CPU"):
        choose("GPU")
    with pytest.raises(DeviceError, match="expected auto, Ascend, GPU or CPU"):
        choose("TPU")
    (plugins / "libmindspore_gpu.so.11.6").touch()
    assert choose("GPU") == "GPU"
    with pytest.raises(DeviceError, match="NVIDIA driver"):
        choose("GPU", cuda=False)
    (tmp_path / "davinci_manager").touch()
    assert choose("auto") == "CPU"
    (tmp_path / "davinci0").touch()
    assert (choose("auto"), choose("Ascend")) == ("Ascend", "Ascend")


def test_importing_does_not_import_mindspore() -> None:
    code = "import sys, mindlift.model_utils.device_adapter; sys.exit('mindspore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_agree_alone_returns_the_values() -> None:
    assert device_adapter.agree(Ranks(), [1, 2**31 - 1]) == [1, 2**31 - 1]
    with pytest.raises(ValueError, match="32-bit"):
        device_adapter.agree(Ranks(), [2**31])
