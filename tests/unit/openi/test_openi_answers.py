"""OpenI's client: what each answer and each code means. Numbers are files of aiforge, the server's source, in a
public index of code; tests/doubles/records/openi has what the server answers.
"""

from __future__ import annotations

import json
import re
import socket

import pytest

from mindlift.cloud.errors import NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.providers.openi import answers
from mindlift.cloud.providers.openi.answers import Route
from mindlift.cloud.providers.openi.codes import CODES, QUEUE_CODES
from mindlift.cloud.providers.openi.rest import Rest
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.doubles.openi_answers import QIZHI, RECORDS
from tests.support.openi_jobs import PACKAGE, TOKEN, client_of, created, job_at, result


@pytest.mark.parametrize(
    "text", ["<html>maintenance</html>", "[1, 2]", '"text"', '{"code": 0, "data": [3]}', ""]
)
def test_an_answer_of_another_form_is_worth_another_try(answer, text):
    with pytest.raises(Overloaded, match="show job 7: OpenI answered 200: an answer of another form"):
        answer(200, text).get("show job 7", answers.SHOW)


@pytest.mark.parametrize("text", ['{"code": 0}', '{"code": 0, "data": null}', "{}"])
def test_no_data_is_empty_data(answer, text):
    assert answer(200, text).get("show job 7", answers.SHOW) == {}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, f"bad token {TOKEN}"),
        (400, f"header Authorization: token {TOKEN}\n\x1b[31m"),
        (200, json.dumps({"code": 9003, "msg": f"no right for {TOKEN}"})),
        (502, f"<p>{TOKEN}</p>"),
    ],
)
def test_no_message_has_the_token(answer, status, text):
    with pytest.raises((Refused, Overloaded)) as caught:
        answer(status, text).get("show job 7", answers.SHOW)
    assert TOKEN not in str(caught.value)
    assert "***" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_service_says_how_long_to_wait(answer):
    with pytest.raises(Overloaded) as caught:
        answer(429, "slow down", Retry_After="17").get("list jobs", answers.LIST)
    assert caught.value.retry_after_s == 17


@pytest.mark.parametrize(("status", "text"), [(404, "not found"), (200, '{"code": 2001, "msg": "no task"}')])
def test_a_job_that_is_not_there(answer, status, text):
    with pytest.raises(NoSuchJob):
        answer(status, text).get("show job 7", answers.SHOW)


KINDS = ("create", "cancel", "show", "log", "list", "output", "look up")
# Records and codes.


def call_name(method: str, path: str) -> str:
    """A request as the records name it."""
    path = re.sub(
        r"^(/api/v1)/repos/[^/]+/[^/]+/branches/.+", r"\1/repos/{owner}/{repo}/branches/{branch}", path
    )
    return f"{method} " + re.sub(r"^(/api/v1)/[^/]+/[^/]+/ai_task/", r"\1/{owner}/{repo}/ai_task/", path)


@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
def test_every_call_of_the_client_has_a_record(service, tmp_path, cluster):
    """A tour of all that a provider does."""
    service.datasets["me/digits"], service.models["me/bit"] = f"{tmp_path}/d/", f"{tmp_path}/m/"
    job = job_at(service, cluster=cluster, datasets=("me/digits",), models=("me/bit",))
    provider = client_of(job)
    list(provider.check(job, PACKAGE))
    list(provider.selfcheck(job))
    provider.plan(job, PACKAGE)
    handle = provider.create(job, PACKAGE)
    assert provider.find(job) == handle
    list(provider.list(()))
    provider.show(handle)
    provider.logs(handle, 0, {}, False)
    provider.cancel(handle)
    result(tmp_path, handle, "run.json")
    service.tasks[handle.id]["moves"], service.moving_fails = 0, cluster == "C2Net"
    if cluster == "C2Net":
        with pytest.raises(Overloaded, match="could not be moved; it is tried again"):
            provider.output(handle, tmp_path / "out")
    provider.output(handle, tmp_path / "out")
    asked = {call_name(call.method, call.path) for call in service.requests}
    known = {record.call for record in RECORDS.records}
    assert asked <= known
    used = {name for name in known if name != "any"}
    c2net_alone = {"POST /api/v1/ai_task/output/reschedule", "GET /api/v1/ai_task/creation/image_by_spec"}
    assert used - asked == (c2net_alone if cluster == QIZHI else set()), "a record that nobody needs"


def test_each_record_names_a_source_and_the_codes_are_the_sources():
    assert all(re.search(r"\(.*\d{6,}.*\)", record.source) for record in RECORDS.records)
    assert set(CODES) == set(RECORDS.errors)
    for code, error in RECORDS.errors.items():
        assert CODES[code].name == error.name.split(",")[0]
        assert error.status == 200, "OuterTrBizError goes with http.StatusOK (69887776776)"
    assert set(QUEUE_CODES) <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_what_a_code_means_for_each_call(answer, code):
    rest = answer(200, json.dumps({"code": int(code), "msg": "the message", "data": None}))
    for kind in KINDS:
        with pytest.raises((Refused, Overloaded), match=f"x: OpenI answered {code}: the message") as caught:
            rest.get("x", Route("/y", kind))
        passes = isinstance(caught.value, Overloaded)
        assert passes == CODES[code].is_passing(kind)
        if passes and kind == "create":
            assert caught.value.created_nothing is not CODES[code].leaves_doubt
        if not passes and CODES[code].advice:
            assert CODES[code].advice in str(caught.value)


def test_codes_that_the_source_does_not_have_are_final(answer):
    with pytest.raises(Refused, match="7777"):
        answer(200, '{"code": 7777, "msg": "new"}').get("x", Route("/y", "create"))


@pytest.mark.parametrize("code", [99, 2024])
def test_a_creation_that_is_refused_is_not_tried_again(service, code):
    """99 is the code of every error without one (69878103087), 2024 also NO_CENTER_MATCH (69447931637)."""
    job = job_at(service)
    provider = client_of(job)
    create = provider.rest.post

    def post(what: str, route: Route, *words: object, **query: object) -> dict:
        if route.kind == "create":
            service.fail_next_code(code)
        return create(what, route, *words, **query)

    provider.rest.post = post
    with pytest.raises(Refused, match=str(code)):
        create_once(provider, job, PACKAGE, RetryPolicy(sleep=lambda s: None))
    assert len([call for call in service.requests if call.path.endswith("/create")]) == 1


@pytest.mark.parametrize("code", [99, 2002, 2024, 2012, 2034])
def test_a_stop_that_comes_too_early_is_tried_again(service, code):
    """2024 of a job that is still being created, 99 "Stop AI task failed" of StopTask (69816740485)."""
    provider, handle = created(service)
    provider.show(handle)
    service.runner.set(handle.id, phase="running")
    stop, times = provider.rest.post, iter([code, code])

    def post(what: str, route: Route, *words: object, **query: object) -> dict:
        if found := next(times, None):
            service.fail_next_code(found)
        return stop(what, route, *words, **query)

    provider.rest.post = post
    RetryPolicy(60, sleep=lambda s: None).call(lambda: provider.cancel(handle))
    assert provider.show(handle).phase is Phase.STOPPED


@pytest.mark.parametrize(
    ("status", "created_nothing"), [(429, True), (500, False), (502, False), (503, False)]
)
def test_what_a_status_proves_of_a_creation(answer, status, created_nothing):
    with pytest.raises(Overloaded) as caught:
        answer(status, "busy").get("create job x", Route("/y", "create"))
    assert caught.value.created_nothing is created_nothing


def test_a_connection_that_was_never_opened_has_created_nothing():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rest = Rest(
            f"http://127.0.0.1:{free.getsockname()[1]}", {"OPENI_TOKEN": TOKEN, "HOME": "/nonexistent"}
        )
        with pytest.raises(NoAnswer) as caught:
            rest.post("create job x", Route("/y", "create"), {})
    assert caught.value.created_nothing is True


def test_an_answer_that_does_not_come_leaves_doubt(service, monkeypatch):
    monkeypatch.setattr("mindlift.cloud.providers.openi.rest.TIMEOUT_S", (1, 0.2))
    service.delay_s = 1.0
    with pytest.raises(NoAnswer) as caught:
        client_of(job_at(service)).rest.post("create job x", Route("/user", "create"), {})
    assert caught.value.created_nothing is False


@pytest.mark.parametrize("kind", ["show", "log", "cancel", "output"])
def test_a_job_that_is_not_mine(answer, kind):
    """reqAdminOrAITaskCreator (69454651554): HTTP 403 without a body, also for numbers that no job has."""
    with pytest.raises(NoSuchJob, match="list shows your jobs"):
        answer(403, "").get("show job 7", Route("/ai_task", kind))


def test_errors_with_the_names_of_the_program(answer):
    """response.AiforgeResponse has no json tags (69878103087), nor has BizError (69513843197)."""
    for body in ({"Code": 99, "Msg": "no user"}, {"Code": 9001, "DefaultMsg": "param error", "TrCode": "x"}):
        with pytest.raises(Refused, match=f"{body['Code']}: (no user|param error)"):
            answer(200, json.dumps(body)).get("x", Route("/y", "look up"))
