"""Lists of OpenI's jobs, their states and the reasons that it gives.

Numbers are files of aiforge, as in test_openi_answers.py.
"""

from __future__ import annotations

import pytest

from mindlift.cloud.errors import Overloaded
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.providers.openi import answers, states
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.doubles.openi_answers import NOT_FINAL, QIZHI, TERMINAL
from tests.support.openi_jobs import PACKAGE, client_of, created, job_at, sent_creations


@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
def test_the_list_shows_what_it_knows(service, cluster):
    """repo_name and owner_name stand beside `task`, which has no spec and no nodes (69722563307)."""
    provider, handle = created(service, cluster=cluster, cards=8, spec="8 x Ascend 910")
    (listed,) = provider.list(())
    assert (listed.handle, listed.name) == (handle, "job-one")
    assert str(handle) == "openi://me/code/101"
    assert (listed.nodes, listed.cards, listed.reason, listed.detail) == (0, 0, "", "")
    shown = provider.show(handle)
    assert (shown.nodes, shown.cards) == (1, 8)
    bare = client_of(Job(provider="openi", endpoint=service.endpoint))
    assert [status.handle for status in bare.list(())] == [handle]


def test_pages_of_the_list(service):
    service.limit = 1000
    job = job_at(service)
    provider = client_of(job)
    for number in range(103):
        provider.create(job.replace(name=f"job-{number:03d}"), PACKAGE)
    assert [status.name for status in provider.list(())] == [
        f"job-{number:03d}" for number in range(102, -1, -1)
    ]


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1]), (50, [50]), (51, [26, 26])])
def test_no_more_jobs_are_asked_for_than_are_shown(service, limit, sizes):
    service.limit = 1000
    job = job_at(service)
    provider = client_of(job)
    for number in range(60):
        provider.create(job.replace(name=f"job-{number:03d}"), PACKAGE)
    service.requests.clear()
    found = [status.name for status in provider.list((), limit)]
    assert found == [f"job-{number:03d}" for number in range(59, 59 - limit, -1)]
    assert [int(call.query["pageSize"]) for call in service.requests] == sizes


def test_a_reason_as_it_was_said(service):
    """html.EscapeString in buildAITaskInfo (69816740485)."""
    provider, handle = created(service)
    service.runner.set(handle.id, phase="failed", reason="exit code 1: 'a' < \"b\" & c")
    assert provider.show(handle).reason == "exit code 1: 'a' < \"b\" & c"


def test_a_job_that_is_still_being_created_is_not_taken_for_stopped(service):
    """StopTask answers well and does nothing then (69816740485)."""
    service.preparing = 5
    provider, handle = created(service)
    with pytest.raises(Overloaded, match="PREPARING: it is still being created"):
        provider.cancel(handle)
    assert not [call for call in service.requests if call.path.endswith("/stop")]
    RetryPolicy(60, sleep=lambda s: None).call(lambda: provider.cancel(handle))
    assert provider.show(handle).phase is Phase.STOPPED
    stops = len([call for call in service.requests if call.path.endswith("/stop")])
    provider.cancel(handle)
    assert len([call for call in service.requests if call.path.endswith("/stop")]) == stops, "it has ended"


def test_an_image_that_is_gone_is_told_later(service):
    """CheckImageAvailable looks only at jobs that continue another (69426866292)."""
    provider, handle = created(service)
    service.tasks.clear()
    body = {**sent_creations(service)[0], "image_id": "9"}
    answer = provider.rest.post("x", answers.CREATE.at(owner="me", repo="code"), body)
    found = provider.show(Handle("openi", ("me", "code", str(answer["id"]))))
    assert (found.phase, found.reason) == (Phase.FAILED, "image not available")


@pytest.mark.parametrize("word", sorted(TERMINAL))
def test_what_the_server_calls_ended_has_ended(word):
    assert states.phase_of(word).is_final


@pytest.mark.parametrize("word", sorted(NOT_FINAL))
def test_what_the_server_counts_as_running_has_not_ended(word):
    assert not states.phase_of(word).is_final
    assert states.phase_of(word) is not Phase.UNKNOWN


ENDED = "IMAGE_FAILED SUBMIT_FAILED DELETE_FAILED SUBMIT_MODEL_FAILED DEPLOY_SERVICE_FAILED CHECK_FAILED LOST"


@pytest.mark.parametrize("word", [*ENDED.split(), "CANCELED", "3", "11", "21"])
def test_a_job_that_will_never_run_ends_a_wait(word):
    """transCloudbrainTwoTrainJobStatus (69733840638), by number where the server knows no word."""
    assert states.phase_of(word).is_final


@pytest.mark.parametrize("word", ["", "UNKNOWN", "0", "22", "99", "RESIZING", "UNAVAILABLE", "DELETED", "²"])
def test_words_without_a_meaning_for_training(word):
    assert states.phase_of(word) is Phase.UNKNOWN
