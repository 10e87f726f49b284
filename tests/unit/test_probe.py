"""A probe's file: the form of every answer, and nothing that belongs to somebody."""

from __future__ import annotations

import shutil

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mindlift.cloud.probe import Exchange, Probe, Redactor, as_text
from tests.doubles import records
from tests.doubles.records import __main__ as take_over

SECRETS = ["AKIDEXAMPLE0001", "sk-very-hush", "0123456789abcdef0123456789abcdef", "wang.xiaoming"]
FIELDS = [
    "name",
    "id",
    "train_url",
    "phase",
    "content",
    "error_msg",
    "flavor_id",
    "tags",
    "description",
    "status",
    "url",
]
TEXTS = st.one_of(
    st.sampled_from(
        [*SECRETS, *(f"obs://{secret}/run/" for secret in SECRETS), *(f"no right for {s}" for s in SECRETS)]
    ),
    st.text(max_size=12),
)
ANSWERS = st.recursive(
    st.one_of(TEXTS, st.integers(0, 10**12), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from([*FIELDS, *SECRETS]), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(body=ANSWERS)
def test_no_secret_is_ever_written(body):
    probe = Probe("modelarts", "2026-11-28", Redactor(SECRETS))
    probe.note(Exchange("GET /v2/{project_id}/training-jobs", {}, 200, body))
    text = as_text(probe)
    assert [secret for secret in SECRETS if secret in text] == []


def shown(body: object, *hidden: str) -> object:
    return Redactor(hidden).body(body)


def test_the_services_own_words_stay_and_the_users_go():
    answer = {
        "metadata": {
            "id": "7c3a-1",
            "name": "secret-project",
            "workspace_id": "0",
            "create_time": 1700000000000,
        },
        "status": {"phase": "Running", "secondary_phase": "Queuing", "tasks": ["worker-0"], "start_time": 17},
        "spec": {"resource": {"flavor_id": "modelarts.kat1.8xlarge", "node_count": 2, "pool_id": "pool-9a"}},
        "balance": 1234.5,
        "user": {"login": "wang", "id": 77},
    }
    assert shown(answer) == {
        "metadata": {
            "id": "id-1",
            "name": "name-1",
            "workspace_id": "workspace_id-1",
            "create_time": 1700000000000,
        },
        "status": {"phase": "Running", "secondary_phase": "Queuing", "tasks": ["worker-0"], "start_time": 17},
        "spec": {
            "resource": {"flavor_id": "modelarts.kat1.8xlarge", "node_count": 2, "pool_id": "pool_id-1"}
        },
        "balance": 1,
        "user": {"login": "login-1", "id": 2},
    }


def test_equal_values_stay_equal():
    found = shown([{"id": "a"}, {"id": "b"}, {"id": "a"}])
    assert found == [{"id": "id-1"}, {"id": "id-2"}, {"id": "id-1"}]


def test_a_log_keeps_its_ends_and_nothing_else():
    assert shown({"content": "password 1\n\nloss\n", "end_line": "1551252759254000002"}) == {
        "content": "line 1\n\nline 3\n",
        "end_line": "1551252759254000002",
    }
    long = shown({"content": "x\n" * 500})["content"]
    assert long.count("\n") == 19
    assert long.endswith("\n")


def test_messages_keep_their_sentence():
    text = "Bucket obs://mine/data is not found, job 'my job' of user0123456789 at 10.0.0.7:80; try again"
    assert shown({"error_msg": text}) == {
        "error_msg": "Bucket *** is not found, job *** of *** at *** try again"
    }


def test_lists_are_cut():
    assert len(shown([{"phase": "Running"}] * 90)) == 20


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A copy of the records, which a test may add to."""
    shutil.copytree(records.HERE, tmp_path / "records")
    monkeypatch.setattr(records, "HERE", tmp_path / "records")
    monkeypatch.setattr(take_over, "HERE", tmp_path / "records")
    records.load.cache_clear()
    yield tmp_path / "records"
    records.load.cache_clear()


def test_a_probes_file_becomes_records_of_a_double(shelf, tmp_path):
    probe = Probe("modelarts", "2026-11-28")
    call = "GET /v2/{project_id}/training-jobs/{training_job_id}/logs/{task_id}"
    probe.note(Exchange(call, {"base_line": "0"}, 200, {"content": "a\n", "end_line": "17"}))
    probe.note(Exchange(call, {"base_line": "0"}, 200, {"content": "b\n", "end_line": "17"}))
    probe.note(
        Exchange(
            "GET /v2/{project_id}/new-thing", {}, 400, {"error_code": "ModelArts.9999", "error_msg": "no"}
        )
    )
    path = tmp_path / "probe.yaml"
    path.write_text(as_text(probe), encoding="utf-8")
    assert len(yaml.safe_load(path.read_text())["records"]) == 2, "an answer of the same form comes once"
    target, news = take_over.take_over(path)
    assert news == [
        "new call: GET /v2/{project_id}/new-thing",
        "new code: ModelArts.9999 of GET /v2/{project_id}/new-thing",
    ]
    records.load.cache_clear()
    found = records.load("modelarts").of(call, "seen")
    assert (found.seen, found.status, found.body) == (
        "service",
        200,
        {"content": "line 1\n", "end_line": "17"},
    )
    assert "answered on 2026-11-28, asked with base_line=0" in found.source
    take_over.take_over(path)
    assert len(yaml.safe_load(target.read_text())) == 2, "taken over again, nothing is double"


@pytest.mark.parametrize(
    "text", ["[]", "service: nobody\nrecords: []", "a: [", "service: openi\nrecords: [{call: x}]"]
)
def test_what_no_probe_has_written_is_refused(shelf, tmp_path, monkeypatch, capsys, text):
    path = tmp_path / "probe.yaml"
    path.write_text(text)
    monkeypatch.setattr("sys.argv", ["records", str(path)])
    assert take_over.main() == 2
    assert capsys.readouterr().err.startswith("error: ")
