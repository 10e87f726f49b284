"""Every answer and code of ModelArts that a source names, against the client. Sources: as in the double."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from mindlift.cloud.errors import LogNotThere, NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.providers.modelarts import answers, view
from mindlift.cloud.providers.modelarts.client import ModelArts
from mindlift.cloud.providers.modelarts.codes import CODES, LOG_NOT_THERE
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.doubles import records
from tests.doubles.modelarts import JOB, PHASES, QUERIES
from tests.doubles.records import Error
from tests.support.modelarts_jobs import PACKAGE, created, job_of, provider

KNOWN = records.load("modelarts")
CALLS = [*QUERIES, "GET /v3/projects"]
KINDS = ("create", "cancel", "log", "show", "list", "look up")


def name_of(path: str, method: str, project: str) -> str:
    """A request as records name it."""
    path = path.replace(project, "{project_id}")
    path = re.sub(r"training-jobs/[^/]+", "training-jobs/{training_job_id}", path)
    return f"{method} {re.sub(r'worker-[0-9]+', '{task_id}', path)}"


def ask(kind: str, service: ModelArts, handle: Handle) -> Any:
    """One call of the kind."""
    job = service.session.job
    calls: dict[str, Callable[[], Any]] = {
        "create": lambda: service.create(job.replace(name="another", train_url="obs://bucket/2/"), PACKAGE),
        "cancel": lambda: service.cancel(handle),
        "log": lambda: service.session.call(
            "log", answers.LOG_PREVIEW, training_job_id=handle.id, task_id="worker-0"
        ),
        "show": lambda: service.show(handle),
        "list": lambda: list(service.list(())),
        "look up": lambda: service.session.call("list flavors", answers.FLAVORS, flavor_type="Ascend"),
    }
    return calls[kind]()


# records


def test_every_call_of_the_client_has_a_record(double, env):
    """A tour of all methods; what they ask is what the records tell of."""
    from huaweicloudsdkcore.auth.credentials import Credentials

    Credentials._CACHE.clear()
    env.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", double.endpoint)
    env.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", double.endpoint)
    job = job_of(double, region="cn-north-4", endpoint="", project_id="")
    service = provider(job)
    for check in (service.check(job, PACKAGE), service.selfcheck(job), service.offline_checks(job, PACKAGE)):
        list(check)
    service.plan(job, PACKAGE)
    service.price(job)
    handle = service.create(job, PACKAGE)
    assert service.find(job) == handle
    service.show(handle)
    double.runner.logs[handle.id, 0] = ["a line"]
    assert service.logs(handle, 0, {}, False).lines == ["a line"]
    double.has_log_lines = False
    assert service.logs(handle, 0, {}, False).lines == ["a line"]
    service.cancel(handle)
    list(service.list([Phase.STOPPED]))
    asked = {name_of(call.path, call.method, double.project_id) for call in double.requests}
    assert asked - {"GET /"} == set(CALLS), "of '/' only the Date header is used"
    assert {record.call for record in KNOWN.records} - {"*"} == set(CALLS)


@pytest.mark.parametrize("record", KNOWN.records, ids=lambda record: f"{record.call} {record.case}")
def test_records_tell_their_source(record):
    assert record.source.startswith(
        ("OTC modelarts@1ba1873 ", "huaweicloudsdkmodelarts 3.1.219 ", "https://")
    )
    assert (record.body is None) == (record.status == 204)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("POST /v2/{project_id}/training-jobs", ("TestModelArtsJob", Phase.STARTING, "Creating", "", 1, 0)),
        (
            f"GET {JOB}",
            ("trainjob--py14_mem06-108", Phase.FAILED, "CreateFailed", "obs://test/train_output/", 1, 1),
        ),
    ],
)
def test_the_references_own_answers(call, expected):
    """Not through the double: what the client reads out of the samples as they stand."""
    found = view.status_of(KNOWN.of(call).body, Handle("modelarts", ("r", "p", "id")), 0)
    shown = (found.name, found.phase, found.detail, found.train_url, found.cards, found.restarts)
    assert shown == expected


def test_the_references_own_events():
    events = KNOWN.of(f"GET {JOB}/events").body["events"]
    assert view.event_text(events) == "Training job failed."


@pytest.mark.parametrize("code", CODES)
def test_codes_are_those_of_the_list(code):
    """Their names, too: a number under another name would be another code."""
    error = KNOWN.errors[code]
    if re.fullmatch(r"\w+", error.name):
        assert CODES[code].name == error.name
    advice = CODES[code].advice
    assert "\n" not in advice
    assert advice or CODES[code].passes, "a final refusal says what to do"


# codes


def expected(error: Error, kind: str) -> type[Exception]:
    """What the lists say, in the terms of src/mindlift/cloud/errors.py."""
    known = CODES.get(error.code)
    if kind == "log" and (error.code in LOG_NOT_THERE or error.status == 204):
        return LogNotThere
    if error.code == "ModelArts.2775":
        return NoSuchJob
    if error.status == 429 or error.status >= 500 or (known and known.is_passing(kind)):
        return Overloaded
    return Refused


@pytest.mark.parametrize("kind", KINDS)
def test_every_code_at_every_call(double, kind):
    """No code of the list ends in a traceback, in two lines, or in a wait that never ends."""
    service, handle = created(double)
    for key, error in KNOWN.errors.items():
        if error.status == 204 and kind != "log":
            continue  # documented for logs and metrics alone
        if error.status < 200 or (kind, error.code) == ("cancel", "ModelArts.2796"):
            continue  # 0116 is listed with HTTP 100, which ends no answer
        double.fail_next_code(key)
        with pytest.raises(Exception, match=re.escape(error.code) if error.status != 204 else "2776") as info:
            ask(kind, service, handle)
        found = info.value
        assert type(found) is expected(error, kind), (key, found)
        assert "\n" not in str(found)
        assert "test-sk-hush" not in str(found)
        if isinstance(found, Overloaded):
            leaves_doubt = error.status >= 500 and error.status != 429
            assert found.created_nothing is not leaves_doubt, key
        elif error.code in CODES and error.status not in (204, 401):
            assert str(found).endswith(CODES[error.code].advice)
        assert not double.failures, "one request, one answer"


@pytest.mark.parametrize(
    (
        "code",
        "is_final",
    ),  # REF appendix/error_codes.rst: 204; "view the log after it is generated"; "has been cleared"
    [
        ("ModelArts.2776", False),
        ("ModelArts.2818", False),
        ("ModelArts.2819", True),
        ("ModelArts.2820", True),
        ("ModelArts.2822", True),
    ],
)
def test_logs_that_are_not_there(double, code, is_final):
    service, handle = created(double)
    double.log_code = code
    with pytest.raises(LogNotThere, match=code) as info:
        ask("log", service, handle)
    assert info.value.is_final is is_final
    assert info.value.exit_code == 2


def test_a_log_that_is_not_ready_is_an_answer_without_a_body(double):
    """REF appendix/error_codes.rst lists 2776 with HTTP 204; appendix/status_code.rst: that has no body."""
    service, handle = created(double)
    with pytest.raises(LogNotThere, match="the log is not ready") as info:
        ask("log", service, handle)
    assert (info.value.http, info.value.code, info.value.is_final) == (204, "ModelArts.2776", False)


def test_an_empty_answer_tells_nothing_of_a_job(double):
    service, handle = created(double)
    double.answer_next(204, b"")
    with pytest.raises(NoAnswer, match="can't be read"):
        service.show(handle)


@pytest.mark.parametrize("phase", [*PHASES, "Rebalancing"])
def test_cancel_in_every_phase(double, phase):
    """SDK stop_training_job: Creating, Pending and Running can be ended; REF 2796, HTTP 409, in all others."""
    service, handle = created(double)
    double.runner.set(handle.id, phase=phase)
    service.cancel(handle)
    may_end = phase in ("Creating", "Pending", "Running")
    assert double.runner.states[handle.id].phase == ("stopped" if may_end else phase)
    if phase == "Rebalancing":
        assert service.show(handle).phase is Phase.UNKNOWN


def test_a_job_that_changes_its_phase_is_cancelled_a_moment_later(double):
    """REF 2878 JobStatusChanged, HTTP 409: "Please try again later"."""
    service, handle = created(double)
    double.fail_next_code("ModelArts.2878", times=2)
    RetryPolicy(30, sleep=lambda _: None).call(lambda: service.cancel(handle))
    assert service.show(handle).phase is Phase.STOPPED


def test_a_cancel_that_answers_nothing(double):
    """The SDK's StopTrainingJobResponse has no field that must be there."""
    service, handle = created(double)
    double.answer_next(202, b"")
    service.cancel(handle)


@pytest.mark.parametrize(
    ("code", "creations"),  # a fault may have created the job; 429 proves that it has not
    [("ModelArts.2952", 1), ("APIGW.0203", 1), ("ModelArts.2799", 2), ("APIGW.0308", 2)],
)
def test_a_creation_is_repeated_only_where_nothing_was_created(double, code, creations):
    job = job_of(double)
    service = provider(job)
    double.fail_next_code(code)
    quick = RetryPolicy(30, sleep=lambda _: None)
    if creations == 1:
        with pytest.raises(NoAnswer, match="no job of that name appeared"):
            create_once(service, job, PACKAGE, quick)
    else:
        create_once(service, job, PACKAGE, quick)
    sent = [call for call in double.requests if call.method == "POST" and call.path.endswith("training-jobs")]
    assert len(sent) == creations


# a network that fails


def test_what_was_never_sent_created_nothing(double):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for endpoint in (address, "http://no-such-host.invalid"):
        job = job_of(double, endpoint=endpoint)
        with pytest.raises(NoAnswer, match="does not answer") as info:
            provider(job).create(job, PACKAGE)
        assert info.value.created_nothing, endpoint


@pytest.mark.parametrize("what", ["slow", "lost"])
def test_what_was_sent_leaves_doubt(double, what):
    job = job_of(double)
    service = provider(job, timeout_s=0.3)
    if what == "slow":
        double.delay_s = 1
    else:
        double.lose_next_answer()
    with pytest.raises(NoAnswer) as info:
        service.create(job, PACKAGE)
    assert not info.value.created_nothing


def test_an_iam_that_is_away_created_nothing(double, env):
    """The project is asked for before the job is sent."""
    from huaweicloudsdkcore.auth.credentials import Credentials

    Credentials._CACHE.clear()
    env.setenv("HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4", double.endpoint)
    env.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", double.endpoint)
    double.delay_s = 1
    job = job_of(double, region="cn-north-4", endpoint="", project_id="")
    with pytest.raises(NoAnswer) as info:
        provider(job, timeout_s=0.3).create(job, PACKAGE)
    assert info.value.created_nothing
