"""Trainings that loggers are told of: one of another package, by its entry point, and Weights & Biases without a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import service_packages
from tests.support.programs import ROOT, TINY, environment, run_program
from tests.unit.report.test_loggers import entry_point

# A logger as somebody else would write it; it asks its own training to end at the step that STOP_AT names.
NOTES = """
import json, os, signal


class Notes:
    def __init__(self, start):
        self.file = open(start.folder / "notes.jsonl", "a")
        self.id = start.earlier or "first"
        self.note(earlier=start.earlier, name=start.name, net=start.options["net"])

    def note(self, **values):
        self.file.write(json.dumps(values) + "\\n")
        self.file.flush()

    def log(self, values, step):
        self.note(step=step, **values)
        if str(step) == os.environ.get("STOP_AT") and "train/loss" in values:
            os.kill(os.getpid(), signal.SIGTERM)

    def image(self, name, file, step):
        assert file.is_file()
        self.note(step=step, image=name)

    def close(self):
        self.note(closed=True)
"""
WORDS = [*TINY[:4], "--max_epoch", 2, "--log_interval", 2, "--run_eval", "true", "--eval_interval", 1]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    entry_point(folder, "notes", "notes:Notes")
    (folder / "notes.py").write_text(NOTES, encoding="utf-8")
    return folder


def test_a_package_with_an_entry_point_is_told_of_a_training(site, few_digits, tmp_path):
    words = [*WORDS, "--data_dir", few_digits, "--ckpt_path", tmp_path / "out", "--loggers", "notes"]
    stopped = run_program("train.py", *words, PYTHONPATH=str(site), STOP_AT="4")
    assert stopped.code != 0
    done = run_program("train.py", *words, PYTHONPATH=str(site))
    assert done.code == 0, done.err
    run = Path(done.result["run"])
    first, *lines = [json.loads(line) for line in (run / "notes.jsonl").read_text("utf-8").splitlines()]
    assert first == {"earlier": "", "name": run.name, "net": "densenet22"}
    second = lines.index({**first, "earlier": "first"})
    assert lines[second - 1] == lines[-1] == {"closed": True}
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    losses = [(each["step"], each["loss"]) for each in records if "event" not in each]
    assert [(each["step"], each["train/loss"]) for each in lines if "train/loss" in each] == losses
    assert [step for step, _ in losses] == [2, 4, 6, 8, 10, 12]
    scores = [(each["step"], each["top1"]) for each in records if each.get("event") == "evaluation"]
    assert [(each["step"], each["evaluation/top1"]) for each in lines if "evaluation/top1" in each] == scores
    assert [step for step, _ in scores] == [6, 12]
    assert {each["step"] for each in lines if "image" in each} == {6, 12}


def test_a_logger_that_is_not_installed_is_said_before_anything_is_made(few_digits, tmp_path):
    words = [*WORDS, "--data_dir", few_digits, "--ckpt_path", tmp_path / "out", "--loggers", "notes"]
    done = run_program("train.py", *words)
    assert done.code == 2
    assert done.error.startswith("error: --loggers notes: there is no such logger")
    assert not (tmp_path / "out").exists()


# The file is a log as LevelDB writes it (github.com/google/leveldb, doc/log_format.md) behind 7 bytes of its own.
READ = """
import json, struct, sys
from wandb.proto import wandb_internal_pb2

BLOCK = 32768


def records(data):
    at, whole = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # the last or only part
            yield whole
            whole = b""


rows, config = [], {}
data = open(sys.argv[1], "rb").read()
assert data.startswith(b":W&B")
for text in records(data):
    record = wandb_internal_pb2.Record()
    record.ParseFromString(text)
    if record.WhichOneof("record_type") == "history":
        rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item})
    if record.WhichOneof("record_type") == "run":
        config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
        config["_id"], config["_project"] = record.run.run_id, record.run.project
print(json.dumps([rows, config]))
"""


@pytest.mark.heavy
@pytest.mark.skipif(not service_packages.has("wandb"), reason=service_packages.__doc__ or "")
def test_weights_and_biases_without_a_network(few_digits, tmp_path):
    """Every figure of metrics.jsonl is in the file that `wandb sync` would send, read by its own messages."""
    words = [*WORDS, "--data_dir", few_digits, "--ckpt_path", tmp_path / "out", "--loggers", "wandb"]
    # behind the environment's own packages, so that NumPy and others stay what they are
    code = f"import sys; sys.path.append({str(service_packages.FOLDER)!r}); sys.argv = sys.argv[1:]; import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "train.py"), *map(str, words)],
        cwd=tmp_path,
        env=environment(WANDB_MODE="offline", HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = next((tmp_path / "out").iterdir())
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    found = subprocess.run(
        [sys.executable, "-c", READ, str(file)],
        env={**os.environ, "PYTHONPATH": str(service_packages.FOLDER)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, config = json.loads(found.stdout.strip().splitlines()[-1])
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    losses = [(each["step"], each["loss"]) for each in records if "event" not in each]
    assert [(row["_step"], row["train/loss"]) for row in rows if "train/loss" in row] == losses
    scores = [each["top1"] for each in records if each.get("event") == "evaluation"]
    assert [row["evaluation/top1"] for row in rows if "evaluation/top1" in row] == scores
    assert [row["_step"] for row in rows if "evaluation/mistake_0/path" in row] == [6, 12]
    assert config["net"] == "densenet22"
    assert config["_project"] == "mindlift"
    assert config["_id"] == json.loads((run / "loggers.json").read_text("utf-8"))["wandb"]
