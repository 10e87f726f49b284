"""What is started for each launcher. Expected: MindSpore's "Dynamic Cluster Startup" (MS_*) and "msrun Launching", PyTorch's
"torchrun (Elastic Launch)"."""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local import commands
from mindlift.cloud.providers.local.interpreter import Interpreter

PYTHON = Interpreter("/v/bin/python", ("/v/bin",), (3, 9, 1), (), (), frozenset(["mindspore"]))
WITH_TORCH = Interpreter("/v/bin/python", ("/v/bin",), (3, 9, 1), (), (), frozenset(["torch"]))


def request(**changes: object) -> Request:
    return Request("modelarts-v2", "job", "obs://b/code/x/", "train.py", **{"is_own": False, **changes})  # type: ignore[arg-type]


def test_the_variables_of_a_rank_of_mindspore():
    assert commands.worker(3, 8, 8118) == {
        "MS_ROLE": "MS_WORKER",
        "MS_WORKER_NUM": "8",
        "MS_NODE_ID": "3",
        "MS_SCHED_HOST": "127.0.0.1",
        "MS_SCHED_PORT": "8118",
    }
    assert commands.scheduler(8, 8118)["MS_ROLE"] == "MS_SCHED"
    assert "MS_NODE_ID" not in commands.scheduler(8, 8118)


@pytest.mark.parametrize(
    ("way", "changes", "python", "expected"),
    [
        ("rank_table", {"cards": 2}, PYTHON, True),
        ("rank_table", {"cards": 1}, PYTHON, True),  # init() of a single rank
        ("rank_table", {"cards": 2}, WITH_TORCH, False),
        ("rank_table", {"cards": 1, "is_own": True}, PYTHON, False),
        ("rank_table", {"cards": 2, "is_own": True}, PYTHON, True),
        ("msrun", {"cards": 8}, PYTHON, False),  # has its own
        ("msrun", {"cards": 4, "nodes": 2}, PYTHON, True),
        ("torchrun", {"cards": 4, "nodes": 2}, WITH_TORCH, False),
        ("none", {"cards": 8}, PYTHON, False),
    ],
)
def test_who_needs_a_place_to_meet(way, changes, python, expected):
    assert commands.needs_scheduler(way, request(**changes), python) is expected


def test_torchrun():
    words = commands.torchrun(request(nodes=2, cards=4), WITH_TORCH, 1, 29500, "/logs")
    assert words[:3] == ["/v/bin/python", "-m", "torch.distributed.run"]
    expected = {"--nnodes=2", "--nproc_per_node=4", "--node_rank=1", "--master_addr=127.0.0.1"}
    assert {*expected, "--master_port=29500", "--log_dir=/logs"} <= {*words}


def test_msrun(tmp_path):
    (tmp_path / "msrun").touch()
    python = Interpreter(f"{tmp_path}/python", (str(tmp_path),), (3, 9, 1), (), ())
    words = commands.msrun(request(cards=8), python, 0, 8118, "/logs")
    assert words[0] == f"{tmp_path}/msrun"
    assert {"--worker_num=8", "--local_worker_num=8", "--master_addr=127.0.0.1", "--node_rank=0"} <= {*words}
    with pytest.raises(JobError, match=r"^launcher: msrun is not there beside /v/bin/python"):
        commands.msrun(request(), PYTHON, 0, 8118, "/logs")


def test_torchrun_without_torch():
    with pytest.raises(
        JobError, match=r"^launcher: torchrun needs PyTorch, which /v/bin/python can't import$"
    ):
        commands.torchrun(request(), PYTHON, 0, 29500, "/logs")
