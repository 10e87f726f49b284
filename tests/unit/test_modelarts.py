"""The ModelArts provider against its double: keys, places, failures, logs and states. Jobs are scripted."""

from __future__ import annotations

import logging
import re
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mindlift.cloud import handle as handles
from mindlift.cloud.errors import JobError, LogNotThere, NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.positions import Positions
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job, finished
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.modelarts import keys, request, view
from mindlift.cloud.providers.modelarts.client import ModelArts
from mindlift.cloud.providers.modelarts.session import Session
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.storage.places import SERVICES
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.runner import ScriptedRunner

PACKAGE = Package("r" * 40, False, {"train.py": b"print()\n"})
HANDLE = Handle("modelarts", ("cn-north-4", "p", "id"))
MINE = re.compile(r"HUAWEI|OBS_|AWS_|S3_|OS_REGION|ACCESS_KEY|SECRET_ACCESS|SECURITY_TOKEN|CREDENTIAL")


@pytest.fixture
def env(monkeypatch, tmp_path) -> Iterator[pytest.MonkeyPatch]:
    """A user without keys, with an empty home: the SDK writes there when it is imported."""
    import os

    for name in [name for name in os.environ if MINE.match(name) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield monkeypatch
    SERVICES.forget()


@pytest.fixture
def double(env) -> Iterator[ModelArtsDouble]:
    with ModelArtsDouble(ScriptedRunner()) as running:
        env.setenv("HUAWEICLOUD_SDK_AK", running.access_key)
        env.setenv("HUAWEICLOUD_SDK_SK", running.secret_key)
        yield running


def job_of(double: ModelArtsDouble, **changes: object) -> Job:
    values: dict[str, Any] = {
        "provider": "modelarts",
        "name": "first",
        "endpoint": double.endpoint,
        "project_id": double.project_id,
        "flavor": "modelarts.kat1.8xlarge",
        "engine": ENGINE,
        "cards": 8,
        "train_url": "obs://bucket/run/",
        "data_url": "obs://bucket/data/",
        **changes,
    }
    return finished(Job(**values))


def provider(job: Job, timeout_s: float = 10) -> ModelArts:
    return ModelArts(Session(job, timeout_s=(timeout_s, timeout_s)))


def created(double: ModelArtsDouble, **changes: object) -> tuple[ModelArts, Handle]:
    job = job_of(double, **changes)
    service = provider(job)
    return service, service.create(job, PACKAGE)


def found_id(service: ModelArts, job: Job) -> str:
    found = service.find(job)
    return found.id if found else ""


def failed(double: ModelArtsDouble, **changes: object) -> dict[str, str]:
    """The checks that fail, as name -> text."""
    job = job_of(double, **changes)
    found = [check for check in provider(job).check(job, PACKAGE) if check.ok is False]
    return {check.name: f"{check.says}; {check.advice}" for check in found}


# the request


def test_an_own_image_starts_a_process_per_card_itself():
    job = finished(
        Job(
            name="n",
            image="me/image:1",
            cards=8,
            nodes=2,
            train_url="obs://bucket/run/",
            recipe={"ckpt_path": "it's $HOME"},
        )
    )
    algorithm = request.body(job.replace(code_url="obs://bucket/code/abc/mindlift/"), {})["algorithm"]
    assert "parameters" not in algorithm
    assert "boot_file" not in algorithm
    assert algorithm["command"].startswith(
        "cd ${MA_JOB_DIR}/mindlift && msrun --worker_num=16 --local_worker_num=8 --join=True "
        "--master_addr=${VC_WORKER_HOSTS%%,*} --node_rank=${VC_TASK_INDEX} train.py --net=densenet100 "
    )
    assert algorithm["command"].endswith(r"'--ckpt_path=it'\''s $HOME' --resume_url=obs://bucket/run/")
    single = request.body(job.replace(cards=1, nodes=1), {})["algorithm"]["command"]
    assert "&& python train.py " in single


def test_where_an_own_image_writes_is_found_again():
    job = finished(Job(name="n", image="me/image:1", train_url="obs://bucket/run/", access="direct"))
    assert view.train_url_of(request.body(job, {})["algorithm"]) == "obs://bucket/run/"


@pytest.mark.parametrize(
    "flavor", ["modelarts.kat1.4xlarge", "modelarts.kat1.4xlarge.public", "modelarts.pool.visual.4xlarge"]
)
def test_the_advice_names_a_flavor_that_fits(flavor):
    kind = flavor.partition("4xlarge")[0]
    found = request.machine(Job(flavor=flavor, cards=8, pool_id="pool-1" if "pool" in flavor else ""))
    assert (found.ok, found.advice) == (False, f"use {kind}8xlarge")


@pytest.mark.parametrize("name", ["with space", "ümlaut", "x" * 65])
def test_names_of_parameters(name):
    assert list(request.text_problems(Job(recipe={name: 1}))) == [
        f"parameter {name!r}: expected 1 to 64 letters, digits, - and _"
    ]


# keys and places


def test_keys_in_their_order(tmp_path):
    file = tmp_path / "credentials"
    env = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "aws", "AWS_SECRET_ACCESS_KEY": "s"}
    assert keys.read_keys(env).access_key == "aws"
    env |= {"ACCESS_KEY_ID": "plain", "SECRET_ACCESS_KEY": "s", "SECURITY_TOKEN": "token"}
    assert (keys.read_keys(env).access_key, keys.read_keys(env).token) == ("plain", "token")
    file.write_text("[basic]\nak = of-file\nsk = s\nproject_id = p-file\nsecurity_token = t\n")
    env["HUAWEICLOUD_SDK_CREDENTIALS_FILE"] = str(file)
    assert (keys.read_keys(env).access_key, keys.read_keys(env).token) == ("of-file", "t")
    assert keys.read_project(env) == "p-file"
    env |= {"HUAWEICLOUD_SDK_AK": "sdk", "HUAWEICLOUD_SDK_SK": "s", "HUAWEICLOUD_SDK_PROJECT_ID": "p"}
    assert (keys.read_keys(env).access_key, keys.read_project(env)) == ("sdk", "p")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "no keys for ModelArts: export HUAWEICLOUD_SDK_AK"),
        ({"HUAWEICLOUD_SDK_SK": "hush-hush"}, "only one is set"),
        ({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": "{file}"}, "is no credentials file"),
    ],
)
def test_keys_that_are_not_there(given, expected, tmp_path):
    file = tmp_path / "bad"
    file.write_text("sk hush-hush\n")
    env = {"HOME": str(tmp_path), **{name: value.format(file=file) for name, value in given.items()}}
    with pytest.raises(JobError, match=expected) as info:
        keys.read_keys(env)
    assert "hush-hush" not in "".join(traceback.format_exception(info.type, info.value, info.tb))


def test_no_region_and_no_project(env):
    env.setenv("HUAWEICLOUD_SDK_AK", "a")
    env.setenv("HUAWEICLOUD_SDK_SK", "b")
    for job, expected in (
        (Job(), "no region: pass --region"),
        (Job(endpoint="https://host"), "no project: pass --project_id"),
        (Job(region="mars-1", project_id="p"), "region 'mars-1' is none of ModelArts'"),
    ):
        with pytest.raises(JobError, match=expected):
            list(provider(job).list(()))


def test_a_handle_knows_its_own_place_and_project(env):
    env.setenv("HUAWEICLOUD_REGION", "cn-north-4")
    session = Session(Job())
    assert session.place == "cn-north-4"
    assert session.at("cn-east-3", "p-1").region == "cn-east-3"
    assert session.at("cn-east-3", "p-1").job.project_id == "p-1"
    assert session.at("127.0.0.1:80", "p").endpoint == "http://127.0.0.1:80"
    assert session.at("localhost:80", "p").endpoint == "http://localhost:80"
    assert session.at("modelarts.example.com", "p").endpoint == "https://modelarts.example.com"
    through = Session(Job(endpoint="http://127.0.0.1:9"))
    assert through.at("cn-north-4", "p").endpoint == "http://127.0.0.1:9"


def test_a_handle_is_enough(double):
    service, handle = created(double)
    other = provider(Job(provider="modelarts"))
    assert other.show(handles.parse(str(handle))) == service.show(handle)
    other.cancel(handle)
    assert other.show(handle).phase is Phase.STOPPED
    with pytest.raises(Refused, match="2786.*another-project.*look at project_id"):  # error_codes.rst, 404
        other.show(Handle("modelarts", (handle.parts[0], "another-project", handle.id)))


@pytest.mark.parametrize(
    ("projects", "expected"),
    [
        ([{"id": "0123456789abcdef"}], ""),
        ([], "Failed to get project id"),
        ([{"id": "a"}, {"id": "b"}], "Multiple project ids"),
    ],
)
def test_the_project_is_asked_from_iam(double, env, projects, expected):
    """An answer that names none, or several, is the user's to settle: asking again does not help."""
    from huaweicloudsdkcore.auth.credentials import Credentials

    Credentials._CACHE.clear()
    env.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", double.endpoint)
    env.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", double.endpoint)
    double.projects = projects
    job = job_of(double, region="cn-north-4", endpoint="", project_id="")
    if expected:
        with pytest.raises(Refused, match=f"{expected}.*--project_id"):
            provider(job).create(job, PACKAGE)
        assert double.jobs == {}
    else:
        assert provider(job).create(job, PACKAGE).parts[:2] == ("cn-north-4", "0123456789abcdef")


def test_iam_refuses_the_keys(double, env):
    from huaweicloudsdkcore.auth.credentials import Credentials

    Credentials._CACHE.clear()
    env.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", double.endpoint)
    env.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", double.endpoint)
    env.setenv("HUAWEICLOUD_SDK_SK", "another-secret")
    with pytest.raises(Refused, match="IAM answered APIGW.0301.*look at the access key"):
        list(provider(job_of(double, region="cn-north-4", endpoint="", project_id="")).list(()))


def test_the_store_is_obs_of_the_region(double, env):
    env.setenv("HUAWEICLOUD_SDK_SECURITY_TOKEN", "temporary")
    service = provider(Job(region="cn-north-4"))
    with service.reach_store():
        access = SERVICES.get().access
        assert access.settings.endpoint == "https://obs.cn-north-4.myhuaweicloud.com"
        assert SERVICES.given["security_token"] == "temporary"
        assert SERVICES.given["ak"] == double.access_key
    assert SERVICES.given == {}
    env.setenv("OBS_ACCESS_KEY_ID", "of-the-store")
    env.setenv("OBS_SECRET_ACCESS_KEY", "s")
    with service.reach_store():
        assert SERVICES.given["ak"] == "of-the-store"


def test_a_handle_tells_where_the_store_is(double, env):
    job = job_of(double, region="cn-north-4", endpoint="")
    env.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", double.endpoint)
    handle = provider(job).create(job, PACKAGE)
    later = provider(Job(provider="modelarts"))
    with later.reach_store():
        assert later.output(handle, Path()).url == "obs://bucket/run/"
        assert SERVICES.given["server"] == "https://obs.cn-north-4.myhuaweicloud.com"


# failures


def test_a_wrong_secret_key(double, env):
    env.setenv("HUAWEICLOUD_SDK_SK", "not-the-secret")
    with pytest.raises(Refused, match="verify aksk signature fail.*look at the access key") as info:
        created(double)
    shown = "".join(traceback.format_exception(info.type, info.value, info.tb))
    assert "not-the-secret" not in shown
    assert double.access_key not in shown


def test_an_unknown_access_key(double, env):
    env.setenv("HUAWEICLOUD_SDK_AK", "nobodys-key")
    with pytest.raises(
        Refused, match=r"ak \*\*\* not exist; look at the access key"
    ):  # the service repeats it
        created(double)


def test_a_clock_that_is_off_by_an_hour(double):
    double.clock_offset_s = 3600
    with pytest.raises(Refused, match="set this machine's clock right"):
        created(double)
    found = list(provider(job_of(double)).selfcheck(job_of(double)))
    clock = next(check for check in found if check.name == "clock")
    assert clock.ok is False
    assert re.match(r"3(599|600|601) s behind ModelArts", clock.says)
    assert found[-1].name == "service"


def test_secrets_that_the_service_repeats_are_hidden(double, env):
    env.setenv("MY_TOKEN", "very-hush $x")
    with pytest.raises(Refused) as info:
        created(double, secrets={"MY_TOKEN": "env:MY_TOKEN"})
    assert "the value of MY_TOKEN, ***, is not valid" in str(info.value)
    assert "very-hush" not in "".join(traceback.format_exception(info.type, info.value, info.tb))
    job = job_of(double, secrets={"MY_TOKEN": "env:MY_TOKEN"})
    shown = str(provider(job).plan(job, PACKAGE))
    assert "'MY_TOKEN': '***'" in shown
    assert "very-hush" not in shown


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_overload_tells_code_and_pause(double, status, method):
    """A GET's 429, too: by itself the SDK loses what the service says."""
    service, handle = created(double)
    double.fail_next(1, status, retry_after=7)
    with pytest.raises(Overloaded) as info:
        service.show(handle) if method == "GET" else service.find(job_of(double))
    assert info.value.retry_after_s == 7
    assert info.value.code == {429: "ModelArts.2799", 500: "ModelArts.0010", 503: "503"}[status]
    assert service.show(handle).name == "first"


def test_a_service_that_is_slow(double):
    service = provider(job_of(double), timeout_s=0.3)
    double.delay_s = 1
    with pytest.raises(NoAnswer, match="does not answer"):
        list(service.list(()))


def test_a_service_that_is_away(double, capfd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for endpoint in (address, "http://no-such-host.invalid"):
        with pytest.raises(NoAnswer, match="does not answer") as info:
            list(provider(job_of(double, endpoint=endpoint)).list(()))
        assert " object at 0x" not in str(info.value)
    assert capfd.readouterr().err == ""  # the error is one line, and it is ours to print


def test_the_sdk_does_not_log_to_the_terminal(double):
    list(provider(job_of(double)).list(()))
    assert logging.getLogger("HuaweiCloud-SDK-ModelArtsClient").handlers


@pytest.mark.parametrize("data", [b"<html>welcome to the hotel</html>", b"[]", b"null"])
def test_answers_that_are_none_of_the_services(double, data):
    service, handle = created(double)
    double.answer_next(200, data)
    with pytest.raises(NoAnswer, match="can't be read"):
        service.show(handle)
    double.answer_next(201, b"{}")
    with pytest.raises(NoAnswer, match="names no job"):
        service.create(job_of(double, name="second", train_url="obs://bucket/other/"), PACKAGE)


def test_a_lost_answer_makes_one_job(double):
    job = job_of(double)
    service = provider(job)
    double.lose_next_answer()
    with pytest.raises(NoAnswer):
        service.create(job, PACKAGE)
    assert found_id(service, job) == next(iter(double.jobs))
    other = job_of(double, name="other", train_url="obs://bucket/other/")
    double.lose_next_answer()
    handle = create_once(service, other, PACKAGE, RetryPolicy(sleep=lambda _: None))
    assert [body["metadata"]["name"] for body in double.jobs.values()] == ["first", "other"]
    assert service.show(handle).name == "other"


def test_a_job_that_is_not_there(double):
    service, handle = created(double)
    gone = Handle(handle.provider, (*handle.parts[:2], "0" * 8))
    for ask in (service.show, service.cancel, lambda which: service.logs(which, 0, {}, False)):
        with pytest.raises(NoSuchJob, match="2775"):
            ask(gone)


def test_cancel_excuses_only_a_job_that_has_ended(double):
    service, handle = created(double)
    service.cancel(handle)
    service.cancel(handle)
    double.answer_next(409, b'{"error_code": "ModelArts.0101", "error_msg": "another conflict"}')
    with pytest.raises(Refused, match="another conflict"):
        service.cancel(handle)


# checks


def test_a_good_job_passes_all_checks(double):
    job = job_of(double)
    found = list(provider(job).check(job, PACKAGE))
    assert [check.name for check in found if not check.ok] == ["price"], "the service tells none"
    assert {"credentials", "clock", "project", "flavor", "engine", "quota", "name", "train_url"} <= {
        c.name for c in found
    }


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        (
            {"flavor": "modelarts.kat9.8xlarge"},
            "flavor",
            "the service has no modelarts.kat9.8xlarge; it has modelarts.kat1.xlarge (1 cards)",
        ),
        (
            {"flavor": "modelarts.kat1.4xlarge"},
            "flavor",
            "8 cards asked of modelarts.kat1.4xlarge, which has 4",
        ),
        ({"engine": "Ascend-Powered-Engine/old"}, "engine", "not there; there is Ascend-Powered-Engine/"),
    ],
)
def test_what_the_service_does_not_have(double, changes, name, expected):
    assert expected in failed(double, **changes)[name]


def test_what_another_job_has(double):
    _, handle = created(double)
    found = failed(double)
    assert found["name"] == f"first is the name of {handle}; choose another name, or leave it out"
    assert f"is in use by {handle}" in found["train_url"]
    with pytest.raises(Refused, match="2751.*choose another name"):
        created(double)
    with pytest.raises(Refused, match="2753.*Other running job contain train_url"):
        created(double, name="second")
    double.runner.set(handle.id, phase="succeeded")
    assert failed(double, name="second") == {}


def test_a_job_that_copies_by_itself_holds_its_train_url(double):
    created(double, access="direct")
    assert "in use" in failed(double, name="second")["train_url"]


def test_quota(double):
    double.quota = 1
    created(double)
    found = failed(double, name="second", train_url="obs://bucket/other/")
    assert found == {"quota": "job-num: 1 of 1 in use; wait for a job to end, or ask for more"}


def test_what_may_not_be_asked_is_unknown(double):
    """An account may train without the right to list quotas; the other checks go on."""
    double.forbidden = {"training-quotas", "training-job-engines"}
    job = job_of(double)
    found = {check.name: check for check in provider(job).selfcheck(job)}
    assert (found["quota"].ok, found["engine"].ok, found["flavor"].ok) == (None, None, True)
    assert "do not have permission to perform GET training-quotas" in found["quota"].says


def test_checks_end_where_the_service_does(double, env):
    env.setenv("HUAWEICLOUD_SDK_SK", "wrong-secret")
    job = job_of(double)
    last = list(provider(job).check(job, PACKAGE))[-1]
    assert (last.name, last.ok) == ("service", False)
    assert "look at the access key" in last.says


def test_selfcheck_names_flavors_and_engines(double):
    job = job_of(double, flavor="", engine="", image="me/image:1", cards=1)
    found: dict[str, Check] = {check.name: check for check in provider(job).selfcheck(job)}
    assert "modelarts.kat1.8xlarge (8 cards)" in found["flavor"].says
    assert ENGINE in found["engine"].says
    assert (found["image"].ok, found["keys"].says) == (None, "found in HUAWEICLOUD_SDK_AK")
    assert "secret" not in str(found)


# states, lists


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("queued", Phase.QUEUED),
        ("starting", Phase.STARTING),
        ("running", Phase.RUNNING),
        ("stopping", Phase.STOPPING),
        ("succeeded", Phase.SUCCEEDED),
        ("failed", Phase.FAILED),
        ("stopped", Phase.STOPPED),
        ("Rebalancing", Phase.UNKNOWN),
    ],
)
def test_phases(double, word, phase):
    service, handle = created(double)
    double.runner.set(handle.id, phase=word)
    found = service.show(handle)
    assert found.phase is phase
    assert found.handle == handle
    assert [status.phase for status in service.list(())] == [phase]
    if phase is Phase.UNKNOWN:
        assert found.raw == "Rebalancing"
        assert list(service.list([Phase.UNKNOWN])) == []


def test_times_and_restarts(double):
    service, handle = created(double, nodes=2)
    double.runner.set(handle.id, phase="succeeded", started_at=1000.0, ended_at=1090.5, restarts=2)
    found = service.show(handle)
    assert (found.started_at, found.duration_s, found.restarts, found.nodes, found.cards) == (
        1000,
        90.5,
        2,
        2,
        8,
    )
    assert abs(found.created_at - double.now()) < 60
    double.runner.set(handle.id, phase="running", started_at=double.now() - 30, ended_at=0.0)
    assert 29 < service.show(handle).duration_s < 60


def test_reasons(double):
    service, handle = created(double)
    double.events[handle.id] += [("Warning", "waiting for 8 cards:\n3 are free"), ("Info", "still here")]
    assert service.show(handle).reason == "waiting for 8 cards: 3 are free"
    double.runner.set(handle.id, phase="failed", exit_code=137, reason="out of memory")
    assert service.show(handle).reason == "worker-0 ended with exit code 137: out of memory"
    double.runner.set(handle.id, phase="failed", exit_code=None)
    double.events[handle.id].append(("Error", "the image can't be pulled"))
    assert service.show(handle).reason == "the image can't be pulled"


def test_why_a_running_job_was_started_again():
    records = [
        {
            "start_type": "init_or_rescheduled",
            "end_reason": "NPU fault",
            "end_related_task": "worker-1",
            "end_recover": "job_reschedule",
        },
        {"start_type": "init_or_rescheduled"},
    ]
    found = view.status_of({"status": {"phase": "Running", "running_records": records}}, HANDLE, 0)
    assert (found.reason, found.restarts) == ("worker-1: NPU fault (job_reschedule)", 1)


def test_details_of_a_flavor_tell_its_cards():
    resource = {
        "flavor_id": "modelarts.new.huge",
        "node_count": 3,
        "flavor_detail": {"flavor_info": {"npu": {"unit_num": "16"}}},
    }
    found = view.status_of({"spec": {"resource": resource}}, HANDLE, 0)
    assert (found.cards, found.nodes) == (16, 3)


@pytest.mark.parametrize("count", [49, 50, 51, 101])
def test_lists_are_whole_and_newest_first(double, count):
    """The service counts pages, not jobs."""
    double.quota = 1000
    for number in range(count):
        created_at = f"obs://bucket/run-{number}/"
        if number == 0:
            service, _ = created(double, name="job-0", train_url=created_at)
        else:
            service.create(job_of(double, name=f"job-{number}", train_url=created_at), PACKAGE)
    assert [status.name for status in service.list(())] == [f"job-{n}" for n in reversed(range(count))]
    assert found_id(service, job_of(double, name="job-0")) == next(iter(double.jobs))
    assert service.find(job_of(double, name="job")) is None


def test_lists_by_phase(double):
    service, first = created(double)
    second = service.create(job_of(double, name="second", train_url="obs://bucket/other/"), PACKAGE)
    double.runner.set(first.id, phase="failed")
    assert [status.handle for status in service.list([Phase.FAILED, Phase.STOPPED])] == [first]
    assert [status.handle for status in service.list([Phase.QUEUED])] == [second]


# logs


def lines(count: int) -> list[str]:
    return [f"line {number}\fwith\x85marks" for number in range(count)]


def read_all(service: ModelArts, handle: Handle, has_ended: bool = False) -> list[str]:
    """What a follower shows; tests/unit/test_logs.py has all that can happen on the way."""
    found: list[str] = []
    follower = Follower(service, handle, found.append, found.append, Positions(None), RetryPolicy(0))
    status = service.show(handle)
    follower.read_node(replace(status, phase=Phase.SUCCEEDED) if has_ended else status, 0)
    return found


NUMBERINGS = {
    "from 1": (1, 1, False),
    "from 0, base line again": (0, 1, True),
    "from 1, base line again": (1, 1, True),
    "marks": (1700000000000, 1000, False),
    "marks, base line again": (1700000000000, 1000, True),
}


@pytest.mark.parametrize("numbering", NUMBERINGS)
@pytest.mark.parametrize("count", [1, 500, 1203])
def test_logs_are_whole_however_lines_are_numbered(double, numbering, count):
    double.first_line, double.line_step, double.repeats_base_line = NUMBERINGS[numbering]
    service, handle = created(double)
    with pytest.raises(LogNotThere):
        read_all(service, handle)
    double.runner.logs[handle.id, 0] = lines(count)
    assert read_all(service, handle) == lines(count)


def test_a_long_log_is_not_read_again_from_its_start(double):
    service, handle = created(double)
    double.runner.logs[handle.id, 0] = lines(9000)
    status, positions, out = service.show(handle), Positions(None), []
    follower = Follower(service, handle, out.append, out.append, positions, RetryPolicy(0))
    follower.read_node(status, 0)
    double.runner.logs[handle.id, 0] = lines(9001)
    double.requests.clear()
    other = Follower(provider(job_of(double)), handle, out.append, out.append, positions, RetryPolicy(0))
    other.read_node(status, 0)
    assert out == lines(9001)
    assert len(double.requests) == 1


def test_logs_from_the_preview(double):
    double.has_log_lines = False
    service, handle = created(double)
    double.runner.logs[handle.id, 0] = lines(20)
    assert read_all(service, handle) == lines(20)


def test_half_a_line_waits_for_its_rest(double):
    double.has_log_lines, double.ends_lines = False, False
    service, handle = created(double)
    double.runner.set(handle.id, phase="running")
    double.runner.logs[handle.id, 0] = ["whole", "half"]
    assert read_all(service, handle) == ["whole"]
    assert read_all(service, handle, has_ended=True) == ["whole", "half"]


def test_a_node_of_its_own(double):
    service, handle = created(double, nodes=2)
    double.runner.logs[handle.id, 1] = ["of node 1"]
    assert service.logs(handle, 1, {}, False).lines == ["of node 1"]
    with pytest.raises(LogNotThere):
        service.logs(handle, 0, {}, False)
