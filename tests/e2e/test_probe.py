"""`submit.py probe` against the doubles: it changes nothing, and its file names nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mindlift.cloud.providers.modelarts.client import ModelArts
from mindlift.cloud.providers.modelarts.session import Session
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.openi import OpenIDouble
from tests.doubles.records import load
from tests.doubles.runner import ScriptedRunner
from tests.support.modelarts_jobs import PACKAGE, job_of
from tests.support.openi_jobs import client_of, job_at
from tests.support.programs import run_program
from tests.support.servers import free_port

LOG = ["password of the user", "epoch[0] loss 0.5"]
CHANGES = ("/actions", "/stop", "/create", "/reschedule", "/training-jobs")


def records_of(path: Path, *private: str) -> list[dict]:
    text = path.read_text(encoding="utf-8")
    assert [word for word in (*private, *LOG) if word in text] == []
    found = yaml.safe_load(text)["records"]
    assert {record["seen"] for record in found} == {"service"}
    return found


def unchanged(double) -> bool:
    return not [call for call in double.requests if call.method != "GET" and call.path.endswith(CHANGES)]


@pytest.fixture
def env(tmp_path, monkeypatch) -> dict[str, str]:
    found = {
        "HOME": str(tmp_path),
        "HUAWEICLOUD_SDK_AK": ModelArtsDouble.access_key,
        "OPENI_TOKEN": OpenIDouble.token,
        "HUAWEICLOUD_SDK_SK": ModelArtsDouble.secret_key,
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def test_everything_that_is_asked_of_modelarts(env, tmp_path):
    with ModelArtsDouble(ScriptedRunner()) as double:
        job = job_of(double, name="my-secret-project")
        handle = ModelArts(Session(job)).create(job, PACKAGE)
        double.runner.logs[handle.id, 0] = LOG
        double.requests.clear()
        path = tmp_path / "probe.yaml"
        done = run_program(
            "cloud/submit.py",
            "probe",
            "--provider",
            "modelarts",
            "--endpoint",
            double.endpoint,
            "--project_id",
            double.project_id,
            "--flavor",
            "modelarts.kat1.8xlarge",
            "--engine",
            ENGINE,
            "--job",
            handle,
            "--out",
            path,
            **env,
        )
        assert done.code == 0, done.err + done.out
        assert unchanged(double)
    assert "log without a mark, from new to old: answered" in done.out
    found = records_of(path, handle.id, double.project_id, "my-secret-project", "bucket", double.access_key)
    calls = {record["call"] for record in found}
    known = {record.call for record in load("modelarts").records}
    asks = {call for call in known if call.startswith("GET /v2") or call.endswith("training-job-searches")}
    assert asks - calls == set(), "a call that the client makes and the probe does not"
    log = next(record for record in found if record["call"].endswith("/logs/{task_id}"))
    assert log["body"]["content"] == "line 1\nline 2\n"
    assert log["source"].endswith("asked with training_job_id, task_id, base_line=0, lines=5, order=asc")
    flavors = next(record for record in found if record["call"].endswith("training-job-flavors"))
    assert flavors["body"]["flavors"][0]["flavor_id"].startswith(
        "modelarts."
    ), "names of flavors are the service's"


@pytest.mark.parametrize("cluster", ["C2Net", "OpenICloudbrainTwo"])
def test_everything_that_is_asked_of_openi(env, tmp_path, cluster):
    with OpenIDouble(ScriptedRunner(), results_url=f"{tmp_path}/results/") as double:
        job = job_at(double, name="my-secret-project", cluster=cluster)
        handle = client_of(job).create(job, PACKAGE)
        double.runner.logs[handle.id, 0] = LOG
        double.requests.clear()
        path = tmp_path / "probe.yaml"
        done = run_program(
            "cloud/submit.py",
            "probe",
            "--provider",
            "openi",
            "--endpoint",
            double.endpoint,
            "--repo",
            job.repo,
            "--image",
            job.image,
            "--branch",
            job.branch,
            "--cluster",
            cluster,
            "--job",
            handle,
            "--out",
            path,
            **env,
        )
        assert done.code == 0, done.err + done.out
        assert unchanged(double)
    found = records_of(path, "my-secret-project", "me/code", double.token)
    calls = {record["call"] for record in found}
    known = {record.call for record in load("openi").records if record.call.startswith("GET")}
    not_asked = {"GET /api/v1/ai_task/output/download", "GET /api/v1/dataset", "GET /api/v1/aimodel"}
    not_asked |= {"GET /api/v1/ai_task/creation/image_by_spec"} if cluster != "C2Net" else set()
    assert known - calls == not_asked, "files, and data sets and models that this job does not name"


@pytest.mark.parametrize("node", ["-1", "1"])
def test_a_node_that_the_job_has_not(env, node):
    """It would wait for its log for ever."""
    with ModelArtsDouble(ScriptedRunner()) as double:
        handle = ModelArts(Session(job_of(double))).create(job_of(double), PACKAGE)
        words = ["logs", handle, "--node", node, "--endpoint", double.endpoint]
        done = run_program("cloud/submit.py", *words, **env)
    assert done.code == 2
    assert f"--node {node}: {handle} has 1, numbered from 0" in done.error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--provider", "local"], "asks no service"),
        (["--provider", "openi", "--job", "modelarts://r/p/j"], "is a job of modelarts"),
        (["--provider", "openi", "--job", "17"], "is not the handle of a job"),
        (["--provider", "modelarts"], "no region"),
    ],
)
def test_what_a_probe_refuses(env, tmp_path, words, says):
    done = run_program("cloud/submit.py", "probe", *words, "--out", tmp_path / "probe.yaml", **env)
    assert done.code in (1, 2)
    assert says in done.err + done.out
    assert "Traceback" not in done.err


def test_a_service_that_is_away_leaves_no_file_and_no_wait_beyond_its_timeout(env, tmp_path):
    path, away = tmp_path / "probe.yaml", f"http://127.0.0.1:{free_port()}"
    done = run_program(
        "cloud/submit.py",
        "probe",
        "--provider",
        "openi",
        "--repo",
        "me/code",
        "--endpoint",
        away,
        "--out",
        path,
        **env,
    )
    assert done.code == 1
    assert "openi answered nothing, so no file was written" in done.error
    assert "token, account, specs, branches: no answer" in done.out
    assert not path.exists()
    for command in ("wait", "logs"):
        words = ["openi://me/code/1", "--endpoint", away, "--timeout", "1"]
        done = run_program("cloud/submit.py", command, *words, timeout=60, **env)
        assert done.code == 1
        assert "does not answer" in done.error
