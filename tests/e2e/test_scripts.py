"""Every launch script as a user runs it: real ranks on the CPU, real signals, what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mindlift.runs import manifest as checkpoint_manifest
from tests.support.programs import ROOT, Finished, environment

OURS = (
    "run ",
    "waiting for all ",
    "1440 images",
    "epoch",
    "after all",
    "validation: ",
    "continuing ",
    "checkpoint ",
    "{",
)
MEANWHILE = ("loading MindSpore, ", "train ", "evaluate: ", "preparing ", "building ", "getting ready")
NET = ("densenet22", "digits")
AS_JSON = ("--json", "true")
QUICK = tuple("--max_epoch 1 --max_steps 6 --log_interval 2 --run_eval false --json true".split())
LINES = ("--log_style", "original")


class Script:
    """A running launch script; its processes are those that have its mark in their environment."""

    def __init__(self, name: str, *arguments: object, folder: Path, **extra: str):
        folder.mkdir(exist_ok=True)
        self.logs = folder / "logs"
        self.mark = f"MARK={folder}-{time.monotonic_ns()}"
        env = environment(PYTHON=sys.executable, LOG_DIR=str(self.logs), MARK=self.mark[5:], **extra)
        del env["GLOG_v"]  # as a user has it
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["bash", str(ROOT / "scripts" / name), *map(str, arguments)],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, timeout: float = 120) -> Finished:
        out, err = self.process.communicate(timeout=timeout)
        return Finished(subprocess.CompletedProcess([], self.process.returncode, out, err))

    def alive(self, *also: str) -> list[int]:
        """Processes of this job that have also these `NAME=value` in their environment."""
        wanted, found = {self.mark, *also}, []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                values = set((folder / "environ").read_bytes().decode(errors="replace").split("\0"))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or is another user's
            if wanted <= values:
                found.append(int(folder.name))
        return found

    def wait_for(self, there: Callable[[], object]) -> None:
        deadline = time.monotonic() + 100
        while not there():
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def saved(self, runs: Path) -> bool:
        return any(checkpoint_manifest.latest(run / "checkpoints") for run in runs.glob("*-*"))


def only_ours(done: Finished) -> None:
    assert done.code == 0, done.err + done.out
    assert done.err == ""
    assert [line for line in done.out.splitlines() if not line.startswith(OURS + MEANWHILE)] == []


def printed(done: Finished) -> dict:
    """What an evaluation found."""
    return next(json.loads(line) for line in done.out.splitlines() if line.startswith('{"checkpoint"'))


def figures(done: Finished) -> dict:
    """Of it, what does not depend on times or on the order of sums."""
    return {key: printed(done)[key] for key in ("top1_correct", "top5_correct", "total", "skipped")}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def trained(place, digits) -> dict[str, tuple[Script, Finished]]:
    """Both scripts for several devices, at the same time."""
    jobs = {
        name: Script(
            f"run_distribute_train{suffix}.sh",
            2,
            devices,
            *NET,
            digits,
            *QUICK,
            *LINES,
            "--ckpt_path",
            place / name,
            folder=place / f"job_{name}",
            DEVICE_TARGET="CPU",
        )
        for name, suffix, devices in (("ascend", "", digits), ("gpu", "_gpu", "0,1"))
    }
    return {name: (job, job.end()) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def evaluated(place, digits, trained) -> dict[str, Finished]:
    """One checkpoint by all evaluation scripts: two of them at the same time with two ranks each."""
    file = trained["ascend"][1].result["checkpoint"]
    jobs = {
        name: Script(
            f"run_distribute_eval{suffix}.sh",
            2,
            devices,
            *NET,
            digits,
            file,
            "--per_batch_size",
            50,
            *AS_JSON,
            folder=place / f"eval_{name}",
            **extra,
        )
        for name, suffix, devices, extra in (
            ("ascend", "", "-", {}),
            ("gpu", "_gpu", "0,1", {"DEVICE_TARGET": "CPU"}),
        )
    }
    found = {name: job.end() for name, job in jobs.items()}
    found["one"] = Script("run_eval_cpu.sh", *NET, digits, file, *AS_JSON, folder=place / "eval_one").end()
    return found


@pytest.mark.parametrize("name", ["ascend", "gpu"])
def test_training_on_two_ranks_shows_rank_0_and_leaves_results_and_logs(trained, place, name):
    job, done = trained[name]
    only_ours(done)
    result = done.result
    assert result["steps"] == 6
    assert [line.split(",")[1] for line in done.out.splitlines() if line.startswith("epoch[")] == [
        " iter[1]",
        " iter[3]",
        " iter[5]",
    ]
    run = Path(result["run"])
    assert run.parent == place / name
    assert json.loads((run / "result.json").read_text()) == result
    assert checkpoint_manifest.latest(run / "checkpoints").step == 6
    assert sorted(path.name for path in (run / "logs").iterdir()) == ["rank_0.log", "rank_1.log"]
    assert {path.name for path in job.logs.iterdir()} == {"rank_0.log", "rank_1.log", "scheduler.log"}
    assert all(line in (job.logs / "rank_0.log").read_text() for line in done.out.splitlines())
    assert sorted(path.name for path in (place / f"job_{name}").iterdir()) == [
        "logs"
    ], "nothing else in the folder"


def test_two_jobs_at_once_are_two_clusters(trained):
    results = [done.result for _, done in trained.values()]
    assert results[0]["loss"] == results[1]["loss"], "same seed, same ranks: neither heard of the other"
    assert [job.alive() for job, _ in trained.values()] == [[], []]


@pytest.mark.heavy
def test_evaluation_counts_every_image_once_on_any_number_of_ranks(evaluated):
    for done in evaluated.values():
        only_ours(done)
    assert figures(evaluated["one"])["total"] == 357
    assert figures(evaluated["ascend"]) == figures(evaluated["gpu"]) == figures(evaluated["one"])
    assert printed(evaluated["ascend"])["loss"] == pytest.approx(printed(evaluated["one"])["loss"], rel=1e-4)


def test_training_in_one_process(place, digits):
    job = Script(
        "run_train_cpu.sh", *NET, digits, *QUICK, "--ckpt_path", place / "one", folder=place / "job_one"
    )
    done = job.end()
    only_ours(done)
    assert done.result["steps"] == 6
    assert checkpoint_manifest.latest(Path(done.result["run"]) / "checkpoints").step == 6


@pytest.fixture(scope="module")
def broken(place, digits) -> dict[str, tuple[Script, Finished, float]]:
    """A long job: rank 1 is killed after the first checkpoint, then the same command is stopped by SIGTERM."""
    runs = place / "broken"
    command = (
        "local_ranks.sh",
        2,
        ROOT / "train.py",
        "--net",
        "densenet22",
        "--data_dir",
        digits,
        "--ckpt_path",
        runs,
        "--max_epoch",
        400,
        "--ckpt_interval",
        5,
        "--log_interval",
        1,
        "--run_eval",
        "false",
    )
    found = {}
    for name in ("killed", "stopped"):
        job = Script(*command, folder=place / name)
        if name == "killed":
            job.wait_for(lambda: job.saved(runs))  # noqa: B023 - called at once
        else:
            job.wait_for(lambda: "epoch " in read(job.logs / "rank_0.log"))  # noqa: B023
        hit = job.alive("MS_NODE_ID=1") if name == "killed" else [job.process.pid]
        assert len(hit) == 1
        os.kill(hit[0], signal.SIGKILL if name == "killed" else signal.SIGTERM)
        since = time.monotonic()
        found[name] = (job, job.end(), time.monotonic() - since)
    return found


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.heavy
def test_a_killed_rank_ends_the_job_and_is_named(broken):
    job, done, seconds = broken["killed"]
    assert done.code == 128 + signal.SIGKILL
    assert seconds < 20
    last = [line for line in done.err.splitlines() if line.startswith("local_ranks.sh: ")]
    assert last == [f"local_ranks.sh: rank 1 was ended by SIGKILL; its log is {job.logs / 'rank_1.log'}"]
    assert "Traceback" not in done.err
    assert job.alive() == []


def test_the_same_command_continues_after_a_killed_rank(broken):
    done = broken["stopped"][1]
    step = int(re.search(r"^continuing from .* after step (\d+)$", done.out, re.MULTILINE)[1])
    assert step >= 5
    assert f", step {step + 1} of " in done.out
    assert ", step 1 of " not in done.out


def test_sigterm_to_the_script_ends_its_ranks(broken):
    job, done, seconds = broken["stopped"]
    assert done.code == 128 + signal.SIGTERM
    assert seconds < 25
    assert f"local_ranks.sh: stopped by SIGTERM; the ranks have ended, logs in {job.logs}" in done.err
    assert job.alive() == []


def test_sigint_while_the_ranks_start_ends_them(place, digits):
    job = Script(
        "local_ranks.sh",
        2,
        ROOT / "train.py",
        "--net",
        "densenet22",
        "--data_dir",
        digits,
        "--ckpt_path",
        place / "early",
        folder=place / "early_job",
    )
    job.wait_for(lambda: len(job.alive("MS_ROLE=MS_WORKER")) == 2)
    job.process.send_signal(signal.SIGINT)
    since = time.monotonic()
    done = job.end()
    assert done.code == 128 + signal.SIGINT
    assert time.monotonic() - since < 25
    assert "stopped by SIGINT" in done.err
    assert job.alive() == []


def test_a_rank_that_fails_at_once_ends_the_job_with_its_line(place, digits):
    job = Script(
        "run_distribute_train.sh", 2, "-", *NET, digits, "--max_epochs", 3, folder=place / "bad_option"
    )
    done = job.end()
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "--max_epochs" in done.error
    assert done.out == ""
    assert job.alive() == []


def test_a_failing_program_is_reported_with_its_log(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, time\nif os.environ['RANK_ID'] == '1': raise SystemError('broken')\nprint('here')\ntime.sleep(99)\n"
    )
    job = Script("local_ranks.sh", 2, program, folder=tmp_path / "job")
    done = job.end()
    assert done.code == 1
    assert f"local_ranks.sh: rank 1 ended with exit code 1; its log is {job.logs / 'rank_1.log'}" in done.err
    assert "SystemError: broken" in done.err
    assert job.alive() == []


@pytest.mark.heavy
def test_a_lost_scheduler_ends_the_job(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import os, time\ntime.sleep(0 if os.environ['MS_ROLE'] == 'MS_SCHED' else 99)\n")
    job = Script("local_ranks.sh", 2, program, folder=tmp_path / "job")
    done = job.end(30)
    assert done.code == 1
    assert done.err == (
        f"local_ranks.sh: the ranks' scheduler has ended; its log is {job.logs / 'scheduler.log'}\n"
    )
    assert job.alive() == []


@pytest.mark.parametrize(
    ("script", "target", "wanted"),
    [
        ("run_distribute_train.sh", "Ascend", "no /dev/davinci0"),
        ("run_distribute_eval.sh", "Ascend", "no /dev/davinci0"),
        ("run_distribute_train_gpu.sh", "GPU", "--device_target GPU"),
        ("run_distribute_eval_gpu.sh", "GPU", "--device_target GPU"),
    ],
)
def test_without_the_device_there_is_one_clear_line(digits, tmp_path, script, target, wanted):
    addresses = [{"device_id": str(i), "device_ip": f"10.0.0.{i + 1}", "rank_id": str(i)} for i in range(2)]
    table = tmp_path / "rank_table.json"
    server = {"server_id": "127.0.0.1", "device": addresses, "host_nic_ip": "reserve"}
    table.write_text(
        json.dumps({"version": "1.0", "server_count": "1", "server_list": [server], "status": "completed"})
    )
    devices = table if target == "Ascend" else "0,1"
    weights = [table] if "eval" in script else []  # any file: nothing is read
    job = Script(script, 2, devices, *NET, digits, *weights, folder=tmp_path / "job")
    done = job.end()
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert wanted in done.error
    assert done.out == ""
