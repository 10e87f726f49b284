"""What is asked of ModelArts before a job is created."""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import Refused
from mindlift.cloud.providers.base import Check
from tests.doubles.modelarts import ENGINE
from tests.support.modelarts_jobs import PACKAGE, created, failed, job_of, provider


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
