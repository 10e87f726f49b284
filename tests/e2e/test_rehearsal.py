"""cloud/submit.py --provider local: real processes in the contract of each platform, results in a real MinIO."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mindlift.cloud.providers.local import keeper
from tests.support.home import Home, wait_for
from tests.support.programs import ROOT, check_evaluation, environment, run_program
from tests.support.servers import s3_client

SHORT = ["--net", "densenet22", "--dataset", "digits", "--cards", "2", "--recipe"]
QUICK = ["max_epoch=1", "log_interval=1", "run_eval=true"]
EPOCHS = 40  # of the job that is killed: 120 steps, long enough to be hit after its first checkpoint
PLATFORMS = ["modelarts-v1", "modelarts-v2", "openi-qizhi", "openi-c2net"]


def accuracy(run: Path) -> tuple[float, int]:
    result = json.loads((run / "result.json").read_text())
    return result["top1"], result["total"]


@pytest.mark.heavy
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_job_on_each_platform(home, few_digits, platform):
    before = set(ROOT.iterdir())
    done = home.run(
        "--config",
        "",
        *home.common,
        *SHORT,
        *QUICK,
        "--platform",
        platform,
        "--data_url",
        few_digits,
        "--wait",
        "--out",
        home.folder / "fetched",
    )
    assert done.code == 0, done.err + done.out
    handle, *lines = done.out.strip().splitlines()
    run = Path(lines[-1])
    assert any(line.startswith("epoch 1 of ") for line in lines)
    assert "job running" in done.err
    assert "job succeeded" in done.err
    status = home.status(handle)
    assert (status["phase"], status["cards"], status["restarts"]) == ("succeeded", 2, 0)

    check_evaluation(run, few_digits, home.env)
    assert (run / "logs/platform_node_0.log").read_text().splitlines()[-1].endswith("job succeeded")

    assert set(ROOT.iterdir()) == before, "nothing is written beside the job"
    assert {path.name for path in home.folder.iterdir()} <= {"rehearsals", "fetched", ".cache", ".config"}
    job = home.job(handle)
    assert not job.node(0).exists(), "containers go with their job"
    ranks = sorted(path.name for path in (job.root / "logs/worker-0").glob("*proc-rank*"))
    assert ranks == [f"{job.id}-proc-rank-{n}-device-{n}.txt" for n in range(2)]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "more",
    [
        ["--launcher", "msrun"],
        ["--nodes", "2", "--cards", "1"],
        ["--access", "env"],
        ["--access", "direct"],
        ["--isolation", "mapping"],
    ],
)
def test_other_ways_to_run(home, few_digits, more):
    done = home.run(
        "submit",
        *home.common,
        *SHORT,
        *QUICK,
        "--data_url",
        few_digits,
        *more,
        "--wait",
        "--out",
        home.folder / "x",
    )
    assert done.code == 0, done.err + done.out
    assert "2 ranks" in done.out
    assert accuracy(Path(done.out.strip().splitlines()[-1]))[1] == 83


def weights(home: Home, prefix: str) -> dict[str, np.ndarray]:
    from mindlift.runs import checkpoint

    client, key = (
        s3_client(home.store),
        max(key for key in home.keys(prefix) if key.endswith(f"-{EPOCHS}_3.ckpt")),
    )
    path = home.folder / key.replace("/", "-")
    path.write_bytes(client.get_object(Bucket=home.bucket, Key=key)["Body"].read())
    return {name: value.asnumpy() for name, value in checkpoint.read(path).items()}


@pytest.mark.heavy
@pytest.mark.parametrize("restart", ["in_place", "reschedule"])
def test_a_killed_rank_is_survived(home, few_digits, restart):
    job = [
        *SHORT,
        f"max_epoch={EPOCHS}",
        "ckpt_interval=5",
        "log_interval=50",
        "run_eval=false",
        "--data_url",
        few_digits,
    ]
    whole = home.submit(*job, "--train_url", f"obs://{home.bucket}/whole/")
    assert home.run("wait", whole).code == 0
    handle = home.submit(*job, "--retries", 1, "--restart", restart)
    folder = home.job(handle)
    wait_for(lambda: any(key.endswith(".jsonl") and "checkpoints" in key for key in home.keys("run/")))
    victim = random.choice(folder.processes()[1:3])
    os.kill(victim.pid, signal.SIGKILL)
    assert home.run("wait", handle).code == 0
    status = home.status(handle)
    assert status["restarts"] == 1
    log = home.run("logs", handle).out
    assert "was ended by SIGKILL; restart 1 of 1" in log
    assert "continuing from" in log
    assert len({key.split("/")[1] for key in home.keys("run/")}) == 1, "one run"
    expected, found = weights(home, "whole/"), weights(home, "run/")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.heavy
def test_the_launchers_rule(home, few_digits):
    """A failed rank ends the others within the grace, the job fails, and says why; submitted again it goes on."""
    handle = home.submit(
        *SHORT, "max_epoch=200", "ckpt_interval=2", "log_interval=1", "--data_url", few_digits
    )
    folder = home.job(handle)
    wait_for(lambda: any("epoch 2 of " in line for line in folder.log_lines(0)))
    others = folder.processes()
    os.kill(others[2].pid, signal.SIGKILL)
    done = home.run("wait", handle)
    assert done.code == 1
    assert "rank 1 was ended by SIGKILL" in done.err
    assert all(process.is_gone() for process in others)
    again = home.submit(
        *SHORT, "max_epoch=200", "ckpt_interval=2", "log_interval=1", "max_steps=12", "--data_url", few_digits
    )
    wait_for(lambda: home.job(again).state().is_final)
    assert "continuing from" in home.run("logs", again).out


@pytest.mark.heavy
def test_detach_follow_cancel(home, few_digits):
    process = home.start(
        "submit", *home.common, *SHORT, "max_epoch=400", "log_interval=1", "--data_url", few_digits, "--wait"
    )
    said = home.folder / "said"
    wait_for(lambda: "epoch 1 of " in said.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    handle, *seen = said.read_text().splitlines()
    assert process.returncode == 130
    assert (
        f"detached; the job keeps running. Follow it again with: python cloud/submit.py logs -f {handle}"
        in err
    )
    assert home.status(handle)["phase"] == "running"

    assert home.run("wait", handle, "--timeout", 1).code == 3
    follower = home.start("logs", "-f", handle, "--timeout", 4)
    _, err = follower.communicate(timeout=60)
    assert follower.returncode == 3, err
    seen += said.read_text().splitlines()
    assert len(seen) > 10
    assert seen == home.job(handle).log_lines(0)[: len(seen)]

    listed = json.loads(home.run("list", "--provider", "local", "--state", "running", "--json").out)
    assert [item["handle"] for item in listed] == [handle]
    taken = home.run("submit", *home.common, *SHORT, "max_epoch=1")
    assert taken.code == 2
    assert f"train_url: obs://{home.bucket}/run/ is in use by {handle}" in taken.error
    started = time.monotonic()
    assert home.run("cancel", handle).code == 0
    assert home.run("wait", handle).code == 1
    assert time.monotonic() - started < 40
    assert home.status(handle)["phase"] == "stopped"
    again = home.run("cancel", handle)
    assert (again.code, again.out.strip()) == (0, f"{handle} stopped")
    fetched = home.run("fetch", handle, "--out", home.folder / "fetched")
    assert fetched.code == 0, fetched.err
    assert list(Path(fetched.out.strip()).glob("checkpoints/*.ckpt")), "SIGTERM left time to save"
    bare = home.run("fetch", handle, "--none", "--out", home.folder / "bare")
    assert bare.code == 0, bare.err
    assert (Path(bare.out.strip()) / "metrics.jsonl").exists()
    assert not list(home.folder.glob("bare/**/*.ckpt"))
    page = home.folder / "page.html"
    command = [sys.executable, "-m", "mindlift", "report", handle, "--out", str(page)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**home.env), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "densenet22 on digits" in page.read_text()


def test_a_killed_platform_leaves_nothing_running(home, few_digits):
    handle = home.submit(*SHORT, "max_epoch=400", "log_interval=1", "--data_url", few_digits)
    folder = home.job(handle)
    wait_for(lambda: any("epoch 1 of " in line for line in folder.log_lines(0)))
    processes = folder.processes()
    os.kill(processes[0].pid, signal.SIGKILL)
    wait_for(lambda: processes[0].is_gone())
    status = home.status(handle)
    assert status["phase"] == "failed"
    assert "was killed" in status["reason"]
    wait_for(lambda: all(process.is_gone() for process in processes), 10)


@pytest.mark.heavy
def test_max_hours_ends_a_job(home, few_digits):
    handle = home.submit(*SHORT, "max_epoch=400", "--max_hours", 0.003, "--data_url", few_digits)
    assert home.run("wait", handle).code == 1
    assert "ended after 0.003 hours" in home.status(handle)["reason"]


def test_secrets_reach_the_job_and_nothing_else(home, few_digits, tmp_path):
    (tmp_path / "secret").write_text("hush-hush-1")
    words = [
        *SHORT,
        "max_steps=1",
        "--cards",  # one rank shows it
        "1",
        "--data_url",
        few_digits,
        "--secrets",
        "MY_TOKEN=env:MINE",
        f"OTHER=file:{tmp_path / 'secret'}",
    ]
    plan = home.run("plan", *home.common, *words, MINE="hush-hush-2")
    assert plan.code == 0, plan.err + plan.out
    assert "MY_TOKEN=***" in plan.out
    handle = home.submit(*words, MINE="hush-hush-2")
    folder = home.job(handle)
    wait_for(lambda: len(folder.processes()) > 1)
    variables = Path(f"/proc/{folder.processes()[1].pid}/environ").read_bytes()
    assert b"MY_TOKEN=hush-hush-2\0" in variables
    assert b"OTHER=hush-hush-1\0" in variables
    home.run("wait", handle)
    written = b"".join(path.read_bytes() for path in folder.root.rglob("*") if path.is_file())
    assert b"hush-hush" not in written + (plan.out + plan.err).encode()


@pytest.mark.heavy
def test_a_store_of_its_own_comes_and_goes(minio, few_digits, tmp_path):
    env = {
        "HOME": str(tmp_path),
        "MINDLIFT_REHEARSALS": str(tmp_path / "r"),
        "MINDLIFT_CACHE": "",
        "MINIO_BINARY": str(keeper.find_minio()),
    }
    done = run_program(
        "cloud/submit.py",
        "--provider",
        "local",
        "--allow_dirty",
        "true",
        *SHORT,
        "max_steps=2",
        "run_eval=false",
        "--data_url",
        few_digits,
        "--wait",
        "--out",
        tmp_path / "fetched",
        **env,
    )
    assert done.code == 0, done.err + done.out
    assert (tmp_path / "r/store").stat().st_mode & 0o077 == 0, "it holds keys"
    wait_for(lambda: not (tmp_path / "r/store/store.json").exists(), 30)
    again = run_program(
        "cloud/submit.py", "fetch", done.out.splitlines()[0], "--out", tmp_path / "more", **env
    )
    assert again.code == 0, again.err
    note = json.loads((tmp_path / "r/store/store.json").read_text())
    os.kill(note["keeper"]["pid"], signal.SIGKILL)
    assert (
        run_program(
            "cloud/submit.py", "fetch", done.out.splitlines()[0], "--out", tmp_path / "third", **env
        ).code
        == 0
    )
    wait_for(lambda: keeper.Process(**note["server"]).is_gone(), 30)
    wait_for(lambda: not (tmp_path / "r/store/store.json").exists(), 30)


@pytest.mark.heavy
@pytest.mark.parametrize("platform", PLATFORMS)
def test_eight_cards(home, few_digits, platform):
    done = home.run(
        "submit",
        *home.common,
        *SHORT,
        *QUICK,
        "per_batch_size=8",
        "--cards",
        "8",
        "--platform",
        platform,
        "--data_url",
        few_digits,
        "--wait",
        "--out",
        home.folder / "fetched",
        timeout=900,
    )
    assert done.code == 0, done.err + done.out
    assert "8 ranks" in done.out
    assert accuracy(Path(done.out.strip().splitlines()[-1]))[1] == 83


@pytest.mark.skipif(
    importlib.util.find_spec("mindcv") is None, reason="mindcv is not installed (pip install mindcv)"
)
@pytest.mark.heavy
def test_a_job_with_a_network_of_mindcv(home, few_digits):
    """Planned, then rehearsed on two ranks from one bucket to another; its weights are evaluated here."""
    words = [
        *home.common,
        "--net",
        "mindcv:resnet18",
        "--dataset",
        "digits",
        "--cards",
        "2",
        "--recipe",
        *QUICK,
    ]
    words += ["--platform", "modelarts-v2", "--data_url", few_digits]
    planned = home.run("plan", "--config", "", *words)
    assert planned.code == 0, planned.err
    assert "mindcv:resnet18" in planned.out
    done = home.run("--config", "", *words, "--wait", "--out", home.folder / "fetched")
    assert done.code == 0, done.err + done.out
    handle, *lines = done.out.strip().splitlines()
    run = Path(lines[-1])
    status = home.status(handle)
    assert (status["phase"], status["cards"], status["restarts"]) == ("succeeded", 2, 0)
    words = ["--dataset", "digits", "--data_dir", few_digits, "--pretrained", run]
    evaluated = run_program("eval.py", *words, **home.env)
    assert evaluated.code == 0, evaluated.err
    assert evaluated.result["net"] == "mindcv:resnet18"
    assert (evaluated.result["top1"], evaluated.result["total"]) == accuracy(run)
    assert accuracy(run)[1] == 83
