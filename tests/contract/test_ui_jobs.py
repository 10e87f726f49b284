"""`mindlift ui` lists the jobs of every provider that this machine has keys for, and follows their logs."""

from __future__ import annotations

import json

from mindlift.cloud.states import Phase
from mindlift.ui.jobs import Desk, Jobs
from tests.support.desks import without_keys
from tests.support.rigs import on_all


def known_here(rig, tmp_path, monkeypatch) -> None:
    """The service's address and keys where a user has them: in the environment, and where `openi login` writes them."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_PROJECT_ID", rig.job.project_id or "")
    if rig.job.provider == "openi":
        (tmp_path / ".openi").mkdir()
        known = {"endpoint": rig.double.endpoint, "token": rig.double.token}
        (tmp_path / ".openi/token.json").write_text(json.dumps(known))


@on_all
def test_a_job_is_listed_and_its_log_followed(rig, tmp_path, monkeypatch):
    handle = rig.create(lines=1203)
    rig.wait(handle)
    known_here(rig, tmp_path, monkeypatch)
    desk = Desk(rig.job.provider)
    desk.look()
    assert (desk.problem, desk.is_unknown) == ("", False)
    assert [(str(job.handle), job.phase) for job in desk.jobs] == [(str(handle), Phase.SUCCEEDED)]
    jobs = Jobs([rig.job.provider], tmp_path / "scratch")
    found = jobs.find(str(handle))
    assert found is not None
    seen = found[0].log(found[1], 0, -1)
    lines = [line for line in seen.lines if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1203)]
    assert found[0].log(found[1], 0, seen.next).lines == []
    assert found[0].log(found[1], 9, -1).lines == []


@on_all
def test_a_service_without_keys_is_said_to_be_unknown_here(rig, monkeypatch):
    without_keys(monkeypatch)
    desk = Desk(rig.job.provider)
    desk.look()
    assert desk.jobs == []
    assert desk.is_unknown is (rig.job.provider != "local")
    assert bool(desk.problem) is desk.is_unknown
