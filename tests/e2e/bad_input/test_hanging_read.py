"""A read that never returns, as of a dead mount (here a FIFO without a writer): the second Ctrl-C ends every program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment

RECIPE = """{net: densenet22, dataset: imagenet, num_classes: 10, image_size: "16,16", eval_resize: 16, augment: none,
  per_batch_size: 4, lr_scheduler: cosine_annealing, lr: 0.05, max_epoch: 9, run_eval: false, num_parallel_workers: 1,
  allow_unused_classes: true}"""
PROGRAMS = {
    "train": "train.py --config_path {recipe} --data_dir {data} --ckpt_path {out}",
    "eval": "eval.py --config_path {recipe} --data_dir {data} --pretrained {weights}",
    "predict": "predict.py --ckpt_file {run} {data}/cat",
    "export": "export.py --ckpt_file {run} --class_names {data}/cat/9.jpg --file_name {out}/net",
    "to_mindrecord": "-m mindlift data to_mindrecord --data_dir {data} --out {out} --num_shards 1",
}


@pytest.fixture
def data(place, tmp_path) -> Path:
    shutil.copytree(place / "tree", tmp_path / "data")
    os.mkfifo(tmp_path / "data/cat/9.jpg")
    return tmp_path / "data"


def is_reading(process: subprocess.Popen, path: Path) -> bool:
    """Whether a thread of the process, or a child of it, waits in open(2) for the other end of a FIFO."""
    waits = "wait_for_partner"
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in [str(process.pid), *children.stdout.split()]:
        for task in Path(f"/proc/{pid}/task").glob("*/wchan"):
            if waits in task.read_text():
                return True
    return False


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_second_ctrl_c_ends_it(program, place, run, data, tmp_path):
    """One is enough for those that read in Python. mindspore makes a SIGTERM of one that comes while it compiles."""
    (tmp_path / "out").mkdir()
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    files = {"recipe": tmp_path / "recipe.yaml", "run": run, "weights": place / "only_weights.ckpt"}
    words = PROGRAMS[program].format(data=data, out=tmp_path / "out", **files).split()
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environment(), stdout=said, stderr=said
        )
    deadline = time.monotonic() + 120
    while not is_reading(process, data / "cat/9.jpg"):
        assert process.poll() is None, (tmp_path / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
    assert process.returncode in (130, -signal.SIGTERM), (tmp_path / "said").read_text()
    assert "Traceback" not in (tmp_path / "said").read_text()
