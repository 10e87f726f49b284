"""The exact bodies that ModelArts and OpenI get, from golden files, and what their forms refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.job_file import read
from mindlift.cloud.prepare import code_size, effects
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.modelarts import request as modelarts
from mindlift.cloud.providers.openi import request as openi

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "requests"
BASE = {
    "provider": "modelarts",
    "name": "resnet50-8p",
    "net": "densenet121",
    "dataset": "imagenet",
    "data_url": "obs://bucket/imagenet/",
    "train_url": "obs://bucket/out/run-001/",
    "log_url": "obs://bucket/logs/run-001/",
    "code_url": "obs://bucket/code/abc/mindlift/",
    "cards": "8",
    "flavor": "modelarts.kat1.8xlarge",
    "engine": "Ascend-Powered-Engine/mindspore_2.3",
    "recipe": ["lr=0.1", "lr_epochs=30,60"],
}
OPENI = {
    "provider": "openi",
    "name": "dense-8p",
    "repo": "me/code",
    "branch": "main",
    "image": "x",
    "cards": "8",
    "recipe": ["lr=0.1"],
}
BODIES = {
    "modelarts_8p": {},
    "modelarts_retries": {
        "retries": "3",
        "max_hours": "24",
        "description": "imagenet 8p",
        "annotations": ["fault-tolerance/hang-retry=true"],
    },
    "modelarts_direct": {"access": "direct", "environment": ["GLOG_v=3"], "max_hours": "1.5"},
    "modelarts_env": {"access": "env", "data_url": ""},
    "modelarts_own_image": {"engine": "", "image": "me/mindlift:1", "recipe": ["ckpt_path=it's"]},
    "modelarts_2_nodes_msrun": {
        "nodes": "2",
        "launcher": "msrun",
        "pool_id": "pool-1",
        "flavor": "modelarts.pool.visual.8xlarge",
    },
}


def of(**changes: object) -> Job:
    return read("", {**BASE, **changes}, "now")


def same_as_golden(name: str, body: dict) -> None:
    path = GOLDEN / f"{name}.json"
    if os.environ.get("MINDLIFT_WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
    assert body == json.loads(path.read_text())


@pytest.mark.parametrize("name", BODIES)
def test_modelarts_bodies(name):
    same_as_golden(
        name, modelarts.body(of(**BODIES[name]), {"MY_TOKEN": "***"} if name == "modelarts_direct" else {})
    )


@pytest.mark.parametrize("cluster", ["C2Net", "OpenICloudbrainTwo"])
def test_openi_bodies(cluster):
    chosen = openi.Chosen(
        {"id": 13}, {"image_id": "1", "image_name": "mindspore"}, ("uuid-a", "uuid-b"), ("uuid-m",)
    )
    same_as_golden(f"openi_{cluster}", openi.body(read("", {**OPENI, "cluster": cluster}, "now"), chosen))


PACKAGE = Package("r", False, {"train.py": b"x"})
REFUSED = {
    "cards of the flavor": (
        {"flavor": "modelarts.kat1.4xlarge"},
        "8 cards asked of modelarts.kat1.4xlarge, which has 4; use modelarts.kat1.8xlarge",
    ),
    "no flavor of that size": ({"cards": "3"}, "flavors have 1, 2, 4 or 8 cards; use more nodes"),
    "no machine": ({"flavor": ""}, "neither flavor nor pool_id is set"),
    "no engine": ({"engine": ""}, "engine: not set; set engine: NAME/VERSION"),
    "half an engine": ({"engine": "Ascend-Powered-Engine"}, "set engine: NAME/VERSION"),
    "no bucket": ({"code_url": "/tmp/c"}, "ModelArts needs obs://bucket/folder/"),
    "a variable of the platform": (
        {"environment": ["MA_X=1"]},
        "variable MA_X: names that begin with MA_ are the platform's",
    ),
    "a long variable": ({"environment": [f"A={'x' * 5000}"]}, "variable A is longer than 4096 letters"),
    "many variables": ({"environment": [f"A{n}=1" for n in range(101)]}, "101 variables of 100"),
    "a description": ({"description": "x" * 300}, "description has 300 letters of 256"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_modelarts_would_refuse(case):
    changes, expected = REFUSED[case]
    failed = [
        f"{check.name}: {check.says}; {check.advice}"
        for check in modelarts.checks(of(**changes), PACKAGE)
        if check.ok is False
    ]
    assert expected in " | ".join(failed)


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        (Package("r", False, {}), "there is no file to send"),
        (
            Package("r", False, {str(number): b"" for number in range(5000)}),
            "5000 files, 0.0 MB, but ModelArts takes 4096 files",
        ),
        (Package("r", False, {"big": bytes(130 << 20)}), "but ModelArts takes 4096 files and 128 MB"),
    ],
    ids=["empty", "many", "big"],
)
def test_code_that_is_too_large(package, expected):
    found = code_size.check(package)
    assert found.ok is False
    assert expected in f"{found.says} {found.advice}"


def test_a_job_that_modelarts_would_take():
    assert [check for check in modelarts.checks(of(), PACKAGE) if check.ok is False] == []
    assert "advises below" in code_size.check(Package("r", False, {str(n): b"" for n in range(1001)})).says


SPECS = [
    {"id": 1, "acc_cards_num": 8, "acc_card_type": "ASCEND910", "unit_price": 9},
    {"id": 2, "acc_cards_num": 8, "acc_card_type": "ASCEND-D910B", "unit_price": 5},
    {"id": 3, "acc_cards_num": 1, "acc_card_type": "ASCEND910", "unit_price": 1},
]


@pytest.mark.parametrize(
    ("spec", "cards", "expected"), [("8 x Ascend 910", 8, 1), ("8*ascend910", 8, 1), ("", 8, 2), ("", 1, 3)]
)
def test_machines_by_what_they_have(spec, cards, expected):
    assert openi.choose_spec(SPECS, Job(spec=spec, cards=cards))["id"] == expected


def test_openi_refuses_what_it_has_no_place_for():
    job = Job(
        name="Big Name",
        retries=1,
        environment={"A": "1"},
        secrets={"B": "env:B"},
        data_url="obs://b/x/",
        train_url="obs://b/y/",
        pretrained="obs://b/z",
    )
    assert [check.name for check in openi.checks(job)] == ["name"]
    assert [check.name for check in effects.checks(job, openi.EFFECTS, "openi")] == [
        "retries",
        "environment",
        "secrets",
        "data_url",
        "train_url",
        "pretrained",
    ]
    assert list(openi.checks(Job(name="good-name"))) == []
    with pytest.raises(JobError, match="4 cards asked of spec '8 x Ascend 910'"):
        openi.choose_spec(SPECS, Job(spec="8 x Ascend 910", cards=4))
