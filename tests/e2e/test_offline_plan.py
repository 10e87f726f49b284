"""`plan --offline`: every check that needs no service, and not one connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.programs import Finished, run_program

# what Python imports at its start: a connection of any kind ends the process
NO_SOCKETS = """import socket, sys
def refused(*given):
    sys.stderr.write(f"a connection was opened: {given}\\n"); sys.stderr.flush()
    import os; os._exit(99)
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refused)
socket.getaddrinfo = socket.create_connection = refused
"""
MODELARTS = {
    "provider": "modelarts",
    "region": "cn-north-4",
    "name": "job-1",
    "cards": 8,
    "flavor": "modelarts.kat1.8xlarge",
    "engine": "Ascend-Powered-Engine/mindspore_2.3.0",
    "train_url": "obs://bucket/run/",
    "data_url": "obs://bucket/data/",
    "net": "densenet121",
    "dataset": "imagenet",
    "allow_dirty": True,
}
OPENI = {
    "provider": "openi",
    "name": "job-1",
    "repo": "me/code",
    "branch": "main",
    "image": "mindspore",
    "cards": 1,
    "net": "densenet100",
    "dataset": "digits",
    "allow_dirty": True,
}


@pytest.fixture
def plan(tmp_path):
    """Plans a job offline, in a process that can't open a connection."""
    (tmp_path / "sockets").mkdir()
    (tmp_path / "sockets/sitecustomize.py").write_text(NO_SOCKETS)

    def run(job: dict, *words: str) -> Finished:
        file = Path(tmp_path / "job.yaml")
        file.write_text(json.dumps(job))
        env = {
            "HOME": str(tmp_path),
            "PYTHONPATH": str(tmp_path / "sockets"),
            "OPENI_TOKEN": "0" * 40,
            "HUAWEICLOUD_SDK_AK": "ak",
            "HUAWEICLOUD_SDK_SK": "sk-hush",
        }
        return run_program("cloud/submit.py", "plan", "--offline", "--config", file, *words, **env)

    return run


@pytest.mark.parametrize("job", [MODELARTS, OPENI], ids=["modelarts", "openi"])
def test_a_good_job_passes_without_a_connection(plan, job):
    done = plan(job)
    assert (done.code, done.err) == (0, ""), done.out + done.err
    assert "FAILED" not in done.out


BAD = {  # the job, its changes; the check that fails, what it says
    # API reference of Open Telekom Cloud, CreateTrainingJob, and its list of codes; huaweicloudsdkmodelarts 3.1.219
    "cards of a flavor": (
        MODELARTS,
        {"cards": 16},
        "flavor",
        "16 cards asked of modelarts.kat1.8xlarge, which has 8",
    ),
    "no engine": (MODELARTS, {"engine": ""}, "engine", "not set"),
    "no flavor": (MODELARTS, {"flavor": ""}, "flavor", "neither flavor nor pool_id"),
    "description": (MODELARTS, {"description": "x" * 300}, "request", "description"),
    "a variable of the platform": (MODELARTS, {"environment": {"MA_JOB_DIR": "x"}}, "request", "MA_"),
    "a long value": (MODELARTS, {"environment": {"A": "x" * 5000}}, "request", "4096"),
    "an image's form": (MODELARTS, {"image": "bad image", "engine": ""}, "image", "organisation"),
    "a parameter twice": (MODELARTS, {"recipe": {"net": "resnet50"}}, "recipe", "net"),
    "the place of results": (MODELARTS, {"recipe": {"train_url": "obs://b/x/"}}, "recipe", "train_url"),
    "OpenI's names": (OPENI, {"name": "Job_With_Capitals"}, "name", "lower-case"),
    "OpenI's description": (OPENI, {"description": "数" * 400}, "description", "1000"),
    "OpenI's time": (OPENI, {"max_hours": 2}, "max_hours", "ends no training job by time"),
    "OpenI's spec": (OPENI, {"spec": "347"}, "spec", "8 x Ascend 910"),
    "OpenI's cards": (OPENI, {"spec": "8 x Ascend 910"}, "spec", "1 cards asked"),
    "OpenI's repository": (OPENI, {"repo": "code"}, "repo", "owner/name"),
    "OpenI's parameters": (OPENI, {"recipe": {"dataset": "imagenet"}}, "recipe", "dataset"),
    "OpenI's variables": (OPENI, {"environment": {"A": 1}}, "environment", "variables"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_job_is_one_line_offline(plan, case):
    base, changes, name, says = BAD[case]
    done = plan({**base, **changes})
    assert done.code == 2, done.out + done.err
    failed = [line for line in done.out.splitlines() if line.strip().startswith("FAILED")]
    assert [line for line in failed if f" {name}: " in line and says in line], done.out[-1500:]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"retries": 500}, "retries is 500"), ({"name": "a b"}, "name is 'a b'"), ({"cards": 0}, "cards is 0")],
)
def test_what_no_provider_takes(plan, changes, says):
    done = plan({**MODELARTS, **changes})
    assert done.code == 2
    assert says in done.error
    assert done.out == ""
