"""ModelArts' double is as strict as the sources that its records name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mindlift.cloud.errors import Refused
from mindlift.cloud.providers.modelarts import answers
from tests.doubles.modelarts import QUERIES, ModelArtsDouble
from tests.support.modelarts_jobs import created, job_of, provider


def altered(double: ModelArtsDouble, path: str, value: Any) -> str:
    """The code of a good job's request with one value set, put in or (None) taken out."""
    from mindlift.cloud.providers.modelarts import request

    job = job_of(double, description="d", environment={"A": "1"}, log_url="obs://bucket/l/", max_hours=2)
    body: Any = request.body(job.replace(code_url="obs://bucket/code/"), {})
    *parts, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at = body
    for part in parts:
        at = at[part]
    if isinstance(at, list):
        at.insert(int(last), value)
    else:
        at[last] = value
    with pytest.raises(Refused) as info:
        provider(job).session.call("create", answers.CREATE, body=body)
    return info.value.code.partition(".")[2]


NOTES = "metadata.annotations"
STRICT = [  # the sources stand at the rules of the double
    ("colour", "red", "2788"),
    ("spec.resource.colour", "red", "2788"),
    ("algorithm.engine.colour", "red", "2788"),
    ("metadata.description", 5, "2825"),
    ("spec.resource.node_count", "1", "2825"),
    ("algorithm.environments.A", 1, "2825"),
    (NOTES, {"fault-tolerance/hang-retry": True}, "2825"),
    (NOTES, {"fault-tolerance/hang-retry": "True"}, "2788"),
    (NOTES, {"fault-tolerance/job-retry-num": "4"}, "2788"),
    (NOTES, {"my/note": "x"}, "2788"),
    ("metadata.description", "x" * 257, "2788"),
    ("metadata.workspace_id", "other", "0102"),
    ("algorithm.parameters.0", {"name": "net", "value": "x"}, "2767"),
    ("algorithm.parameters.0", {"name": "train_url", "value": "x"}, "2767"),
    ("spec.auto_stop", {"time_unit": "MINUTES", "duration": 90}, "2788"),
    ("spec.auto_stop.duration", 0, "2788"),
    ("spec.auto_stop.duration", 1.5, "2825"),
    ("algorithm.environments.MA_X", "1", "2788"),
    ("algorithm.environments.A", "$HOME", "2788"),
    ("algorithm.environments.A", "x" * 4097, "2788"),
    ("algorithm.engine", {"image_url": "me/image:1"}, "2806"),
    ("algorithm.engine.image_url", "image", "2810"),
    ("algorithm.engine.engine_version", "none", "2780"),
    ("spec.resource.node_count", 17, "2793"),
    ("spec.resource.pool_id", "pool-1", "2781"),
    ("spec.resource.pool_id", "none", "2890"),
    ("spec.resource.flavor_id", "modelarts.pool.visual.8xlarge", "2781"),
    ("algorithm.code_dir", "obs://b/c/", "2757"),
    ("algorithm.boot_file", "/bucket/elsewhere/train.py", "2758"),
    ("spec.log_export_path.obs_url", "logs", "2791"),
    ("algorithm.inputs.0.access_method", "copy", "2753"),
]


@pytest.mark.parametrize(("path", "value", "code"), STRICT)
def test_the_double_is_as_strict_as_the_sources(double, path, value, code):
    assert altered(double, path, value) == code
    assert not double.jobs


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("code/", "2802"),
        ("train.py", "2758"),
        ("/data/", "2791"),
        ("/run/", "2791"),
        ("/logs/first/", "2791"),
    ],
)
def test_places_that_are_not_there(double, missing, code):
    double.exists = lambda url: missing not in url
    with pytest.raises(Refused, match=f"ModelArts.{code}"):
        created(double)


@pytest.mark.parametrize(
    ("body", "code"),  # REF querying_a_training_job_list, Tables 2 and 3; error_codes.rst 2790, 2807 - 2809
    [
        ({"limit": 51}, "2788"),
        ({"offset": -1}, "2788"),
        ({"sort_by": "colour"}, "2790"),
        ({"page": 1}, "2788"),
        ({"filters": [{"key": "colour", "operator": "in", "value": ["x"]}]}, "2807"),
        ({"filters": [{"key": "name", "operator": "is", "value": ["x"]}]}, "2808"),
        ({"filters": [{"key": "name", "operator": "in", "value": ["x"]}]}, "2808"),
        ({"filters": [{"key": "phase", "operator": "in", "value": ["running"]}]}, "2809"),
    ],
)
def test_searches_that_the_service_refuses(double, body, code):
    service, _ = created(double)
    with pytest.raises(Refused, match=f"ModelArts.{code}"):
        service.session.call("list", answers.LIST, body=body)


def test_events_come_in_pages(double):
    """REF obtaining_the_events: limit 1 - 100, `offset` of an entry, `total` of all."""
    service, handle = created(double)
    double.events[handle.id] = [("Info", f"event {number}") for number in range(250)]

    def page(**values: Any) -> dict[str, Any]:
        return service.session.call("events", answers.EVENTS, training_job_id=handle.id, **values)

    found = page(offset=200, limit=100, order="asc")
    assert (found["total"], len(found["events"]), found["events"][0]["message"]) == (250, 50, "event 200")
    for wrong in (
        {"limit": 101},
        {"limit": 0},
        {"level": "Bad"},
        {"start_time": "1"},
        {"pattern": "x" * 257},
    ):
        with pytest.raises(Refused, match="2788"):
            page(**wrong)


def calls_with(double: ModelArtsDouble, query: str) -> Iterator[int]:
    """Unsigned: the query is refused by the service's own rule, not by the gateway."""
    from tests.doubles.service import Call

    for name in QUERIES:
        method, path = name.split(" ", 1)
        path = path.format(project_id=double.project_id, training_job_id="x", task_id="worker-0")
        call = Call(method, path, {query: "1"}, {}, b"{}")
        double.authenticate = lambda call: None  # type: ignore[method-assign]
        answer = double.respond(call)
        assert answer.data["error_code"] == "ModelArts.2764", name
        yield answer.status


def test_query_parameters_that_no_page_names(double):
    assert set(calls_with(double, "colour")) == {400}
