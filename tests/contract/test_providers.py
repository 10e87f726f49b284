"""The contract of base.Provider, on every provider, with real processes behind each service."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest

from mindlift.cloud import handle as handles
from mindlift.cloud import providers
from mindlift.cloud.errors import NoSuchJob, Refused
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.positions import Positions
from mindlift.cloud.follow.progress import Progress
from mindlift.cloud.follow.top import Jobs
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.probe import Probe
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.storage.moxing import file
from tests.doubles.openi import OpenIDouble
from tests.support.rigs import PACKAGE, on_all


@on_all
def test_a_job_runs_and_ends_well(rig):
    handle = rig.create()
    assert handles.parse(str(handle)) == handle
    found = rig.wait(handle)
    assert found.phase is Phase.SUCCEEDED
    assert (found.name, found.nodes, found.cards, found.restarts) == ("job-one", 1, 1, 0)
    assert found.handle == handle
    assert 0 < found.created_at <= found.started_at + 1
    assert found.duration_s < 60
    assert found.as_dict()["handle"] == str(handle)
    if rig.job.train_url:
        assert found.train_url.rstrip("/") == f"{rig.job.train_url}job-one"


@on_all
def test_a_failed_job_says_why(rig):
    found = rig.wait(rig.create(code=7))
    assert found.phase is Phase.FAILED
    assert "exit code 7" in found.reason


@on_all
def test_logs_come_whole_and_once(rig):
    handle = rig.create(lines=1203)
    status = rig.wait(handle)
    out: list[str] = []
    follower = Follower(rig.provider, handle, out.append, out.append, Positions(None), RetryPolicy())
    follower.read_node(status, 0)
    assert [line for line in out if line.startswith("line ")] == [f"line {number}" for number in range(1203)]
    assert not follower.read_node(status, 0), "nothing is new"


@on_all
def test_cancel(rig):
    handle = rig.create(sleep=600)
    rig.wait(handle, lambda status: status.phase is Phase.RUNNING)
    rig.provider.cancel(handle)
    assert rig.wait(handle).phase is Phase.STOPPED
    rig.provider.cancel(handle)
    assert rig.provider.show(handle).phase is Phase.STOPPED


@on_all
def test_lists_and_finds(rig):
    if isinstance(rig.double, OpenIDouble):
        rig.double.limit = 2  # jobs at once
    first, second = rig.create("job-one"), rig.create("job-two", code=1)
    for handle in (first, second):
        rig.wait(handle)
    assert [status.handle for status in rig.provider.list(())] == [second, first]
    assert [status.handle for status in rig.provider.list((Phase.FAILED,))] == [second]
    assert list(rig.provider.list((Phase.RUNNING, Phase.QUEUED))) == []
    assert [status.handle for status in rig.provider.list((), 1)] == [second]
    assert [status.handle for status in rig.provider.list((Phase.FAILED, Phase.SUCCEEDED), 5)] == [
        second,
        first,
    ]
    assert list(rig.provider.list((), 0)) == []
    assert rig.provider.find(rig.named("job-two")) == second
    assert rig.provider.find(rig.named("job-t")) is None


@on_all
def test_a_handle_is_enough(rig, monkeypatch):
    handle = rig.create()
    rig.wait(handle)
    bare = providers.load(
        Job(provider=handle.provider, endpoint=rig.job.endpoint if handle.provider == "openi" else "")
    )
    assert bare.show(handle).phase is Phase.SUCCEEDED
    assert bare.logs(handle, 0, {}, True).lines


@on_all
def test_jobs_that_are_not_there(rig):
    nobody = Handle(rig.job.provider, (*rig.create().parts[:-1], "999999"))
    for ask in (
        rig.provider.show,
        rig.provider.cancel,
        lambda handle: rig.provider.logs(handle, 0, {}, True),
    ):
        with pytest.raises(NoSuchJob) as caught:
            ask(nobody)
        assert caught.value.exit_code == 2


@on_all
def test_the_checks_pass_for_a_good_job_and_see_a_taken_name(rig):
    job, provider = rig.named("job-one"), rig.provider
    found = list(provider.check(provider.complete(job), PACKAGE))
    assert [check for check in found if check.ok is False and check.name != "branch"] == []
    rig.create("job-one", sleep=600)
    failed = {
        check.name: check for check in provider.check(provider.complete(job), PACKAGE) if check.ok is False
    }
    assert "job-one" in failed["name"].says
    if job.train_url:
        assert "in use by" in failed["train_url"].says
    provider.cancel(provider.find(job))


@on_all
def test_selfcheck_is_well(rig):
    found = list(rig.provider.selfcheck(rig.job))
    assert found
    # whether the commit of this checkout is pushed is not of this test
    assert [check for check in found if check.ok is False and check.name != "branch"] == []


@on_all
def test_the_plan_is_what_is_sent(rig):
    job, provider = rig.named("job-one"), rig.provider
    planned = provider.plan(provider.complete(job), PACKAGE).request
    rig.create("job-one")
    if rig.double:
        sent = next(
            call
            for call in rig.double.requests
            if call.method == "POST" and call.path.endswith(("training-jobs", "/create"))
        )
        assert sent.json() == planned


@on_all
def test_a_plan_without_asking_opens_no_connection(rig):
    job, provider = rig.named("job-one"), rig.provider
    job = provider.complete(job)
    assert provider.plan(job, PACKAGE, asks=False).request
    assert [check for check in provider.offline_checks(job, PACKAGE) if check.ok is False] == []
    assert not rig.double or rig.double.requests == []


@on_all
def test_what_a_provider_says_of_itself(rig):
    provider = rig.provider
    assert provider.name == rig.job.provider
    assert provider.longest_poll_s > 0
    assert (
        provider.effects.keys() == FIELDS.keys()
    ), "every key of a job file is sent, refused or without effect"
    assert {effect.partition(":")[0] for effect in provider.effects.values()} <= {
        "sent",
        "refused",
        "no effect",
    }
    assert all(isinstance(code, str) for code in provider.full_codes)


@on_all
def test_price_and_buckets(rig):
    """None where the service does not tell, and where it reaches no buckets of the user's."""
    job, provider = rig.provider.complete(rig.named("job-one")), rig.provider
    price, needs = provider.price(job), provider.bucket_needs(job)
    assert price is None or price.amount >= 0
    assert needs is None or job.train_url


@on_all
def test_results_are_at_a_url_or_in_the_folder(rig, tmp_path):
    handle = rig.create()
    rig.wait(handle)
    with rig.provider.reach_store():
        ask = rig.provider.output
        found = RetryPolicy(30, sleep=lambda s: None).call(lambda: ask(handle, tmp_path / "out"))
    expected = f"{rig.job.train_url}job-one" if rig.job.train_url else str(tmp_path / "out")
    assert [url.rstrip("/") for url in found.urls.values()] == [expected]


@on_all
def test_a_probe_asks_and_changes_nothing(rig):
    handle = rig.create()
    rig.wait(handle)
    before, provider = rig.provider.show(handle), rig.provider
    probe = Probe(provider.name, "2026-01-01")
    for _, ask in provider.questions(rig.job, handle, probe):
        with contextlib.suppress(Refused):
            ask()
    assert bool(probe.records) is bool(rig.double), "a rehearsal has no service to ask"
    assert replace(rig.provider.show(handle), duration_s=0) == replace(before, duration_s=0)
    assert len(list(rig.provider.list(()))) == 1


@on_all
def test_nothing_of_a_key_is_ever_shown(rig, capsys):
    secrets = ["secret123", "test-sk-hush", OpenIDouble.token]
    provider = rig.provider
    texts = [
        repr(provider),
        repr(vars(provider)),
        repr(provider.plan(provider.complete(rig.named("x1x")), PACKAGE)),
    ]
    texts += [check.says for check in provider.selfcheck(rig.job)]
    assert not [secret for secret in secrets for text in texts if secret in text]


@on_all
def test_top_shows_what_a_run_publishes(rig):
    """By services without a bucket of ours the phase alone."""
    handle = rig.create("job-one", sleep=600)
    rig.wait(handle, lambda status: status.phase is Phase.RUNNING)
    lines = [
        {"time": 1.0, "event": "start", "step": 0, "steps_per_epoch": 5, "total": 20},
        {"time": 3.0, "epoch": 0, "step": 4, "loss": 0.5, "images_per_second": 8.0, "step_seconds": [0.5]},
    ]
    provider = rig.provider
    url = provider.show(handle).train_url
    jobs = Jobs(provider, [Phase.RUNNING], 10)
    with jobs.store:
        assert [(row.status.handle, row.progress) for row in jobs.look()] == [(handle, None)]
        if url:
            file.write(f"{url}20261125-120000/run.json", "{}")
            file.write(f"{url}20261125-120000/metrics.jsonl", "\n".join(map(json.dumps, lines)) + '\n{"ti')
        found = [row.progress for row in jobs.look()]
    assert found == [Progress(4, 20, 5, 0.5, 8.0, None, 0.5, 3.0) if url else None]
    assert (bool(url), jobs.problem) == (bool(rig.job.train_url), "")
    provider.cancel(handle)
    rig.wait(handle)
