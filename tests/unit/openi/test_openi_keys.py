"""What each key of a job means for OpenI, found without the service.

Numbers are files of aiforge, as in test_openi_answers.py.
"""

from __future__ import annotations

import re

import pytest

from mindlift.cloud.errors import Refused
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.prepare import preflight
from mindlift.cloud.prepare.effects import SENT
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.openi import request
from tests.doubles.openi_answers import CREATE, QIZHI, RECORDS
from tests.support.openi_jobs import PACKAGE, client_of, job_at

GIVEN = {
    "platform": "openi-c2net",
    "data_url": "obs://b/x/",
    "train_url": "obs://b/y/",
    "pretrained": "obs://b/z",
    "code_url": "obs://b/c/",
    "log_url": "obs://b/l/",
    "launcher": "msrun",
    "access": "env",
    "retries": 1,
    "restart": "reschedule",
    "python": "python3",
    "isolation": "mapping",
    "rehearsal_args": ("--device_target=CPU",),
    "exclude": ("*.log",),
    "command": "python other.py",
    "requirements": "needs.txt",
    "inputs": {"data": "obs://bucket/data/"},
    "outputs": {"out": "obs://bucket/out/"},
    "resume": {"earlier": "out"},
    "keep": True,
    "paths": {"out": "/cache/out"},
    "wheels": True,
    "max_hours": 1.0,
    "environment": {"A": "1"},
    "secrets": {"B": "env:B"},
    "annotations": {"a": "b"},
    "allow_dirty": True,
    "region": "cn-north-4",
    "project_id": "p",
    "workspace_id": "1",
    "flavor": "modelarts.kat1.8xlarge",
    "pool_id": "pool-1",
    "engine": "A/B",
}


def offline(job: Job) -> list[Check]:
    return [*preflight.key_checks(job, request.EFFECTS, "openi"), *request.checks(job)]


def test_every_key_of_a_job_has_an_effect_or_a_reason():
    assert set(request.EFFECTS) == set(FIELDS)
    not_sent = {name for name, effect in request.EFFECTS.items() if effect != SENT}
    assert not_sent == set(GIVEN)
    for effect in request.EFFECTS.values():
        assert effect == "sent" or re.fullmatch(r"(refused|no effect): .+", effect)


@pytest.mark.parametrize("name", GIVEN)
def test_a_key_that_is_not_sent_is_named(name):
    """max_hours: time_limit is set to 0 for who has no right to it (69426866292)."""
    assert offline(Job(name="good-name")) == []
    (found,) = offline(Job(name="good-name", **{name: GIVEN[name]}))
    if request.EFFECTS[name].startswith("refused"):
        assert (found.name, found.ok, bool(found.advice)) == (name, False, True)
    else:
        assert (found.name, found.ok) == ("no effect", None)
        assert f"{name} (" in found.says


def test_keys_that_are_sent_change_the_request():
    chosen = request.Chosen({"id": 1}, {"image_id": "1", "image_name": "x"})
    job = Job(name="good-name", repo="me/code", branch="main")
    changes = {
        "name": "other",
        "description": "x",
        "boot_file": "eval.py",
        "net": "bit",
        "dataset": "cifar10",
        "recipe": {"lr": 1},
        "nodes": 2,
        "branch": "work",
        "cluster": QIZHI,
        "code": "/program",
    }
    plain = request.body(job, chosen)
    assert [
        name for name in changes if request.body(job.replace(**{name: changes[name]}), chosen) == plain
    ] == []
    fields = set(RECORDS.of(CREATE, "request").body)  # entity.CreateReq (69722563307)
    assert set(plain) <= fields


@pytest.mark.parametrize("label", ["net", "dataset", "enable_modelarts", "pretrained", "n et"])
@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
def test_a_label_that_the_job_has_already_is_refused(service, cluster, label):
    """convertParameters2Grampus makes a map (69505670173); spaces of labels are dropped (69426866292)."""
    job = job_at(service, cluster=cluster, recipe={label: "x"})
    assert {check.name for check in offline(job) if check.ok is False} == {"recipe"}
    if label in ("net", "n et"):
        client_of(job).create(job, PACKAGE)
        assert service.collapsed == ["net"]


@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
@pytest.mark.parametrize(
    "label", ["train_url", "data_url", "multi_data_url", "pretrain_url", "ckpt_url", "result_url"]
)
def test_a_label_of_the_platform_is_refused(service, cluster, label):
    """handleCloudbrainTwoParameter (69733840638) drops the first two, and adds the others."""
    job = job_at(service, cluster=cluster, recipe={label: "obs://b/x/"})
    (found,) = offline(job)
    assert (found.name, found.ok) == ("recipe", False)
    assert f"recipe.{label} is the platform's" in found.says


@pytest.mark.parametrize(("text", "is_right"), [("a" * 1000, True), ("训" * 333, True), ("训" * 334, False)])
def test_a_description_is_counted_in_bytes(service, text, is_right):
    """len(req.Description) > 1000 in Go: CheckParamFormat (69426866292)."""
    job = job_at(service, description=text)
    assert [check.name for check in request.checks(job)] == ([] if is_right else ["description"])
    if not is_right:
        with pytest.raises(Refused, match="9001"):
            client_of(job).create(job, PACKAGE)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"repo": ""}, "repo"),
        ({"repo": "a/b/c"}, "repo"),
        ({"spec": "347"}, "spec"),
        ({"spec": "8 x Ascend 910"}, "spec"),
        ({"image": ""}, "image"),
        ({"name": "Big"}, "name"),
        ({"max_hours": 2.0}, "max_hours"),
    ],
)
def test_mistakes_of_form_are_found_without_the_service(service, changes, name):
    job = job_at(service, **changes)
    checks = [*offline(job), *client_of(job).offline_checks(job, PACKAGE)]
    failed = {check.name: check for check in checks if check.ok is False}.values()
    assert [check.name for check in failed] == [name]
    assert service.requests == []


def test_an_offline_plan_asks_nobody(service):
    job = job_at(service, datasets=("me/digits",), cards=8)
    plan = client_of(job).plan(job, PACKAGE, asks=False)
    assert service.requests == []
    assert (plan.request["spec_id"], plan.request["image_name"]) == ("8 x Ascend", "mindspore")
    assert plan.request["dataset_uuid_str"] == "me/digits"
    assert (
        client_of(job.replace(datasets=())).plan(job.replace(datasets=()), PACKAGE).request["spec_id"] == 13
    )


def test_places_in_a_bucket_that_were_only_derived_go():
    job = Job(provider="openi", name="x1x", branch="main", train_url="obs://bucket/y/")
    derived = job.replace(code_url="obs://bucket/code/", log_url="obs://bucket/logs/x1x/")
    provider = client_of(job)
    refused = [check.name for check in offline(provider.complete(derived)) if check.ok is False]
    assert refused == ["train_url"], "the one that was given"
    assert provider.complete(derived).code_url == provider.complete(derived).log_url == ""
    assert provider.complete(job.replace(code_url="obs://bucket/mine/")).code_url == "obs://bucket/mine/"
