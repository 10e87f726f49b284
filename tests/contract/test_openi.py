"""What OpenI refuses, and how its results come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mindlift.cloud.errors import Overloaded, Refused
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.storage import places
from tests.doubles.openi import OpenIDouble
from tests.support.rigs import PACKAGE, on_openi, refused

OPENI = {
    "quota": ({}, {"limit": 0}, ["quota", "2004"]),
    "points": ({}, {"points": 0}, ["points: 0 points", "2006"]),
    "wechat": ({}, {"is_bound": False}, None),
    "no such machine": ({"spec": "1 x GPU A100"}, {}, ["no machine with 1 x gpua100", "1 x ASCEND910"]),
    "cards": ({"cards": 4}, {}, ["no machine with 4 x ascend"]),
    "a number": ({"spec": "347"}, {}, ["write it as '8 x Ascend 910'"]),
    "several images": ({"image": "_2."}, {}, ["fits several of mindspore_2.3, pytorch_2.1"]),
    "no image": ({"image": "tensorflow"}, {}, ["fits none of"]),
    "no data set": ({"datasets": ("me/none",)}, {}, ["9004"]),
    "branch": ({"branch": "work"}, {}, None),
    "token": ({}, {"token": "another"}, ["401", "look at the token"]),
    "repository": ({"repo": "me/none"}, {}, ["404"]),
    "no repository": ({"repo": ""}, {}, ["set repo: owner/name"]),
}


@pytest.mark.parametrize("case", OPENI)
@on_openi
def test_what_openi_refuses(rig, case):
    changes, edits, parts = OPENI[case]
    for name, value in edits.items():
        setattr(rig.double, name, value)
    if parts is None:
        job, provider = replace(rig.named("job-one"), **changes), rig.provider
        with pytest.raises(
            Refused, match={"wechat": "9002.*bind a WeChat", "branch": "2020.*push the branch"}[case]
        ):
            provider.create(provider.complete(job), PACKAGE)
        return
    said = refused(rig, **changes)
    assert [part for part in parts if part not in said] == [], said
    assert OpenIDouble.token not in said


@on_openi
def test_openi_tells_later_that_it_could_not_create(rig):
    rig.double.fails_creation = "no machine is left"
    found = rig.wait(rig.create())
    assert (found.phase, found.raw, found.reason) == (Phase.FAILED, "CREATED_FAILED", "no machine is left")


@on_openi
def test_openis_results_come_when_they_are_moved(rig, tmp_path):
    handle = rig.create()
    rig.wait(handle)
    store, key = places.locate(f"{rig.double.results_url}{handle.id}/run/d/数据.txt")
    store.write(key, b"result")
    with pytest.raises(Overloaded, match="they (wait to be|are being) moved"):
        rig.provider.output(handle, tmp_path / "out")
    out = RetryPolicy(30, sleep=lambda s: None).call(lambda: rig.provider.output(handle, tmp_path / "out"))
    assert (Path(out.urls["output"]) / "run/d/数据.txt").read_bytes() == b"result"


@on_openi
def test_hostile_names_of_results_are_refused(rig, tmp_path):
    handle = rig.create()
    rig.wait(handle)
    rig.double.moves = rig.double.tasks[handle.id]["moves"] = 0
    rig.double.listing = lambda url: [{"FileName": "../../evil", "IsDir": False, "Size": 1}]
    with pytest.raises(Refused, match="a file is called '../../evil'"):
        rig.provider.output(handle, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


@on_openi
def test_openi_trains_what_its_own_repository_holds(rig):
    """By Gitea's branch route; the checkout's remotes are not looked at. See records/openi for its source."""
    job, package = rig.named("job-one"), PACKAGE

    def said(job: Job = job, package: Package = package) -> tuple[bool | None, str]:
        found = rig.provider.check_branch(job, package)
        return found.ok, f"{found.says}; {found.advice}"

    assert said() == (True, "main is pushed; ")
    assert said(package=replace(PACKAGE, is_dirty=True))[0] is None
    rig.double.commits["me/code", "main"] = "1" * 40
    ok, text = said()
    assert ok is False
    assert "main of me/code is 111111111111, this code is 000000000000" in text
    assert f"git push {rig.double.endpoint}/me/code.git HEAD:main" in text
    assert said(replace(job, branch="work"))[:1] == (False,)
    rig.double.repos["me/code"].append("feature/a#b")
    assert said(replace(job, branch="feature/a#b")) == (True, "feature/a#b is pushed; ")


@on_openi
def test_openis_results_are_no_matter_while_the_job_runs(rig, tmp_path):
    """Status 3 comes before the end, too: GetModelScheduleStatus (69624742814)."""
    handle = rig.create(sleep=600)
    rig.wait(handle, lambda status: status.phase is Phase.RUNNING)
    with pytest.raises(Refused, match="the job still runs"):
        rig.provider.output(handle, tmp_path / "out")
    rig.provider.cancel(handle)
    rig.wait(handle)


@pytest.mark.parametrize("rig", ["openi", "qizhi"], indirect=True)
def test_openis_files_come_from_another_host_without_the_token(rig, tmp_path):
    """A 307 to a signed URL: common.WriteDownloadContent2Resp (69787851580)."""
    handle = rig.create()
    rig.wait(handle)
    files = {
        "run/run.json": b'[1, "no object"]',
        "run/code.json": b'{"code": 5}',
        "run/empty": b"",
        "bin": b"\0" * 70_000,
    }
    for name, data in files.items():
        store, key = places.locate(f"{rig.double.results_url}{handle.id}/{name}")
        store.write(key, data)
    out = RetryPolicy(30, sleep=lambda s: None).call(lambda: rig.provider.output(handle, tmp_path / "out"))
    assert {name: (Path(out.urls["output"]) / name).read_bytes() for name in files} == files
    assert rig.double.store.requests
    assert rig.double.store.leaks == 0


@pytest.mark.parametrize("rig", ["openi", "qizhi"], indirect=True)
def test_openi_is_sent_nothing_without_effect(rig):
    rig.wait(rig.create())
    assert (rig.double.unknown_fields, rig.double.collapsed) == ([], [])
