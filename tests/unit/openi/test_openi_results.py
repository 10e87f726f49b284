"""Results and logs of OpenI's jobs: waited for, whole, and without the token.

Numbers are files of aiforge, as in test_openi_answers.py.
"""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import Overloaded, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.providers.openi import answers
from mindlift.cloud.providers.openi.client import OpenI
from tests.doubles.openi import OpenIDouble
from tests.doubles.openi_answers import QIZHI
from tests.support.openi_jobs import created, result


def ended(double: OpenIDouble, **changes: object) -> tuple[OpenI, Handle]:
    provider, handle = created(double, **changes)
    double.runner.set(handle.id, phase="succeeded", started_at=1.0, ended_at=2.0)
    provider.show(handle)
    return provider, handle


def test_results_of_a_job_that_runs_are_not_waited_for(service, tmp_path):
    """C2Net says 3, waiting, before the end as well; is_task_terminal tells (69816740485, 69624742814)."""
    provider, handle = created(service)
    provider.show(handle)
    with pytest.raises(Refused, match="the job still runs") as caught:
        provider.output(handle, tmp_path / "out")
    assert caught.value.exit_code == 2


def test_results_that_are_moved_are_waited_for(service, tmp_path):
    service.moves = 3
    provider, handle = ended(service)
    result(tmp_path, handle, "run.json")
    said = []
    for _ in range(3):
        with pytest.raises(Overloaded) as caught:
            provider.output(handle, tmp_path / "out")
        said.append(caught.value.code)
    assert said == ["3", "3", "1"]
    assert (tmp_path / "out").exists() is False
    provider.output(handle, tmp_path / "out")
    assert (tmp_path / "out/run.json").read_text() == "{}"


def test_a_folder_of_more_names_than_are_listed_is_not_taken_for_whole(service, tmp_path):
    """GetOneLevelObjectsUnderDir brings OUTPUT_SHOW_MAX_KEY + 1 (69683892949), 100 by default (69396383815)."""
    provider, handle = ended(service)
    service.tasks[handle.id]["moves"] = 0
    for number in range(120):
        result(tmp_path, handle, f"many/{number:03d}")
    with pytest.raises(Refused, match="many: OpenI lists 101 names of a folder and not more"):
        provider.output(handle, tmp_path / "out")
    assert len(list((tmp_path / "out/many").iterdir())) == 101


# Logs, as the service gives them.


def log_of(provider: OpenI, handle: Handle, **query: object) -> dict:
    return provider.rest.get("log", answers.LOG, id=handle.id, **query)


def test_c2nets_log_is_whole_each_time_with_a_tail(service):
    """content + newline + exit diagnostics; empty content when fetching failed (69505670173)."""
    provider, handle = created(service)
    assert log_of(provider, handle)["content"] == "", "the cluster has no such job yet"
    provider.show(handle)
    service.runner.logs[handle.id, 0] = ["1", "2"]
    assert log_of(provider, handle, base_line=1, lines=1)["content"] == "1\n2\n\n"
    service.runner.logs[handle.id, 0].append("3")
    service.exit_diagnostics = "OOMKilled"
    assert log_of(provider, handle)["content"] == "1\n2\n3\n\nOOMKilled"
    service.log_fails = True
    assert log_of(provider, handle)["content"] == "\nOOMKilled"


def test_qizhis_log_goes_by_marks(service):
    """The web client's goTop, goBottom and scrolling (69445238240)."""
    provider, handle = created(service, cluster=QIZHI)
    provider.show(handle)
    service.runner.logs[handle.id, 0] = [str(number) for number in range(7)]
    name = service.log_file(handle.id, 0)

    def page(**query: object) -> dict:
        return log_of(provider, handle, file_name=name, **query)

    top = page(base_line="", lines=3, order="down")
    assert (top["content"], top["lines"]) == ("0\n1\n2\n", 3)
    assert top["start_line"] == "1551252759254000002"
    following = page(base_line=top["end_line"], lines=3, order="down")
    assert following["content"] == "3\n4\n5\n"
    newest = page(base_line="", lines=2, order="up")
    assert newest["content"] == "5\n6\n"
    assert page(base_line=newest["start_line"], lines=3, order="up")["content"] == "2\n3\n4\n"
    assert page(base_line=newest["end_line"], lines=3, order="down")["lines"] == 0
    assert page(base_line="", lines=501, order="down")["content"] == ""
    assert service.refused_lines == ["501"]


def test_the_store_of_results_refuses_the_token(service):
    import requests

    url = service.store.sign("nowhere")
    assert (
        requests.get(url, headers={"Authorization": f"token {service.token}"}, timeout=5).status_code == 400
    )
    assert service.store.leaks == 1
