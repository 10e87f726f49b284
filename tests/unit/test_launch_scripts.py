"""The launch scripts with real processes: cards, exit codes, usage and mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT


@pytest.mark.parametrize("with_table", [True, False])
def test_the_launch_script_leaves_cards_to_the_rank_table(
    tmp_path: Path, upper_cards: Path, with_table: bool
) -> None:
    """Instead of train.py, each rank says where it is; without a table, ranks count the cards themselves."""
    python = tmp_path / "python"
    say = "import os; from mindlift.model_utils import ranks; print(os.environ.get('DEVICE_ID'), ranks.read_ranks().device)"
    python.write_text(f'#!/bin/sh\n[ "$1" != -c ] && set -- -c "{say}"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "data").mkdir()
    done = run_script(
        "run_distribute_train.sh",
        *("4", str(upper_cards) if with_table else "-", "densenet121", "imagenet", str(tmp_path / "data")),
        PYTHON=str(python),
        LOG_DIR=str(tmp_path / "logs"),
        PYTHONPATH=f"{ROOT}/src",
        DEVICE_ID="0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [(tmp_path / f"logs/rank_{rank}.log").read_text().strip() for rank in range(4)]
    assert said == (
        [f"None {4 + rank}" for rank in range(4)] if with_table else [f"{rank} {rank}" for rank in range(4)]
    )


WORKER = """
import json, os, sys
from mindlift.model_utils import device_adapter
ranks = device_adapter.read_ranks()
device_adapter.prepare_environment(ranks)
if os.environ.get("FAIL_AT") == str(ranks.rank):
    sys.exit("no such data" if os.environ["FAIL_WITH"] == "1" else int(os.environ["FAIL_WITH"]))
device_adapter.connect(ranks, "CPU", 1)
values = [7, 2**31 - 1, -5, 65536] if ranks.is_main else [1, 2, 3, 4]
print("FOUND", json.dumps([ranks.rank, ranks.size, device_adapter.agree(ranks, values)]), flush=True)
"""


def run_script(
    name: str, *args: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key not in ("DEVICE_TARGET", "LOG_DIR")}
    command = ["bash", str(ROOT / "scripts" / name), *args]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**clean, "PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


@pytest.mark.heavy
def test_two_real_ranks_connect_and_agree(tmp_path: Path, worker: Path) -> None:
    pytest.importorskip("mindspore")
    logs = tmp_path / "logs"
    done = run_script(
        "local_ranks.sh", "2", str(worker), cwd=tmp_path, LOG_DIR=str(logs), PYTHONPATH=f"{ROOT}/src"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [7, 2**31 - 1, -5, 65536]
    for rank in (0, 1):
        lines = (logs / f"rank_{rank}.log").read_text().splitlines()
        found = [json.loads(line[6:]) for line in lines if line.startswith("FOUND ")]
        assert found == [[rank, 2, expected]]
    assert f"FOUND {json.dumps([0, 2, expected])}" in done.stdout
    assert "FOUND [1" not in done.stdout
    assert "FOUND" not in (logs / "scheduler.log").read_text()


def test_the_code_of_the_failing_rank_comes_back(tmp_path: Path, worker: Path) -> None:
    pytest.importorskip("mindspore")
    env = {"FAIL_AT": "1", "FAIL_WITH": "2", "LOG_DIR": str(tmp_path / "logs"), "PYTHONPATH": f"{ROOT}/src"}
    done = run_script("local_ranks.sh", "2", str(worker), cwd=tmp_path, **env)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"rank 1 ended with exit code 2; its log is {tmp_path}/logs/rank_1.log" in done.stderr


NAMES = {
    "run_distribute_train.sh": "DEVICE_NUM RANK_TABLE NET DATASET DATA [CKPT]",
    "run_distribute_eval.sh": "DEVICE_NUM RANK_TABLE NET DATASET DATA CKPT",
    "run_distribute_train_gpu.sh": "DEVICE_NUM VISIBLE_DEVICES NET DATASET DATA [PRETRAINED]",
    "run_distribute_eval_gpu.sh": "DEVICE_NUM VISIBLE_DEVICES NET DATASET DATA CKPT",
    "run_train_cpu.sh": "NET DATASET DATA [CKPT]",
    "run_eval_cpu.sh": "NET DATASET DATA CKPT",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("extra", [0, 1])
def test_scripts_show_their_usage(name: str, extra: int) -> None:
    least = sum(not word.startswith("[") for word in NAMES[name].split())
    count = least - 1 if extra == 0 else len(NAMES[name].split()) + 1
    done = run_script(name, *["x"] * count, "--lr", "0.1")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert NAMES[name] in done.stderr


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("run_train_cpu.sh", ["n", "d", "/no/data"], "DATA '/no/data' does not exist"),
        ("run_eval_cpu.sh", ["n", "d", ".", "/no/ckpt"], "CKPT '/no/ckpt' does not exist"),
        ("run_distribute_train.sh", ["8", "/no/table", "n", "d", "."], "RANK_TABLE '/no/table'"),
        ("run_distribute_train.sh", ["x", "-", "n", "d", "."], "DEVICE_NUM 'x'"),
        ("run_distribute_train.sh", ["2", "-", "n", "d", "/no/data", "--lr", "1"], "DATA '/no/data'"),
        ("run_distribute_eval.sh", ["2", "-", "n", "d", ".", "/no/ckpt"], "CKPT '/no/ckpt'"),
        ("run_distribute_train_gpu.sh", ["2", "a,b", "n", "d", "."], "VISIBLE_DEVICES 'a,b'"),
        ("run_distribute_eval_gpu.sh", ["2", "0,1", "n", "d", "/no/data", "."], "DATA '/no/data'"),
        ("local_ranks.sh", ["2", "/no/script.py"], "SCRIPT '/no/script.py'"),
        ("local_ranks.sh", ["0", "/no/script.py"], "N '0'"),
    ],
)
def test_scripts_say_mistakes_in_one_line(name: str, args: list[str], message: str) -> None:
    done = run_script(name, *args)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert message in done.stderr
