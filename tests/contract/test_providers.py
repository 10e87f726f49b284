"""The contract of base.Provider, on every provider, with real processes behind each service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mindlift.cloud import handle as handles
from mindlift.cloud import providers
from mindlift.cloud.errors import MindLiftError, NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.follow.follow import Follower
from mindlift.cloud.follow.positions import Positions
from mindlift.cloud.follow.progress import Progress
from mindlift.cloud.follow.top import Jobs
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import bucket as buckets
from mindlift.cloud.prepare import package as packages
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Provider, Status
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from mindlift.storage import places
from mindlift.storage.moxing import file
from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.openi import OpenIDouble
from tests.doubles.runner import LocalRunner

PROGRAM = b"""import sys, time
given = dict(word[2:].split("=", 1) for word in sys.argv[1:])
for number in range(int(given["lines"])):
    print("line", number, flush=True)
time.sleep(float(given["sleep"]))
sys.exit(int(given["code"]))
"""
PACKAGE = Package("0" * 40, False, {"train.py": PROGRAM})


@dataclass
class Rig:
    """A provider with its service, and a job that its service takes."""

    job: Job
    double: ModelArtsDouble | OpenIDouble | None

    @property
    def provider(self) -> Provider:
        return providers.load(self.job)

    def named(self, name: str, **recipe: object) -> Job:
        given = {"lines": 1, "sleep": 0, "code": 0, **recipe}
        return replace(
            self.job, name=name, recipe=given, train_url=self.job.train_url and f"{self.job.train_url}{name}/"
        )

    def create(self, name: str = "job-one", **recipe: object) -> Handle:
        job, provider = self.named(name, **recipe), self.provider
        with provider.reach_store():
            if job.code_url:
                packages.sync(PACKAGE, job.code_url)
            return provider.create(provider.complete(job), PACKAGE)

    def wait(
        self, handle: Handle, until: Callable[[Status], bool] = lambda status: status.phase.is_final
    ) -> Status:
        deadline, status = time.monotonic() + 60, self.provider.show(handle)
        while not until(status):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
            status = self.provider.show(handle)
        return status


def local(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    monkeypatch.setenv("MINDLIFT_REHEARSALS", str(runner.home))
    yield Rig(Job(provider="local", train_url=f"{url}/runs/", code_url=f"{url}/code/mindlift/"), None)


def modelarts(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    with ModelArtsDouble(runner) as double:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", double.access_key)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", double.secret_key)
        yield Rig(
            Job(
                provider="modelarts",
                endpoint=double.endpoint,
                project_id=double.project_id,
                flavor="modelarts.kat1.xlarge",
                engine=ENGINE,
                train_url=f"{url}/runs/",
                code_url=f"{url}/code/mindlift/",
            ),
            double,
        )


def openi(url: str, runner: LocalRunner, monkeypatch, cluster: str = "C2Net") -> Iterator[Rig]:
    packages.sync(PACKAGE, f"{url}/code/mindlift/")
    with OpenIDouble(runner, f"{url}/code/mindlift/", f"{url}/runs/") as double:
        monkeypatch.setenv("OPENI_TOKEN", double.token)
        yield Rig(
            Job(
                provider="openi",
                endpoint=double.endpoint,
                repo="me/code",
                branch="main",
                cluster=cluster,
                image="mindspore",
            ),
            double,
        )


def qizhi(url: str, runner: LocalRunner, monkeypatch) -> Iterator[Rig]:
    yield from openi(url, runner, monkeypatch, "OpenICloudbrainTwo")


RIGS = {"local": local, "modelarts": modelarts, "openi": openi, "qizhi": qizhi}
on_all = pytest.mark.parametrize("rig", RIGS, indirect=True)
on_services = pytest.mark.parametrize("rig", ["modelarts", "openi", "qizhi"], indirect=True)
on_modelarts = pytest.mark.parametrize("rig", ["modelarts"], indirect=True)
on_openi = pytest.mark.parametrize("rig", ["openi"], indirect=True)


@pytest.fixture
def rig(request, minio, bucket, tmp_path, monkeypatch) -> Iterator[Rig]:
    access = StoreAccess(minio.endpoint, minio.access_key, minio.secret_key, "given")
    for name, value in {
        **access.variables(),
        "HOME": str(tmp_path),
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    runner = LocalRunner(tmp_path / "rehearsals", access)
    yield from RIGS[request.param](f"obs://{bucket}", runner, monkeypatch)
    places.SERVICES.forget()


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


# Services that misbehave.


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


def refused(rig: Rig, **changes: object) -> str:
    """What the checks say of a job that can't be, and that creating it all the same is refused."""
    job = replace(rig.named("job-one"), **changes)
    provider = providers.load(job)
    failed = [
        check
        for check in provider.check(provider.complete(job), PACKAGE)
        if check.ok is False and check.name != "branch"
    ]
    with pytest.raises((Refused, MindLiftError)) as caught:
        provider.create(provider.complete(job), PACKAGE)
    assert caught.value.exit_code == 2
    assert failed
    return (
        " | ".join(f"{check.name}: {check.says}; {check.advice}" for check in failed)
        + " || "
        + str(caught.value)
    )


MODELARTS = {
    "no such flavor": (
        {"flavor": "modelarts.kat9.xlarge"},
        {},
        ["the service has no modelarts.kat9.xlarge", "2781"],
    ),
    "no such engine": ({"engine": "Ascend-Powered-Engine/none"}, {}, ["engine", "not there", "2780"]),
    "quota": ({}, {"quota": 0}, ["quota: job-num: 0 of 0 in use", "2815"]),
    "wrong secret key": ({}, {"secret_key": "another"}, ["401", "APIGW.0301", "look at the access key"]),
    "unknown access key": ({}, {"access_key": "another"}, ["APIGW.0301", "not exist"]),
    "clock": ({}, {"clock_offset_s": 3600}, ["signature expired", "clock right"]),
    "other project": ({"project_id": "feedfeed"}, {}, ["2786"]),
}


@pytest.mark.parametrize("case", MODELARTS)
@on_modelarts
def test_what_modelarts_refuses(rig, case):
    changes, edits, parts = MODELARTS[case]
    for name, value in edits.items():
        setattr(rig.double, name, value)
    said = refused(rig, **changes)
    assert [part for part in parts if part not in said and part != "401"] == [], said
    assert "test-sk-hush" not in said


@on_modelarts
def test_places_have_to_be_there(rig):
    """ModelArts' user manual, Creating a Training Job: code, data and the folder of results exist before the job."""

    def exists(url: str) -> bool:
        store, key = places.locate(url)
        return store.stat(key) is not None

    rig.double.exists = exists
    job, provider = rig.named("job-one"), rig.provider
    job = provider.complete(replace(job, log_url=f"{rig.job.train_url}logs/"))
    with pytest.raises(Refused, match="2802"):
        provider.create(job, PACKAGE)
    packages.sync(PACKAGE, job.code_url)
    with pytest.raises(Refused, match="2791.*does not exist"):
        provider.create(job, PACKAGE)
    buckets.make_folders(job)
    assert rig.wait(provider.create(job, PACKAGE)).phase is Phase.SUCCEEDED


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
    assert (Path(out.url) / "run/d/数据.txt").read_bytes() == b"result"


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
    assert {name: (Path(out.url) / name).read_bytes() for name in files} == files
    assert rig.double.store.requests
    assert rig.double.store.leaks == 0


@pytest.mark.parametrize("rig", ["openi", "qizhi"], indirect=True)
def test_openi_is_sent_nothing_without_effect(rig):
    rig.wait(rig.create())
    assert (rig.double.unknown_fields, rig.double.collapsed) == ([], [])


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
            file.write(f"{url}1125-1200/run.json", "{}")
            file.write(f"{url}1125-1200/metrics.jsonl", "\n".join(map(json.dumps, lines)) + '\n{"ti')
        found = [row.progress for row in jobs.look()]
    assert found == [Progress(4, 20, 5, 0.5, 8.0, None, 0.5, 3.0) if url else None]
    assert (bool(url), jobs.problem) == (bool(rig.job.train_url), "")
    provider.cancel(handle)
    rig.wait(handle)
