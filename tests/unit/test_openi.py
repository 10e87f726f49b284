"""OpenI's client: what each answer and each key of a job means. Numbers are files of aiforge, the server's source, in a
public index of code; tests/doubles/records/openi has what the server answers."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mindlift.cloud import providers
from mindlift.cloud.errors import NoAnswer, NoSuchJob, Overloaded, Refused
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.prepare import preflight
from mindlift.cloud.prepare.creation import create_once
from mindlift.cloud.prepare.effects import SENT
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.prepare.submission import Submission
from mindlift.cloud.providers.base import Check, Price
from mindlift.cloud.providers.openi import answers, request, states
from mindlift.cloud.providers.openi.answers import Route
from mindlift.cloud.providers.openi.client import OpenI
from mindlift.cloud.providers.openi.codes import CODES, QUEUE_CODES
from mindlift.cloud.providers.openi.rest import Rest
from mindlift.cloud.retry import RetryPolicy
from mindlift.cloud.states import Phase
from tests.doubles.openi import OpenIDouble
from tests.doubles.openi_answers import CREATE, NOT_FINAL, QIZHI, RECORDS, TERMINAL
from tests.doubles.runner import ScriptedRunner

TOKEN = "0123456789abcdef-secret"


@pytest.fixture
def answer() -> Iterator:
    """`answer(status, text, **headers)` sets what a server on loopback says; returns its client."""
    said: dict = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = said["text"].encode()
            self.send_response(said["status"])
            for name, value in said["headers"].items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def say(status: int, text: str, **headers: str) -> Rest:
        said.update(status=status, text=text, headers=headers)
        return Rest(f"http://127.0.0.1:{server.server_port}", {"OPENI_TOKEN": TOKEN, "HOME": "/nonexistent"})

    yield say
    server.shutdown()
    server.server_close()


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


# With a service.

PACKAGE = Package("0" * 40, False, {"train.py": b"x"})
KINDS = ("create", "cancel", "show", "log", "list", "output", "look up")


@pytest.fixture
def service(tmp_path, monkeypatch) -> Iterator[OpenIDouble]:
    monkeypatch.setenv("OPENI_TOKEN", OpenIDouble.token)
    monkeypatch.setenv("HOME", str(tmp_path))
    with OpenIDouble(ScriptedRunner(), results_url=f"{tmp_path}/results/") as double:
        yield double


def job_at(double: OpenIDouble, **changes: object) -> Job:
    job = Job(
        provider="openi",
        endpoint=double.endpoint,
        name="job-one",
        repo="me/code",
        branch="main",
        image="mindspore",
    )
    return job.replace(**changes)


def client_of(job: Job) -> OpenI:
    found = providers.load(job)
    assert isinstance(found, OpenI)
    return found


def created(double: OpenIDouble, **changes: object) -> tuple[OpenI, Handle]:
    job = job_at(double, **changes)
    return client_of(job), client_of(job).create(job, PACKAGE)


def result(tmp_path: Path, handle: Handle, name: str) -> None:
    path = tmp_path / "results" / handle.id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def sent_creations(double: OpenIDouble) -> list[dict]:
    return [call.json() for call in double.requests if call.path.endswith("/create")]


def checks_of(double: OpenIDouble, package: Package = PACKAGE, **changes: object) -> dict[str, tuple]:
    job = job_at(double, **changes)
    return {check.name: (check.ok, check.says) for check in client_of(job).check(job, package)}


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


# Before a job is created.


def test_the_account_is_compared_in_the_services_units(service):
    """GB, 0 for none: role.GetUserContainerStorageLimits (69515834139)."""
    package = Package("0" * 40, False, {"train.py": bytes(1_900_000)})
    assert "code size" not in checks_of(service, package)
    service.code_size_limit_gb = 5
    assert checks_of(service, package)["code size"] == (True, "1.9 MB of 5 GB")


@pytest.mark.parametrize(
    ("points", "nodes", "expected"), [(8, 1, True), (7.5, 1, False), (15, 2, False), (16, 2, True)]
)
def test_the_balance_has_to_cover_an_hour_of_all_nodes(service, points, nodes, expected):
    """account.IsPointBalanceEnough: the spec's price x work_server_number (69469839516)."""
    service.points, service.worker_numbers = points, [1, 2]
    job = job_at(service, cards=8, nodes=nodes)
    assert checks_of(service, cards=8, nodes=nodes)["points"][0] is expected
    if expected:
        client_of(job).create(job, PACKAGE)
    else:
        with pytest.raises(Refused, match="2006"):
            client_of(job).create(job, PACKAGE)


def test_the_price_of_a_job(service):
    """unit_price is of an hour: unitPrice * CloudBrainPayInterval / time.Hour (69717669718)."""
    assert client_of(job_at(service)).price(job_at(service, cards=8, nodes=2)) == Price(16, "points", "hour")
    assert client_of(job_at(service)).price(job_at(service, cards=5)) is None
    found = {
        check.name: check.says for check in client_of(job_at(service)).selfcheck(job_at(service, repo=""))
    }
    assert "8 x ASCEND910 (8 points per hour)" in found["machines"]
    service.pays = False
    assert client_of(job_at(service)).price(job_at(service)) == Price(0, "points", "hour")
    assert "points" not in checks_of(service)


def test_one_job_at_a_time_is_the_default(service):
    """task.GetUserMultiLimitNum (69816740485)."""
    provider, _ = created(service)
    assert checks_of(service, name="job-two")["quota"] == (False, "1 of 1 jobs in use")
    with pytest.raises(Refused) as caught:
        provider.create(job_at(service, name="job-two"), PACKAGE)
    assert caught.value.code in OpenI.full_codes


def test_a_branch_that_is_there(service):
    """`branches` and `default_branch`: entity.CreationRequiredRepoInfo (69543632572)."""
    assert checks_of(service)["branch"] == (True, "main is pushed")
    assert checks_of(service, branch="work")["branch"] == (False, "me/code has no branch work")


def test_a_commit_that_cant_be_told(service):
    """Where Gitea's branch route is shut, nothing is said against the job."""
    service.branch = lambda repo, name: service.refuse(404)
    ok, says = checks_of(service)["branch"]
    assert ok is None
    assert "main is there; whether it is this code can't be told" in says


def test_an_account_without_wechat(service):
    """reqWeChatStandard (69454651554)."""
    service.is_bound = False
    ok, says = checks_of(service)["service"]
    assert ok is False
    assert "bind a WeChat account" in says


def test_a_name_is_taken_in_its_own_repository_only(service):
    """GetCloudbrainsByDisplayJobName looks in one repository (69733640158)."""
    service.limit, service.repos["me/other"] = 5, ["main"]
    provider, handle = created(service, repo="me/other")
    assert checks_of(service)["name"] == (True, "job-one is free")
    here = provider.create(job_at(service), PACKAGE)
    assert (provider.find(job_at(service)), provider.find(job_at(service, repo="me/other"))) == (here, handle)
    assert provider.find(job_at(service, name="job")) is None


GIVEN = {
    "platform": "openi-c2net",
    "data_url": "obs://b/x/",
    "train_url": "obs://b/y/",
    "pretrained": "obs://b/z",
    "code_url": "obs://b/c/",
    "log_url": "obs://b/l/",
    "run_method": "msrun",
    "access": "env",
    "retries": 1,
    "restart": "reschedule",
    "max_hours": 1.0,
    "environment": {"A": "1"},
    "secrets": {"B": "env:B"},
    "annotations": {"a": "b"},
    "allow_dirty": True,
    "region": "cn-north-4",
    "project_id": "p",
    "workspace_id": "1",
    "flavor": "modelarts.kat1.8xlarge",
    "pool_id": "pool-1",
    "engine": "A/B",
}


def offline(job: Job) -> list[Check]:
    return [*preflight.key_checks(job, request.EFFECTS, "openi"), *request.checks(job)]


def test_every_key_of_a_job_has_an_effect_or_a_reason():
    assert set(request.EFFECTS) == set(FIELDS)
    not_sent = {name for name, effect in request.EFFECTS.items() if effect != SENT}
    assert not_sent == set(GIVEN)
    for effect in request.EFFECTS.values():
        assert effect == "sent" or re.fullmatch(r"(refused|no effect): .+", effect)


@pytest.mark.parametrize("name", GIVEN)
def test_a_key_that_is_not_sent_is_named(name):
    """max_hours: time_limit is set to 0 for who has no right to it (69426866292)."""
    assert offline(Job(name="good-name")) == []
    (found,) = offline(Job(name="good-name", **{name: GIVEN[name]}))
    if request.EFFECTS[name].startswith("refused"):
        assert (found.name, found.ok, bool(found.advice)) == (name, False, True)
    else:
        assert (found.name, found.ok) == ("no effect", None)
        assert f"{name} (" in found.says


def test_keys_that_are_sent_change_the_request():
    chosen = request.Chosen({"id": 1}, {"image_id": "1", "image_name": "x"})
    job = Job(name="good-name", repo="me/code", branch="main")
    changes = {
        "name": "other",
        "description": "x",
        "boot_file": "eval.py",
        "net": "bit",
        "dataset": "cifar10",
        "recipe": {"lr": 1},
        "nodes": 2,
        "branch": "work",
        "cluster": QIZHI,
    }
    plain = request.body(job, chosen)
    assert [
        name for name in changes if request.body(job.replace(**{name: changes[name]}), chosen) == plain
    ] == []
    fields = set(RECORDS.of(CREATE, "request").body)  # entity.CreateReq (69722563307)
    assert set(plain) <= fields


@pytest.mark.parametrize("label", ["net", "dataset", "enable_modelarts", "pretrained", "n et"])
@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
def test_a_label_that_the_job_has_already_is_refused(service, cluster, label):
    """convertParameters2Grampus makes a map (69505670173); spaces of labels are dropped (69426866292)."""
    job = job_at(service, cluster=cluster, recipe={label: "x"})
    assert {check.name for check in offline(job) if check.ok is False} == {"recipe"}
    if label in ("net", "n et"):
        client_of(job).create(job, PACKAGE)
        assert service.collapsed == ["net"]


@pytest.mark.parametrize("cluster", ["C2Net", QIZHI])
@pytest.mark.parametrize(
    "label", ["train_url", "data_url", "multi_data_url", "pretrain_url", "ckpt_url", "result_url"]
)
def test_a_label_of_the_platform_is_refused(service, cluster, label):
    """handleCloudbrainTwoParameter (69733840638) drops the first two, and adds the others."""
    job = job_at(service, cluster=cluster, recipe={label: "obs://b/x/"})
    (found,) = offline(job)
    assert (found.name, found.ok) == ("recipe", False)
    assert f"recipe.{label} is the platform's" in found.says


@pytest.mark.parametrize(("text", "is_right"), [("a" * 1000, True), ("训" * 333, True), ("训" * 334, False)])
def test_a_description_is_counted_in_bytes(service, text, is_right):
    """len(req.Description) > 1000 in Go: CheckParamFormat (69426866292)."""
    job = job_at(service, description=text)
    assert [check.name for check in request.checks(job)] == ([] if is_right else ["description"])
    if not is_right:
        with pytest.raises(Refused, match="9001"):
            client_of(job).create(job, PACKAGE)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"repo": ""}, "repo"),
        ({"repo": "a/b/c"}, "repo"),
        ({"spec": "347"}, "spec"),
        ({"spec": "8 x Ascend 910"}, "spec"),
        ({"image": ""}, "image"),
        ({"name": "Big"}, "name"),
        ({"max_hours": 2.0}, "max_hours"),
    ],
)
def test_mistakes_of_form_are_found_without_the_service(service, changes, name):
    job = job_at(service, **changes)
    checks = [*offline(job), *client_of(job).offline_checks(job, PACKAGE)]
    failed = {check.name: check for check in checks if check.ok is False}.values()
    assert [check.name for check in failed] == [name]
    assert service.requests == []


def test_an_offline_plan_asks_nobody(service):
    job = job_at(service, datasets=("me/digits",), cards=8)
    plan = client_of(job).plan(job, PACKAGE, asks=False)
    assert service.requests == []
    assert (plan.request["spec_id"], plan.request["image_name"]) == ("8 x Ascend", "mindspore")
    assert plan.request["dataset_uuid_str"] == "me/digits"
    assert (
        client_of(job.replace(datasets=())).plan(job.replace(datasets=()), PACKAGE).request["spec_id"] == 13
    )


def test_places_in_a_bucket_that_were_only_derived_go():
    job = Job(provider="openi", name="x1x", branch="main", train_url="obs://bucket/y/")
    derived = job.replace(code_url="obs://bucket/code/", log_url="obs://bucket/logs/x1x/")
    provider = client_of(job)
    refused = [check.name for check in offline(provider.complete(derived)) if check.ok is False]
    assert refused == ["train_url"], "the one that was given"
    assert provider.complete(derived).code_url == provider.complete(derived).log_url == ""
    assert provider.complete(job.replace(code_url="obs://bucket/mine/")).code_url == "obs://bucket/mine/"


# Jobs.


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


# Results.


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


def test_the_queue_waits_until_the_running_job_has_ended(service):
    """One TRAIN job at a time (69816740485): task.GetUserMultiLimitNum."""
    provider, first = created(service)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert len(waited) < 5, said
        service.runner.set(first.id, phase="succeeded")
        provider.show(first)

    job = job_at(service, name="job-two", recipe={"max_epoch": 1})
    said: list[str] = []
    submission = Submission(client_of(job), RetryPolicy(0), said.append, queues=True, sleep=sleep)
    second = submission.run(job, PACKAGE)
    assert second.id != first.id
    assert len(waited) == 1
    assert said[0].startswith("waiting for a place: 1 of 1 jobs in use")
    assert any(line.startswith("cost: ") for line in said)
