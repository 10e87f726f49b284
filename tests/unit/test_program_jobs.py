"""Jobs that run a program of the user's: mistakes are one line and code 2, before anything is sent."""

from __future__ import annotations

import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mindlift.cli import submit
from mindlift.cloud import secret_words
from mindlift.cloud.handle import Handle
from mindlift.cloud.job import Job
from mindlift.cloud.job_file import read
from mindlift.cloud.prepare import code_size, preflight, program
from mindlift.cloud.providers.base import Status
from mindlift.cloud.providers.local.client import Local
from mindlift.cloud.states import Phase

MODELARTS = [
    "--provider",
    "modelarts",
    "--region",
    "cn-north-4",
    "--project_id",
    "p",
    "--flavor",
    "modelarts.kat1.8xlarge",
]
MODELARTS += ["--engine", "Ascend/x", "--cards", "8", "--outputs", "out=obs://bkt/out/"]
OPENI = ["--provider", "openi", "--repo", "me/code", "--image", "x", "--name", "abc"]
HF_TOKEN = "hf_" + "aB3" * 11  # of the form of Hugging Face's, and nobody's
AK, SK = "HPUA12BC34DE56FG78XY", "aB3" * 13 + "x"  # the forms of Huawei Cloud's

# Each: words of the command line ({prog}: a folder with train.py, {data}: one with data, {other}: an empty one) or a
# job file, and what the one line says.
MISTAKES: dict[str, tuple[list[str], str]] = {
    "no boot file": (["{prog}/trian.py"], "has no trian.py; did you mean 'train.py'?"),
    "a boot file by its default": (["--code", "{prog}/lib"], "lib has no train.py"),
    "a boot file outside": (["--code", "{prog}", "--boot_file", "../data/a.txt"], "a.txt is outside of"),
    "an absolute one": (["--code", "{prog}", "--boot_file", "{data}/a.txt"], "a.txt is outside of"),
    "one that is ignored": (["{prog}/secret_plan.py"], "but not sent: it is left out by .mindliftignore, .gitignore"),
    "one that is excluded": (["{prog}/train.py", "--exclude", "*.py"], "train.py is in"),
    "one that is no Python": (["--code", "{prog}", "--boot_file", "run.sh"], "command: sh run.sh"),
    "one behind options": (["--name", "n", "{prog}/train.py"], "stands behind options; write it before them: submit.py submit "),
    "a folder": (["{prog}"], "prog is a folder; name the file to start, such as prog/train.py"),
    "no folder": (["{prog}/none/train.py"], "none, which is no folder here"),
    "a file as code": (["--code", "{prog}/train.py"], "train.py, a file; name its folder, and the file as boot_file"),
    "an empty folder": (["{other}/train.py"], "other holds no file to send"),
    "a collision": (
        ["{prog}/train.py", "--inputs", "data_dir={data}", "--", "--data_dir=/x"],
        "args: --data_dir=/x is given to the program by the channel data_dir; leave it out there",
    ),
    "one in two words": (
        ["{prog}/train.py", "--outputs", "ckpt_dir=obs://bkt/c/", "--", "--ckpt-dir", "/x"],
        "args: --ckpt-dir is given to the program by the channel ckpt-dir",
    ),
    "one with what 启智 adds": (
        ["{prog}/train.py", "--platform", "openi-qizhi", "--", "--result_url=x"],
        "openi-qizhi gives --result_url to every job itself",
    ),
    "no such input": (["{prog}/train.py", "--inputs", "data_dir=/no/such"], "data_dir: /no/such does not exist here"),
    "an input of nothing": (["{prog}/train.py", "--inputs", "data_dir={other}"], "other holds no file"),
    "an input without a place": (["{prog}/train.py", "--inputs", "data_dir="], "inputs.data_dir names no place"),
    "an output inside an input": (
        ["{prog}/train.py", "--inputs", "d=obs://bkt/x/", "--outputs", "out=obs://bkt/x/y/"],
        "out obs://bkt/x/y/ is inside d obs://bkt/x/: results would become data",
    ),
    "a derived one": (
        ["{prog}/train.py", "--name", "n", "--inputs", "d=obs://bkt/", "--outputs", "out="],
        "out obs://bkt/runs/n/out/ is inside d obs://bkt/",
    ),
    "two outputs in one folder": (
        ["{prog}/train.py", "--outputs", "a=obs://bkt/x/", "c=obs://bkt/x/y"],
        "c obs://bkt/x/y/ is inside a obs://bkt/x/: each output needs a folder of its own",
    ),
    "a local output": (["{prog}/train.py", "--outputs", "out={other}"], "but results go to a bucket"),
    "an unknown launcher": (["{prog}/train.py", "--launcher", "mpirun"], "launcher"),
    "a launcher of others": (
        ["{prog}/train.py", "--platform", "openi-c2net", "--launcher", "torchrun"],
        "OpenI starts the ranks itself, and knows no torchrun",
    ),
    "a password": (["{prog}/train.py", "--", "--password", "x"], "args: --password looks like a secret"),
    "a token": (["{prog}/train.py", "--", "--hf-token=x"], "args: --hf-token looks like a secret"),
    "a key without a name": (["{prog}/train.py", "--", "login", HF_TOKEN], "args: word 2 looks like a secret"),
    "a key of another name": (["{prog}/train.py", "--", f"--user={AK}"], "args: --user looks like a secret"),
    "a key in a command": (["--code", "{prog}", "--command", f"python train.py --x {SK}"], "command: word 4 looks like"),
    "a key in a variable": (["{prog}/train.py", "--environment", f"WHO={SK}"], "environment.WHO holds what looks like"),
    "no requirements": (["{prog}/train.py", "--requirements", "reqs.txt"], "requirements: "),
    "requirements elsewhere": (["{prog}/train.py", "--requirements", "../data/a.txt"], "a.txt is outside of"),
    "two kinds of them": (
        ["{prog}/train.py", "--requirements", "lib/own.txt"],
        "lib/own.txt would stand in for pip-requirements.txt",
    ),
    "paths of nothing": (
        ["{prog}/train.py", "--keep", "true", "--paths", "out=/cache/out"],
        "paths.out is no input or output; there are none",
    ),
    "a relative one": (
        ["{prog}/train.py", "--keep", "true", "--outputs", "out=", "--paths", "out=out"],
        "paths.out is 'out'; expected a path from the root, such as /cache/out",
    ),
    "paths where they are mapped": (
        "{prog}/train.py --isolation mapping --keep true --outputs out= --paths out=/cache/out".split(),
        "paths: /cache/out would be this computer's own: no file system of its own",
    ),
    "paths without keep": (
        ["{prog}/train.py", "--outputs", "out=", "--paths", "out=/cache/out"],
        "paths says where `mindlift run` puts inputs and outputs: set keep: true",
    ),
    "a command and args": (
        ["--code", "{prog}", "--command", "sh run.sh", "--", "--lr=1"],
        "command and args are both given",
    ),
    "keys of MindLift's own": (["{prog}/train.py", "--net", "densenet121"], "net is a key of MindLift's own trainings"),
}  # fmt: skip


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Folders of a user; a rehearsal that opens a connection fails the test."""
    found = {name: tmp_path / name for name in ("prog", "data", "other")}
    for folder in (*found.values(), tmp_path / "prog/lib"):
        folder.mkdir()
    for name in ("prog/train.py", "prog/secret_plan.py", "prog/lib/net.py", "prog/run.sh", "data/a.txt"):
        (tmp_path / name).write_text("print(1)\n")
    (tmp_path / "prog/.gitignore").write_text("secret_plan.py\n")
    (tmp_path / "prog/lib/own.txt").write_text("numpy\n")
    (tmp_path / "prog/pip-requirements.txt").write_text("numpy\n")
    monkeypatch.setenv("MINDLIFT_REHEARSALS", str(tmp_path / "rehearsals"))
    monkeypatch.setattr(Local, "reach_store", no_connection)
    return found


def no_connection(self: Local) -> AbstractContextManager[None]:
    raise AssertionError("the store is reached")


def error_of(words: list[str], capsys) -> str:
    code = submit.main(words)
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if line]
    assert (code, len(lines)) == (2, 1), told.err
    assert "Traceback" not in told.err
    return lines[0]


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_sent(places, capsys, monkeypatch, case):
    words, expected = MISTAKES[case]
    monkeypatch.chdir(places["prog"].parent)
    found = error_of(["submit", *(word.format(**places) for word in words)], capsys)
    assert expected in found
    assert not [key for key in (HF_TOKEN, AK, SK) if key in found], "a secret is not repeated"
    assert not (places["prog"].parent / "rehearsals").exists()


def plan_of(words: list[str], capsys) -> tuple[int, str]:
    return submit.main(["plan", words[0], "--offline", *words[1:]]), capsys.readouterr().out


def test_modelarts_says_the_launchers_of_its_engines(places, capsys):
    code, told = plan_of([f"{places['prog']}/train.py", *MODELARTS, "--launcher", "torchrun"], capsys)
    assert code == 2
    assert "a preset engine starts its processes itself, and knows no torchrun" in told


def test_an_own_image_is_started_by_the_launcher_that_the_job_names(places, capsys):
    image = [
        "--engine",
        "",
        "--image",
        "me/torch:2",
        "--code_url",
        "obs://bkt/code/",
        "--launcher",
        "torchrun",
    ]
    code, told = plan_of([f"{places['prog']}/train.py", *MODELARTS, *image], capsys)
    assert code == 0, told
    assert "torchrun --standalone --nproc_per_node=8 train.py" in told


@pytest.mark.parametrize("where", [["--platform", "modelarts-v2"], MODELARTS], ids=["rehearsed", "sent"])
def test_code_over_modelarts_limits_names_the_largest_files(places, capsys, monkeypatch, where):
    monkeypatch.setattr(code_size, "MOST_BYTES", 1 << 20)
    for number, kilobytes in enumerate((100, 900, 500, 700)):
        (places["prog"] / f"vocabulary{number}.txt").write_bytes(bytes(kilobytes << 10))
    code, told = plan_of([f"{places['prog']}/train.py", *where], capsys)
    assert code == 2
    assert (
        "the largest are vocabulary1.txt (0.9 MB), vocabulary3.txt (0.7 MB), vocabulary2.txt (0.5 MB)" in told
    )


def test_code_that_no_job_has_is_refused_before_it_is_read(places, capsys, monkeypatch):
    monkeypatch.setattr(program, "MOST_BYTES", 1 << 20)
    with open(places["prog"] / "big.bin", "wb") as file:
        file.truncate(1 << 30)
    found = error_of([f"{places['prog']}/train.py"], capsys)
    assert "and code can have" in found
    assert "the largest are big.bin (1.1 GB)" in found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{prog}/train.py", "--", "--lr=0.1"], None),
        (["{prog}/train.py", "--launcher", "msrun"], "launcher"),
        (["{prog}/train.py", "--requirements", "pip-requirements.txt"], "requirements"),
        (["{prog}/train.py", "--", "--lr", "0.1"], "args"),
    ],
)
def test_what_openi_has_not(places, capsys, words, expected):
    for command in (
        ["init", "-q"],
        [*"-c user.name=n -c user.email=e@x commit -q --allow-empty -m x".split()],
    ):
        subprocess.run(["git", "-C", str(places["prog"]), *command], check=True)
    code, told = plan_of([words[0].format(**places), *OPENI, *words[1:]], capsys)
    failed = [line.split()[1].rstrip(":") for line in told.splitlines() if line.lstrip().startswith("FAILED")]
    assert failed == ([expected] * 2 if expected else []), "where it is checked, and at the end"
    assert code == (2 if expected else 0)


def test_an_output_that_a_running_job_writes(tmp_path):
    (tmp_path / "train.py").write_text("")
    job = read("", {"code": str(tmp_path), "outputs": ["a=obs://bkt/x/", "c=obs://bkt/y/"]}, "now")
    running = Status(
        Handle("local", ("other",)), "other", Phase.RUNNING, "running", outputs={"z": "obs://bkt/y"}
    )
    free, taken = preflight.in_use(job, [running])
    assert (free.ok, taken.ok) == (True, False)
    assert (taken.name, taken.says) == ("c", "obs://bkt/y/ is in use by local://other")


REQUIREMENTS = {
    "nothing wrong": ("# none\n", True, ""),
    "no such file": ("-r more.txt\n", False, "more.txt"),
    "no requirement": ("numpy=>1\n", False, "nvalid requirement"),
    "no such folder": ("./wheels/none-1.0-py3-none-any.whl\n", False, "none-1.0"),
    "none that fits": (
        "--no-index\nnumpy==0.0.1\n",
        False,
        "No matching distribution found for numpy==0.0.1",
    ),
}


@pytest.mark.parametrize("case", REQUIREMENTS)
def test_requirements_are_tried_with_pip(tmp_path, case):
    text, ok, says = REQUIREMENTS[case]
    (tmp_path / "requirements.txt").write_text(text)
    (found,) = program.requirements_check(Job(code=str(tmp_path), requirements="requirements.txt"))
    assert found.ok is ok, found
    assert says in found.says
    assert os.listdir(tmp_path) == ["requirements.txt"]


def test_without_a_network_requirements_are_left_to_the_job(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "--index-url http://127.0.0.1:9/simple\nnothing-of-this-name\n"
    )
    (found,) = program.requirements_check(Job(code=str(tmp_path), requirements="requirements.txt"))
    assert (found.ok, found.says) == (
        None,
        "pip reached no index from here, so requirements.txt is not checked",
    )


def test_requirements_are_asked_of_pip_with_the_online_checks(places, monkeypatch):
    job = read("", {"code": str(places["other"]), "requirements": "none.txt"}, "now")
    monkeypatch.setattr(program, "requirements_check", lambda job: iter(["asked"]))
    monkeypatch.setattr(Local, "check", lambda self, job, package: iter(()))
    assert list(preflight.online_checks(job, None, Local(places["other"]))) == ["asked"]  # type: ignore[arg-type]


def test_requirements_of_a_folder_find_what_they_name(places):
    """pip: a relative -r is relative to the file that holds it, so a copy elsewhere would miss it."""
    (places["prog"] / "pip-requirements.txt").unlink()
    (places["prog"] / "lib/base.txt").write_text("# none\n")
    (places["prog"] / "lib/own.txt").write_text("-r base.txt\n")
    job = read("", {"code": str(places["prog"]), "requirements": "lib/own.txt"}, "now")
    package = program.collect(job)
    (places["prog"] / "copy.txt").write_bytes(package.files["pip-requirements.txt"])
    (found,) = program.requirements_check(job.replace(requirements="copy.txt"))
    assert found.ok, found
    (places["prog"] / "lib/own.txt").write_text("-r base.txt\n# changed\n")
    assert program.collect(job).files["pip-requirements.txt"] != package.files["pip-requirements.txt"]


SECRETS = [
    (["--token", "x1" * 10], "--token"),
    (["--api-key=abc"], "--api-key"),
    (["-x", "--secret_access_key", "abc"], "--secret_access_key"),
    (["--ak=1"], "--ak"),
    (["--url", "https://me:pass@host/x"], "word 2"),
    (["-----BEGIN RSA PRIVATE KEY-----\nabc"], "-----BEGIN RSA PRIVATE KEY-----\nabc"),
    (["eyJhbGciOi.eyJzdWIi.c2ln"], "word 1"),
]
NO_SECRETS = [
    ["--tokenizer", "bert-base-uncased"],
    ["--pad_token=[PAD]", "--num_tokens", "512", "--token_dropout=0.1"],
    ["--image_key", "jpg", "--monitor_key=val_acc", "--key_dim=64"],
    ["--password"],
    ["--hf_token=$HF_TOKEN"],
    ["--commit", "0123456789abcdef0123456789abcdef01234567"],
    ["--data", "s3://bucket/x", "obs://bkt/c:d@e"],
    ["--model=MOBILENETV3LARGE", "--seed", "20241128202411282024"],
]


@pytest.mark.parametrize(("words", "told"), SECRETS)
def test_secrets_are_seen(words, told):
    found = secret_words.find(words)
    assert found
    assert found == told or "BEGIN" in told


@pytest.mark.parametrize("words", NO_SECRETS)
def test_options_of_ordinary_programs_are_no_secrets(words):
    assert secret_words.find(words) == ""
