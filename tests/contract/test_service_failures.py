"""The contract of base.Provider where a service misbehaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mindlift.cloud.errors import NoAnswer, Overloaded
from mindlift.cloud.prepare import package as packages
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.support.rigs import PACKAGE, on_services


@on_services
def test_a_lost_answer_creates_one_job(rig):
    job, provider = rig.named("job-one"), rig.provider
    if job.code_url:
        packages.sync(PACKAGE, job.code_url)
    rig.double.lose_next_answer()
    handle = create_once(provider, provider.complete(job), PACKAGE, RetryPolicy(30, sleep=lambda s: None))
    assert rig.wait(handle).name == "job-one"
    assert len(list(provider.list(()))) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
@on_services
def test_busy_services_are_asked_again(rig, status):
    handle = rig.create()
    rig.wait(handle)
    rig.double.fail_next(2, status)
    with pytest.raises(Overloaded):
        rig.provider.show(handle)
    assert (
        RetryPolicy(30, sleep=lambda s: None).call(lambda: rig.provider.show(handle)).phase is Phase.SUCCEEDED
    )


@on_services
def test_a_service_that_is_away(rig):
    handle = rig.create()
    rig.wait(handle)
    provider = rig.provider
    rig.double.__exit__()
    with pytest.raises(NoAnswer, match="does not answer"):
        provider.show(handle)


@on_services
def test_unknown_words_are_tolerated(rig):
    handle = rig.create(sleep=600)
    rig.wait(handle, lambda status: status.phase is Phase.RUNNING)
    runner, state = rig.double.runner, rig.double.runner.state
    rig.double.runner = type(
        "Odd", (), {"state": lambda self, job_id: replace(state(job_id), phase="hibernating")}
    )()
    found = rig.provider.show(handle)
    assert found.phase is Phase.UNKNOWN
    assert found.raw.lower() == "hibernating"
    rig.double.runner = runner
    rig.provider.cancel(handle)
