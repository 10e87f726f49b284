"""What is found out about a ModelArts job before it is created. Sources are named as in the double."""

from __future__ import annotations

import pytest

from mindlift.cloud.job import Job
from mindlift.cloud.job_rules import repeated
from mindlift.cloud.prepare import preflight
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.modelarts import request
from mindlift.cloud.providers.modelarts.account import check_engine, check_flavor
from mindlift.cloud.providers.modelarts.session import Session
from tests.doubles import records
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.support.modelarts_jobs import PACKAGE, created, job_of, provider


def offline(double: ModelArtsDouble, **changes: object) -> dict[str, Check]:
    job = job_of(double, **changes)
    return {check.name: check for check in provider(job).offline_checks(job, PACKAGE)}


def online(double: ModelArtsDouble, **changes: object) -> dict[str, Check]:
    job = job_of(double, **changes)
    return {check.name: check for check in provider(job).check(job, PACKAGE)}


# without a network


def test_checks_that_need_no_service_send_nothing(double, env):
    """`plan --offline` can make them: also without keys, and without an address that answers."""
    env.delenv("HUAWEICLOUD_SDK_AK")
    env.delenv("HUAWEICLOUD_SDK_SK")
    found = offline(double, endpoint="http://no-such-host.invalid", code_url="obs://bucket/code/")
    assert {check.ok for check in found.values()} == {True}
    assert {"train_url", "code_url", "engine", "flavor", "code size"} <= set(found)
    bad = offline(
        double, endpoint="http://no-such-host.invalid", flavor="modelarts.kat1.8xlarge", cards=16, engine=""
    )
    assert (bad["flavor"].ok, bad["engine"].ok) == (False, False)
    assert double.requests == []


def test_checks_of_the_service_only_ask_it(double):
    asked = online(double, flavor="modelarts.kat1.8xlarge", description="x" * 300)
    assert "request" not in asked
    assert "code size" not in asked


@pytest.mark.parametrize(
    (
        "hours",
        "sent",
        "says",
    ),  # REF creating_a_training_job, Table 50 AutoStop: HOURS, at least 1; GUIDE: 1 to 72
    [
        (0.2, 1, "0.2 h is sent as 1 h"),
        (1.5, 2, "1.5 h is sent as 2 h"),
        (24, 24, ""),
        (72, 72, ""),
        (73, 73, "the console offers 72 h at most"),
    ],
)
def test_time_limits_are_whole_hours(double, hours, sent, says):
    job = job_of(double, max_hours=hours)
    assert request.spec(job)["auto_stop"] == {"time_unit": "HOURS", "duration": sent}
    found = list(request.time_limit(job))
    assert [(check.ok, says in check.says) for check in found] == ([(None, True)] if says else [])
    created(double, max_hours=hours)


def test_options_come_once(double):
    """REF error_codes.rst, 2767 ParameterKeyRepeat."""
    recipe = {
        "net": "x",
        "enable_modelarts": True,
        "resume_url": "obs://b/r/",
        "train-url": "obs://b/",
        "lr": 0.1,
    }
    job = job_of(double, recipe=recipe)
    names = [problem.split()[0] for problem in repeated(job)]
    assert names == ["recipe.net", "recipe.enable_modelarts", "recipe.resume_url", "recipe.train-url"]
    failed = preflight.failed(preflight.key_checks(job, provider(job).effects, "modelarts"))
    assert [check.says for check in failed] == repeated(job)
    assert double.requests == []
    assert repeated(job_of(double, recipe={"lr": 0.1, "max-epoch": 1, "max_epoch": 2})) == [
        "recipe.max_epoch comes twice"
    ]
    assert repeated(job_of(double, recipe={"lr": 0.1, "ckpt_path": "x"})) == []


@pytest.mark.parametrize(
    ("image", "is_form"),  # REF creating_a_training_job, Table 14: "Organization name/Image name:tag"
    [
        ("me/image:1", True),
        ("my-org/deep/image_x:v1.0-py3", True),
        ("bad image", False),
        ("image:1", False),
        ("me/image", False),
        ("me/image:", False),
        ("swr.cn-north-4.myhuaweicloud.com/me/image:1", False),
        ("me/image:1 ", False),
        ("/me/image:1", False),
    ],
)
def test_the_form_of_an_image(double, image, is_form):
    assert (
        offline(double, image=image, engine="", cards=1, flavor="modelarts.kat1.xlarge")["image"].ok
        is is_form
    )


@pytest.mark.parametrize(
    ("annotations", "problem"),  # SDK JobMetadata.annotations
    [
        ({"fault-tolerance/hang-retry": True}, ""),
        ({"fault-tolerance/hang-retry": "yes"}, "expected one of true, false"),
        ({"fault-tolerance/pod-retry-num": 3}, ""),
        ({"fault-tolerance/pod-retry-num": 9}, "expected one of 1, 2, 3"),
        ({"hang-retry": "true"}, "'hang-retry' is none of ModelArts'"),
        ({"record/code-dir": "obs://b/c/"}, ""),
    ],
)
def test_annotations(double, annotations, problem):
    job = job_of(double, annotations=annotations)
    found = list(request.annotation_problems(job))
    assert [problem in text for text in found] == ([True] if problem else [])
    if not problem:
        created(double, annotations=annotations)


@pytest.mark.parametrize(
    ("value", "problem"), [("very-hush-$x", "holds a $"), ("h" * 4097, "4097 letters of 4096")]
)
def test_values_of_secrets(double, env, value, problem):
    """REF creating_a_training_job, Table 4, environments: no $, and at most 4,096 characters."""
    env.setenv("MY_TOKEN", value)
    found = offline(double, secrets={"MY_TOKEN": "env:MY_TOKEN"})["secrets"]
    assert found.ok is False
    assert problem in found.says
    assert value not in str(found)


@pytest.mark.parametrize(
    ("flavor", "pool", "says"),  # REF creating_a_training_job, Table 44: what a dedicated pool takes
    [
        ("modelarts.kat1.8xlarge", "pool-1", "is a flavor of the public pool"),
        ("modelarts.pool.visual.8xlarge", "", "is a flavor of a dedicated pool"),
        ("modelarts.pool.visual.8xlarge", "pool-1", ""),
        ("", "pool-1", ""),
    ],
)
def test_flavors_of_pools(double, flavor, pool, says):
    found = offline(double, flavor=flavor, pool_id=pool)["flavor"]
    assert (found.ok, says in found.says) == (not says, True)
    if not says:
        created(double, flavor=flavor, pool_id=pool)


@pytest.mark.parametrize(
    ("changes", "warns"),  # GUIDE, FAQs, MoXing: it is not part of an own image, and no page names keys there
    [
        ({}, True),
        ({"secrets": {"ACCESS_KEY_ID": "env:A", "SECRET_ACCESS_KEY": "env:B"}}, False),
        ({"secrets": {"ACCESS_KEY_ID": "env:A"}}, True),
        ({"retries": 0}, False),
        ({"engine": ENGINE}, False),
        ({"retries": 0, "annotations": {"fault-tolerance/job-retry-num": "2"}}, True),
    ],
)
def test_retries_of_an_own_image(double, changes, warns):
    job = job_of(double, **{"image": "me/image:1", "engine": "", "retries": 2, **changes})
    found = list(request.restarts(job))
    assert [(check.ok, "starts from zero" in check.says) for check in found] == (
        [(None, True)] if warns else []
    )


@pytest.mark.parametrize("name", ["S3_ENDPOINT", "OBS_ENDPOINT", "AWS_ENDPOINT_URL"])
def test_a_leftover_endpoint_is_a_failed_check(double, env, name):
    env.setenv(name, "http://127.0.0.1:9000")
    found = offline(double, endpoint="", region="cn-north-4")["store"]
    assert found.ok is False
    assert (
        "the environment names 127.0.0.1 as the store, but the job reads obs.cn-north-4.myhuaweicloud.com"
        in found.says
    )
    assert "store" not in offline(double), "a service of a test has a store of a test"


@pytest.mark.parametrize(
    ("job", "variables", "region"),
    [
        ({"region": "cn-north-4"}, {}, "cn-north-4"),
        ({}, {"HUAWEICLOUD_REGION": "cn-east-3"}, "cn-east-3"),
        ({"endpoint": "https://modelarts.cn-north-4.myhuaweicloud.com"}, {}, "cn-north-4"),
        ({"endpoint": "modelarts.ap-southeast-1.myhuaweicloud.cn"}, {}, "ap-southeast-1"),
        ({"endpoint": "http://127.0.0.1:80"}, {}, ""),
        (
            {"region": "cn-north-4"},
            {"HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4": "http://127.0.0.1:80"},
            "",
        ),
    ],
)
def test_the_region_of_the_service(job, variables, region):
    assert Session(Job(**job), variables).real_region == region


# the service


def test_the_names_of_others_are_asked_where_that_can_be(double):
    """REF has no page for this call, so an edition may lack it, and an account the right."""
    _, handle = created(double)
    for knob in ("forbidden", "missing"):
        setattr(double, knob, {"training-job-names"})
        found = online(double, name="second", train_url="obs://bucket/other/")
        assert found["name"].ok is None
        assert "second is on no list" in found["name"].says
        assert found["train_url"].ok is True, "the checks behind it go on"
        assert str(handle) in online(double)["name"].says
        assert online(double)["name"].ok is False
        setattr(double, knob, set())


def test_most_nodes_of_a_flavor(double):
    """REF obtaining_the_general_specifications, Example Responses: max_num stands in flavor_info alone."""
    sample = records.load("modelarts").of("GET /v2/{project_id}/training-job-flavors").body["flavors"]
    job = Job(flavor="modelarts.vm.cpu.2u", nodes=2)
    assert check_flavor(sample, job).says == "2 nodes asked of modelarts.vm.cpu.2u, which gives 1"
    double.most_nodes["modelarts.kat1.8xlarge"] = 2
    assert "3 nodes asked of modelarts.kat1.8xlarge, which gives 2" in online(double, nodes=3)["flavor"].says


def test_engines_tell_their_mode_and_their_user():
    """REF obtaining_the_preset_ai_frameworks, Example Responses: v1_compatible and run_user."""
    sample = records.load("modelarts").of("GET /v2/{project_id}/training-job-engines").body["items"]
    found = check_engine(sample, Job(engine="Caffe/caffe-1.0.0-python2.7"))
    assert (found.ok, found.says) == (
        True,
        "Caffe/caffe-1.0.0-python2.7 (v1) is there: the job meets modelarts-v1",
    )
    new = "tensorflow_2.1.0-cuda_10.1-py_3.7-ubuntu_18.04-x86_64"
    found = check_engine(sample, Job(engine=f"TensorFlow/{new}"))
    assert found.says == f"TensorFlow/{new} (user 1102) is there: the job meets modelarts-v2"


def test_the_plan_follows_the_engine(double):
    double.v1_engines = {ENGINE}
    job = job_of(double)
    service = provider(job)
    assert service.plan(job, PACKAGE).platform == "modelarts-v2", "nobody has asked yet"
    found = {check.name: check for check in service.check(job, PACKAGE)}
    assert "(v1) is there: the job meets modelarts-v1" in found["engine"].says
    assert service.plan(job, PACKAGE).platform == "modelarts-v1"
    assert service.plan(job.replace(engine="", image="me/image:1"), PACKAGE).platform == "modelarts-v2"


def test_no_price_is_told(double):
    """REF obtaining_the_general_specifications, Table 5 BillingInfo: a code and a unit, no amount."""
    job = job_of(double)
    assert provider(job).price(job) is None
    found = online(double)["price"]
    assert found.ok is None
    assert "the service tells no amount: it bills 1 x modelarts.kat1.8xlarge.code per node" in found.says
