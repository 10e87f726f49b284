"""What the services are told of a program of the user's, and how it is started.

Expected, with its source:
SDK      huaweicloudsdkmodelarts, model Algorithm and its parts: parameters are {name, value}, inputs and outputs have
         name, access_method (parameter, env) and remote.obs.obs_url
GUIDE    ModelArts user guide, Creating a Training Job: a parameter arrives as --name=value, a channel behind them
SERVER   OpenI's server, CheckParamFormat and handleCloudbrainTwoParameter: label and value of each parameter
TORCH    docs.pytorch.org, torchrun: --standalone, --nnodes, --nproc_per_node, --node_rank, --master_addr
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mindlift.cli import job_arguments
from mindlift.cloud import platforms
from mindlift.cloud.arguments import BOOT, start
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.job_file import read
from mindlift.cloud.prepare import program
from mindlift.cloud.providers.local.client import to_request
from mindlift.cloud.providers.modelarts import request as modelarts
from mindlift.cloud.providers.modelarts.view import outputs_of
from mindlift.cloud.providers.openi import request as openi
from tests.support.pythons import find_python

MODELARTS = "/home/ma-user/modelarts"
PAIRS = ("--model=resnet50", "--epoch_size=3")
WORDS = ("--model", "resnet50", "--resume", "photos/*.jpg", "a b")
JOB_FILE = """
provider: modelarts
region: cn-north-4
flavor: modelarts.kat1.xlarge
engine: Ascend-Powered-Engine/mindspore_2.3
program:
  boot_file: train.py
  args: [--model=resnet50, --lr=1e-4, --amp=on]
  inputs: {data_dir: obs://bucket/imgs/}
  outputs: {ckpt_save_dir: obs://bucket/runs/m1, logs: }
  launcher: msrun
rehearsal:
  platform: modelarts-v1
  args: --device_target=CPU
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.py").write_text("import sys\nprint(sys.argv[1:])\n")
    (tmp_path / "mine" / "job.yaml").write_text(JOB_FILE)
    return tmp_path / "mine"


def job(**changes: object) -> Job:
    given = {
        "provider": "modelarts",
        "name": "one",
        "code": "/work/mine",
        "inputs": {"data_dir": "obs://bucket/imgs/"},
        "outputs": {"ckpt_save_dir": "obs://bucket/runs/m1/"},
        "code_url": "obs://bucket/code/abc/mine/",
        "engine": "E/mindspore_2.3",
        "args": PAIRS,
    }
    return Job(**{**given, **changes})


def test_a_job_file(folder):
    found = read(str(folder / "job.yaml"), {}, "1128-101500")
    assert found.is_program
    assert found.code == str(folder)
    assert found.name == "mine-train-1128-101500"
    assert found.args == ("--model=resnet50", "--lr=1e-4", "--amp=on"), "YAML's words, not its numbers"
    assert found.outputs == {
        "ckpt_save_dir": "obs://bucket/runs/m1/",
        "logs": f"obs://bucket/runs/{found.name}/logs/",
    }
    assert (found.platform, found.rehearsal_args) == ("modelarts-v1", ("--device_target=CPU",))
    assert (found.code_url, found.log_url) == ("obs://bucket/code/", f"obs://bucket/logs/{found.name}/")


def test_a_program_on_the_command_line(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    args = job_arguments.parse(["plan", "mine/train.py", "--cards", "2", "--", *WORDS])
    found = read("", job_arguments.flags(args), "now")
    assert (found.code, found.boot_file, found.args) == (str(folder), "train.py", WORDS)
    args = job_arguments.parse(["mine/train.py"])
    assert args.subcommand == "submit"
    assert read("", job_arguments.flags(args), "now").code == str(folder)


@pytest.mark.parametrize("own", ["net", "dataset", "data_url", "train_url", "pretrained"])
def test_a_program_has_no_keys_of_mindlifts_trainings(folder, own):
    with pytest.raises(JobError, match=f"{own} is a key of MindLift's own trainings"):
        read(str(folder / "job.yaml"), {own: "obs://bucket/x/"}, "now")


def channel(name: str, url: str, access: str) -> dict:
    return {"name": name, "access_method": access, "remote": {"obs": {"obs_url": url}}}


IMGS, RUNS = "/bucket/imgs/", "/bucket/runs/m1/"
BODIES = {  # changes, algorithm without code_dir and engine
    "pairs": (
        {},
        {
            "boot_file": "/bucket/code/abc/mine/train.py",
            "parameters": [{"name": "model", "value": "resnet50"}, {"name": "epoch_size", "value": "3"}],
            "inputs": [channel("data_dir", IMGS, "parameter")],
            "outputs": [channel("ckpt_save_dir", RUNS, "parameter")],
        },
    ),
    "words that no name has": (
        {"args": WORDS},
        {
            "boot_file": f"/bucket/code/abc/mine/{BOOT}",
            "inputs": [channel("data_dir", IMGS, "parameter")],
            "outputs": [channel("ckpt_save_dir", RUNS, "parameter")],
        },
    ),
    "a name twice": (
        {"args": ("--a=1", "--a=2"), "access": "none"},
        {
            "boot_file": f"/bucket/code/abc/mine/{BOOT}",
            "inputs": [channel("data_dir", IMGS, "env")],
            "outputs": [channel("ckpt_save_dir", RUNS, "env")],
        },
    ),
    "it copies by itself": (
        {"access": "direct"},
        {
            "boot_file": "/bucket/code/abc/mine/train.py",
            "parameters": [
                {"name": "model", "value": "resnet50"},
                {"name": "epoch_size", "value": "3"},
                {"name": "data_dir", "value": "obs://bucket/imgs/"},
                {"name": "ckpt_save_dir", "value": "obs://bucket/runs/m1/"},
            ],
            "environments": {"MINDLIFT_OUTPUTS": '{"ckpt_save_dir": "obs://bucket/runs/m1/"}'},
        },
    ),
    "kept": (
        {"keep": True},
        {
            "boot_file": f"/bucket/code/abc/mine/{BOOT}",
            "environments": {"MINDLIFT_OUTPUTS": '{"ckpt_save_dir": "obs://bucket/runs/m1/"}'},
        },
    ),
    "a command in an image": (
        {"engine": "", "image": "me/x:1", "args": (), "command": "bash run.sh --fast"},
        {
            "command": "cd ${MA_JOB_DIR}/mine && bash run.sh --fast",
            "inputs": [channel("data_dir", IMGS, "env")],
            "outputs": [channel("ckpt_save_dir", RUNS, "env")],
        },
    ),
    "torchrun in an image": (
        {"engine": "", "image": "me/x:1", "args": WORDS, "launcher": "torchrun", "cards": 8},
        {
            "command": "cd ${MA_JOB_DIR}/mine && torchrun --standalone --nproc_per_node=8 train.py "
            "--model resnet50 --resume 'photos/*.jpg' 'a b'",
            "inputs": [channel("data_dir", IMGS, "env")],
            "outputs": [channel("ckpt_save_dir", RUNS, "env")],
        },
    ),
    "an earlier output": (
        {"resume": {"earlier": "ckpt_save_dir"}},
        {
            "boot_file": "/bucket/code/abc/mine/train.py",
            "parameters": [{"name": "model", "value": "resnet50"}, {"name": "epoch_size", "value": "3"}],
            "inputs": [channel("data_dir", IMGS, "parameter"), channel("earlier", RUNS, "parameter")],
            "outputs": [channel("ckpt_save_dir", RUNS, "parameter")],
        },
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_modelarts(case):
    """SDK, GUIDE, TORCH."""
    changes, expected = BODIES[case]
    found = modelarts.body(job(**changes), {})["algorithm"]
    assert {name: found[name] for name in found if name not in ("code_dir", "engine")} == expected
    assert found["code_dir"] == "/bucket/code/abc/mine/"
    assert outputs_of(found) == {"ckpt_save_dir": "obs://bucket/runs/m1/"}


def test_openi():
    """SERVER: labels and values; what has no such form is refused before."""
    chosen = openi.Chosen({"id": 1}, {"image_id": "1", "image_name": "x"})
    mine = job(provider="openi", inputs={}, outputs={}, name="mine")
    found = openi.body(mine, chosen)
    assert json.loads(str(found["params"])) == {
        "parameter": [{"label": "model", "value": "resnet50"}, {"label": "epoch_size", "value": "3"}]
    }
    assert found["boot_file"] == "train.py"
    refused = [check for check in openi.checks(mine.replace(args=WORDS)) if check.ok is False]
    assert [check.name for check in refused] == ["args"]


ARRIVES = {
    "modelarts-v2": [
        *PAIRS,
        f"--data_dir={MODELARTS}/inputs/data_dir_0",
        f"--ckpt_save_dir={MODELARTS}/outputs/ckpt_save_dir_0",
    ],
    "modelarts-v1": ["--data_dir=obs://bucket/imgs/", "--ckpt_save_dir=obs://bucket/runs/m1/", *PAIRS],
    "openi-qizhi": [
        "--data_url=s3:///bucket/imgs/",
        "--train_url=s3:///bucket/runs/m1/",
        '--multi_data_url=[{"dataset_url": "s3:///bucket/imgs/", "dataset_name": "data_dir"}]',
        "--result_url=s3:///bucket/runs/m1/",
        *PAIRS,
        "--device_target=Ascend",
    ],
    "openi-c2net": [*PAIRS],
}


@pytest.mark.parametrize("platform", ARRIVES)
def test_what_arrives(platform):
    """GUIDE; V1 and SERVER of tests/contract/test_platforms.py."""
    request = to_request(job(provider="local", platform=platform), {})
    container = platforms.container(request, "job-1", 0)
    assert list(container.arguments) == ARRIVES[platform]
    kept = platforms.container(to_request(job(platform="modelarts-v2", keep=True), {}), "job-1", 0)
    assert (kept.inputs, kept.outputs, kept.arguments) == ((), (), ())


@pytest.mark.parametrize("version", ["3.7", "3.12"])
def test_the_boot_file_passes_every_word(folder, version):
    mine = job(code=str(folder), args=WORDS, inputs={}, outputs={})
    package = program.collect(mine)
    assert start(mine).boot_file == BOOT
    for name, data in package.files.items():
        (folder / name).write_bytes(data)
    python = find_python(version)
    if not python:
        pytest.skip(f"Python {version} is not installed")
    done = subprocess.run(
        [python, str(folder / BOOT), "--out=/x"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([*WORDS, "--out=/x"])


def test_the_boot_file_runs_a_command(folder):
    mine = job(code=str(folder), args=(), command="echo $((1+1)) && exit 7", inputs={}, outputs={})
    for name, data in program.collect(mine).files.items():
        (folder / name).write_bytes(data)
    done = subprocess.run([sys.executable, str(folder / BOOT)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2\n", 7)
