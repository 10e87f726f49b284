"""Calls of ModelArts that fail: refused, slow, away, lost."""

from __future__ import annotations

import logging
import re
import socket
import traceback

import pytest

from mindlift.cloud.errors import NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.retry import RetryPolicy
from tests.support.modelarts_jobs import PACKAGE, created, found_id, job_of, provider


def test_a_wrong_secret_key(double, env):
    env.setenv("HUAWEICLOUD_SDK_SK", "not-the-secret")
    with pytest.raises(Refused, match="verify aksk signature fail.*look at the access key") as info:
        created(double)
    shown = "".join(traceback.format_exception(info.type, info.value, info.tb))
    assert "not-the-secret" not in shown
    assert double.access_key not in shown


def test_an_unknown_access_key(double, env):
    env.setenv("HUAWEICLOUD_SDK_AK", "nobodys-key")
    with pytest.raises(
        Refused, match=r"ak \*\*\* not exist; look at the access key"
    ):  # the service repeats it
        created(double)


def test_a_clock_that_is_off_by_an_hour(double):
    double.clock_offset_s = 3600
    with pytest.raises(Refused, match="set this machine's clock right"):
        created(double)
    found = list(provider(job_of(double)).selfcheck(job_of(double)))
    clock = next(check for check in found if check.name == "clock")
    assert clock.ok is False
    assert re.match(r"3(599|600|601) s behind ModelArts", clock.says)
    assert found[-1].name == "service"


def test_secrets_that_the_service_repeats_are_hidden(double, env):
    env.setenv("MY_TOKEN", "very-hush $x")
    with pytest.raises(Refused) as info:
        created(double, secrets={"MY_TOKEN": "env:MY_TOKEN"})
    assert "the value of MY_TOKEN, ***, is not valid" in str(info.value)
    assert "very-hush" not in "".join(traceback.format_exception(info.type, info.value, info.tb))
    job = job_of(double, secrets={"MY_TOKEN": "env:MY_TOKEN"})
    shown = str(provider(job).plan(job, PACKAGE))
    assert "'MY_TOKEN': '***'" in shown
    assert "very-hush" not in shown


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_overload_tells_code_and_pause(double, status, method):
    """A GET's 429, too: by itself the SDK loses what the service says."""
    service, handle = created(double)
    double.fail_next(1, status, retry_after=7)
    with pytest.raises(Overloaded) as info:
        service.show(handle) if method == "GET" else service.find(job_of(double))
    assert info.value.retry_after_s == 7
    assert info.value.code == {429: "ModelArts.2799", 500: "ModelArts.0010", 503: "503"}[status]
    assert service.show(handle).name == "first"


def test_a_service_that_is_slow(double):
    service = provider(job_of(double), timeout_s=0.3)
    double.delay_s = 1
    with pytest.raises(NoAnswer, match="does not answer"):
        list(service.list(()))


def test_a_service_that_is_away(double, capfd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for endpoint in (address, "http://no-such-host.invalid"):
        with pytest.raises(NoAnswer, match="does not answer") as info:
            list(provider(job_of(double, endpoint=endpoint)).list(()))
        assert " object at 0x" not in str(info.value)
    assert capfd.readouterr().err == ""  # the error is one line, and it is ours to print


def test_the_sdk_does_not_log_to_the_terminal(double):
    list(provider(job_of(double)).list(()))
    assert logging.getLogger("HuaweiCloud-SDK-ModelArtsClient").handlers


@pytest.mark.parametrize("data", [b"<html>welcome to the hotel</html>", b"[]", b"null"])
def test_answers_that_are_none_of_the_services(double, data):
    service, handle = created(double)
    double.answer_next(200, data)
    with pytest.raises(NoAnswer, match="can't be read"):
        service.show(handle)
    double.answer_next(201, b"{}")
    with pytest.raises(NoAnswer, match="names no job"):
        service.create(job_of(double, name="second", train_url="obs://bucket/other/"), PACKAGE)


def test_a_lost_answer_makes_one_job(double):
    job = job_of(double)
    service = provider(job)
    double.lose_next_answer()
    with pytest.raises(NoAnswer):
        service.create(job, PACKAGE)
    assert found_id(service, job) == next(iter(double.jobs))
    other = job_of(double, name="other", train_url="obs://bucket/other/")
    double.lose_next_answer()
    handle = create_once(service, other, PACKAGE, RetryPolicy(sleep=lambda _: None))
    assert [body["metadata"]["name"] for body in double.jobs.values()] == ["first", "other"]
    assert service.show(handle).name == "other"


def test_a_job_that_is_not_there(double):
    service, handle = created(double)
    gone = Handle(handle.provider, (*handle.parts[:2], "0" * 8))
    for ask in (service.show, service.cancel, lambda which: service.logs(which, 0, {}, False)):
        with pytest.raises(NoSuchJob, match="2775"):
            ask(gone)


def test_cancel_excuses_only_a_job_that_has_ended(double):
    service, handle = created(double)
    service.cancel(handle)
    service.cancel(handle)
    double.answer_next(409, b'{"error_code": "ModelArts.0101", "error_msg": "another conflict"}')
    with pytest.raises(Refused, match="another conflict"):
        service.cancel(handle)
