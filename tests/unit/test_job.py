"""Job files, flags over them, handles and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindlift import __version__
from mindlift.cli import job_access, job_arguments
from mindlift.cloud import arguments, handle
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.job_file import read
from mindlift.cloud.job_rules import resolve_secrets
from mindlift.cloud.prepare import plan, preflight
from mindlift.cloud.providers.base import Check
from mindlift.model_utils.config import config

ROOT = Path(__file__).resolve().parents[2]
RUN = {"train_url": "obs://bucket/run/"}


def of(**flags: object) -> Job:
    return read("", {**RUN, **flags}, "1123-101500")


def test_places_that_nobody_names_are_in_the_bucket_of_train_url():
    found = of(net="densenet121", dataset="imagenet", name="")
    assert found.name == "densenet121-imagenet-1123-101500"
    assert (found.code_url, found.log_url) == ("obs://bucket/code/", f"obs://bucket/logs/{found.name}/")
    assert of(train_url="s3://bucket/x").train_url == "s3://bucket/x/", "a folder"
    assert of(train_url="").code_url == ""


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "cloud/jobs").glob("*.yaml")))
def test_the_example_files_are_jobs_that_train_py_takes(file):
    found = read(f"cloud/jobs/{file}", {}, "1123-101500")
    argv = [word for name, value in arguments.own_options(found) for word in (f"--{name}", value)]
    cfg = config.load(argv, in_cloud=True)
    assert (cfg.net, cfg.dataset, cfg.extra) == (found.net, found.dataset, ())


def test_flags_win_over_the_file_and_mappings_are_merged(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(
        "cards: 8\nnet: densenet121\nrecipe: {lr: 0.1, lr_epochs: [30, 60]}\nenvironment: {GLOG_v: 2}\n"
    )
    found = read(str(file), {"cards": "2", "recipe": ["lr=0.2", "hflip=0"]}, "now")
    assert (found.cards, found.net) == (2, "densenet121")
    assert found.recipe == {"lr": 0.2, "lr_epochs": [30, 60], "hflip": 0}
    assert arguments.own_options(found)[2:] == [
        ("enable_modelarts", "True"),
        ("lr", "0.2"),
        ("lr_epochs", "30,60"),
        ("hflip", "0"),
    ]


MISTAKES = {
    "unknown key": ("cardz: 8", {}, "job.yaml:1: unknown key 'cardz'; did you mean 'cards'?"),
    "twice": ("cards: 8\ncards: 4", {}, "'cards' is given twice"),
    "a number": ("cards: eight", {}, "job.yaml:1: cards is 'eight', but must be a whole number"),
    "no cards": ("cards: 0", {}, "cards is 0, but must be at least 1"),
    "a provider": ("provider: azure", {}, "choose one of local, modelarts, openi"),
    "no yaml": ("a: [", {}, "job.yaml"),
    "a secret as a variable": (
        "environment: {WANDB_API_KEY: abc}",
        {},
        "environment.WANDB_API_KEY looks like a secret",
    ),
    "a secret as an option": ("recipe: {token: abc}", {}, "recipe.token looks like a secret"),
    "a secret written down": (
        "secrets: {WANDB_API_KEY: abc}",
        {},
        "secrets.WANDB_API_KEY has to be a reference",
    ),
    "a variable in a variable": ("environment: {A: $HOME/x}", {}, "expand no $"),
    "not the name of a variable": ("environment: {a-b: 1}", {}, "'a-b' is not the name of a variable"),
    "no mapping": ("recipe: lr=0.1", {}, "expected KEY=VALUE"),
    "results in the data": ("data_url: obs://bucket/", {}, "is inside data_url obs://bucket/"),
    "results are the data": ("data_url: obs://bucket/run", {}, "is inside data_url"),
    "no bucket": ("", {"train_url": "obs://"}, "no bucket name"),
    "a name": ("", {"name": "a b"}, "name is 'a b'; expected 1 to 64 letters"),
    "retries": ("", {"retries": "9"}, "retries is 9, but ModelArts starts a job again at most 3 times"),
    "flag": ("", {"cards": "2.5"}, "--cards: cards is '2.5'"),
    "line break": ('recipe: {lr: "0.1\\n0.2"}', {}, "recipe.lr holds a line break"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(case, tmp_path):
    text, flags, expected = MISTAKES[case]
    file = tmp_path / "job.yaml"
    file.write_text(text + "\n")
    with pytest.raises(JobError) as caught:
        read(str(file), {**RUN, **flags}, "now")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "abc" not in str(caught.value), "no secret"
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_there():
    with pytest.raises(JobError, match=r"can't read job file nowhere\.yaml"):
        read("nowhere.yaml", {}, "now")


def test_secrets_are_looked_up_when_they_are_needed(tmp_path):
    (tmp_path / "key").write_text("from-file\n")
    found = of(secrets=["A=env:MY_A", f"B=file:{tmp_path / 'key'}"])
    assert resolve_secrets(found, {"MY_A": "from-env"}) == {"A": "from-env", "B": "from-file"}
    with pytest.raises(JobError, match=r"secrets\.A refers to the variable MY_A, which is not set"):
        resolve_secrets(found, {})
    with pytest.raises(JobError, match=r"secrets\.B refers to .*can't be read"):
        resolve_secrets(of(secrets=["B=file:/no/such/file"]), {})


@pytest.mark.parametrize("path", sorted((ROOT / "cloud/jobs").glob("*.yaml")), ids=str)
def test_the_example_files_are_jobs(path):
    found = read(str(path), {}, "now")
    assert found.train_url or found.provider == "openi"
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize(
    "text", ["modelarts://cn-north-4/project/id", "openi://owner/repo/17", "local://name"]
)
def test_handles(text):
    found = handle.parse(text)
    assert str(found) == text
    assert found.id == text.rpartition("/")[2]


@pytest.mark.parametrize("text", ["", "job", "local://", "modelarts://a/b", "s3://a/b/c", "openi://a/b/c/d"])
def test_what_is_no_handle(text):
    with pytest.raises(
        JobError, match="is not the handle of a job; expected modelarts://region/project/job or"
    ):
        handle.parse(text)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_nothing_asks_for_help(words, capsys):
    with pytest.raises(SystemExit) as ended:
        job_arguments.parse(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: submit.py [COMMAND] [options]")


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        job_arguments.parse(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mindlift {__version__}\n"


@pytest.mark.parametrize("words", [["submit"], ["--wait"], ["submit", "--name", "x", "--cards", "2"]])
@pytest.mark.parametrize("is_checkout", [True, False])
def test_a_submission_names_a_job(words, is_checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(job_access.ROOT if is_checkout else tmp_path)
    with pytest.raises(JobError, match="no job is named: pass --config FILE, --net and --dataset"):
        job_access.read_job(job_arguments.parse(words))


# What a command uses of a job file: the services need no more to find a job that a handle names.
USED = {
    "status": {"endpoint"},
    "logs": {"endpoint"},
    "wait": {"endpoint"},
    "cancel": {"endpoint"},
    "fetch": {"endpoint"},
    "list": {"provider", "endpoint", "region", "project_id", "workspace_id"},
    "top": {"provider", "endpoint", "region", "project_id", "workspace_id"},
}


def test_a_command_lists_the_keys_that_it_uses():
    for command in job_arguments.ABOUT:
        listed = {action.dest for action in job_arguments.parser_of(command)._actions} & FIELDS.keys()
        if command in USED:
            assert listed == USED[command], command
        elif command in ("plan", "submit"):
            assert listed == FIELDS.keys()
        else:
            assert USED["list"] < listed < FIELDS.keys(), command


def test_cancel_can_wait():
    args = job_arguments.parse(["cancel", "local://x", "--wait", "--timeout", "5"])
    assert (args.wait, args.timeout) == (True, 5.0)


def test_a_plan_repeats_what_failed():
    checks = [Check("a", True, "fine"), Check("b", False, "broken", "mend it"), Check("c", None, "unknown")]
    assert plan.failures(checks) == ["", "1 of 3 checks failed", "  FAILED  b: broken; mend it"]
    assert plan.failures(checks[::2]) == []


@pytest.mark.parametrize(("words", "command"), [(["--cards", "8"], "submit"), (["plan", "--json"], "plan")])
def test_without_a_command_it_submits(words, command):
    args = job_arguments.parse(words)
    assert args.subcommand == command
    assert job_arguments.flags(args) == ({"cards": "8"} if "--cards" in words else {})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sumbit"], "'sumbit' is not a command; choose one of plan, submit"),
        (["plan", "--card", "8"], "unrecognized arguments: --card 8"),
        (["status"], "the following arguments are required: handle"),
        (["wait", "local://x", "--timeout", "-1"], "--timeout"),
        (["wait", "local://x", "--timeout", "nan"], "--timeout"),
        (["list", "--limit", "-1"], "--limit"),
        (["top", "--limit", "0"], "--limit"),
        (["fetch", "local://x", "--best", "--all"], "not allowed with"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, expected):
    with pytest.raises(JobError) as caught:
        job_arguments.parse(words)
    assert expected in str(caught.value)


@pytest.mark.parametrize("dataset", config.own_schema().options["dataset"].embedded)
def test_a_job_on_a_data_set_that_comes_with_the_project_needs_none(dataset):
    net = {"digits": "densenet22", "vocdigits": "deeplab_v3_r26_s16"}[dataset]
    assert preflight.options(of(net=net, dataset=dataset)).ok
    assert not preflight.options(of(net="densenet121", dataset="imagenet")).ok
