"""Every key of a job file, for every provider: sent, refused, or said to have no effect."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from mindlift.cloud import providers
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.prepare import effects
from mindlift.cloud.prepare.effects import NO_EFFECT, REFUSED, SENT
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Provider

PACKAGE = Package("r" * 40, False, {"train.py": b"print()\n"})
BASES = {
    "local": Job(provider="local", name="job", train_url="obs://bucket/run/", code_url="obs://bucket/code/"),
    "modelarts": Job(
        provider="modelarts",
        name="job",
        region="cn-north-4",
        project_id="p",
        train_url="obs://bucket/run/",
        code_url="obs://bucket/code/",
        log_url="obs://bucket/logs/",
        flavor="modelarts.kat1.xlarge",
        engine="E/mindspore_2.3",
    ),
    "openi": Job(provider="openi", name="job", repo="me/code", branch="main", image="mindspore"),
}
OTHER: dict[str, Any] = {  # another value than the default, and than a base's
    "provider": None,
    "allow_dirty": True,
    "wheels": True,
    "name": "other",
    "description": "a line",
    "boot_file": "eval.py",
    "net": "resnet50",
    "dataset": "imagenet",
    "recipe": {"lr": 0.3},
    "data_url": "obs://bucket/data/",
    "train_url": "obs://bucket/else/",
    "pretrained": "obs://bucket/p.ckpt",
    "code_url": "obs://bucket/code2/",
    "log_url": "obs://bucket/logs2/",
    "cards": 2,
    "nodes": 2,
    "launcher": "msrun",
    "access": "env",
    "retries": 2,
    "restart": "reschedule",
    "python": sys.executable,
    "isolation": "mapping",
    "rehearsal_args": ("--device_target=CPU",),
    "code": "/program",
    "exclude": ("*.log",),
    "command": "python other.py",
    "args": ("--epochs=3",),
    "requirements": "needs.txt",
    "inputs": {"data": "obs://bucket/data/"},
    "outputs": {"out": "obs://bucket/out/"},
    "resume": {"earlier": "out"},
    "keep": True,
    "paths": {"out": "/cache/out"},
    "max_hours": 3.0,
    "max_cost": 5.0,
    "environment": {"A": "1"},
    "secrets": {"T": "env:HOME"},
    "annotations": {"fault-tolerance/job-retry-num": "2"},
    "platform": "modelarts-v1",
    "region": "cn-east-3",
    "endpoint": "http://127.0.0.1:9",
    "project_id": "q",
    "workspace_id": "w",
    "flavor": "modelarts.kat1.2xlarge",
    "pool_id": "pool-1",
    "engine": "E/mindspore_2.4",
    "image": "org/image:tag",
    "repo": "me/other",
    "branch": "work",
    "cluster": "OpenICloudbrainTwo",
    "spec": "2 x Ascend 910",
    "datasets": ("me/d",),
    "models": ("me/m",),
}
# what a key steers beside the request: where it goes, or what is checked before
BESIDE_THE_REQUEST = {
    "local": {
        "platform",
        "secrets",
        "name",
        "allow_dirty",
        "provider",
        "max_cost",
        "restart",
        "exclude",
        "requirements",
        "paths",  # in the note of the boot file
    },
    "modelarts": {
        "cards",
        "region",
        "endpoint",
        "project_id",
        "allow_dirty",
        "wheels",
        "provider",
        "max_cost",
        "exclude",
        "requirements",
        "paths",  # in the note of the boot file
    },
    "openi": {"repo", "endpoint", "allow_dirty", "provider", "max_cost"},
}


OF_PROGRAMS = {"exclude", "command", "args", "requirements", "inputs", "outputs", "resume", "keep", "paths"}
ITS_PLACES = {"code": "/program", "outputs": {"out": "obs://bucket/run/"}}
PROGRAM: dict[str, dict[str, Any]] = {
    "local": ITS_PLACES,
    "modelarts": ITS_PLACES,
    "openi": {"code": "/program"},  # places are refused there
}


@pytest.fixture(autouse=True)
def account(monkeypatch, tmp_path):
    for name, value in {
        "HUAWEICLOUD_SDK_AK": "a",
        "HUAWEICLOUD_SDK_SK": "b",
        "OPENI_TOKEN": "t" * 40,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))


def planned(job: Job) -> str:
    """The request of `job`, as it would be sent."""
    provider: Provider = providers.load(job)
    return json.dumps(provider.plan(job, PACKAGE, asks=False).request, sort_keys=True, default=str)


@pytest.mark.parametrize("provider", BASES)
def test_the_table_has_every_key(provider):
    table = providers.load(BASES[provider]).effects
    assert set(table) == set(FIELDS) == set(OTHER)
    assert all(effect == SENT or effect.startswith((REFUSED, NO_EFFECT)) for effect in table.values())


@pytest.mark.parametrize("name", [name for name in OTHER if name not in ("provider",)])
@pytest.mark.parametrize("provider", BASES)
def test_each_key_does_what_the_table_says(provider, name):
    base = BASES[provider]
    if name in OF_PROGRAMS:
        base = base.replace(**PROGRAM[provider])
    job = base.replace(**{name: OTHER[name]})
    service: Provider = providers.load(job)
    effect = service.effects[name]
    found = [*effects.checks(job, service.effects, provider), *service.offline_checks(job, PACKAGE)]
    refused = [check for check in found if check.ok is False and check.name == name]
    said = [check for check in found if check.ok is None and f"{name} (" in check.says]
    if effect.startswith(REFUSED):
        assert refused, f"{name} is given, and nothing refuses it"
        assert refused[0].advice, "what instead"
    elif effect.startswith(NO_EFFECT):
        assert said, f"{name} is given, and nothing says that it does nothing"
        assert planned(job) == planned(base)
    else:
        assert not said
        if name not in BESIDE_THE_REQUEST[provider]:
            assert planned(job) != planned(base), f"{name} is said to be sent, and is not in the request"
