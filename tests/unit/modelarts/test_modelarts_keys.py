"""Keys, region, project and store: where a user's jobs are, and by which variables that is known."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from mindlift.cloud import handle as handles
from mindlift.cloud.errors import JobError, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.modelarts import keys
from mindlift.cloud.providers.modelarts.session import Session
from mindlift.cloud.states import Phase
from mindlift.storage.places import SERVICES
from tests.support.modelarts_jobs import PACKAGE, created, job_of, provider


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
    public = "modelarts.ap-southeast-1.myhuaweicloud.cn"
    assert session.at(public, "p").endpoint == f"https://{public}"
    through = Session(Job(endpoint="http://127.0.0.1:9"))
    assert through.at("cn-north-4", "p").endpoint == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "place",
    [
        "localhost:80",
        "127.0.0.1:80",
        "modelarts.example.com",
        "modelarts.cn-north-4.myhuaweicloud.com.evil.com",
    ],
)
def test_a_handle_alone_sends_signed_requests_to_nobody_else(env, place):
    """Whoever writes a handle into a page must not choose where one's keys sign requests."""
    with pytest.raises(
        JobError, match=f"{place} in the handle .* pass --endpoint, or export MODELARTS_ENDPOINT"
    ):
        Session(Job()).at(place, "p")
    assert Session(Job(endpoint=f"https://{place}")).at(place, "p").endpoint == f"https://{place}"
    env.setenv("MODELARTS_ENDPOINT", f"http://{place}")
    assert Session(Job()).at(place, "p").endpoint == f"http://{place}"
    assert Session(Job()).at("cn-east-3", "p").endpoint == f"http://{place}"
    with pytest.raises(JobError, match="in the handle"):
        Session(Job(region="cn-north-4")).at("elsewhere.example", "p")


def test_a_handle_is_enough(double, env):
    service, handle = created(double)
    env.setenv("MODELARTS_ENDPOINT", double.endpoint)
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
        assert later.output(handle, Path()).urls == {"train_url": "obs://bucket/run/"}
        assert SERVICES.given["server"] == "https://obs.cn-north-4.myhuaweicloud.com"
