"""What each platform's container holds: folders, variables, arguments, rank tables."""

from __future__ import annotations

import json

import pytest

from mindlift.cloud import platforms
from mindlift.cloud.platforms.container import rank_environment, ranks_of, working_directory
from mindlift.cloud.platforms.mapping import mapped
from mindlift.cloud.platforms.request import Request, from_json
from mindlift.model_utils import inputs, rank_table
from mindlift.model_utils.config.config import load
from mindlift.model_utils.ranks import in_cloud_job, read_ranks

REQUEST = Request(
    platform="modelarts-v2",
    name="job",
    code_url="obs://b/code/abc/mindlift/",
    boot_file="train.py",
    parameters=(("net", "densenet100"), ("enable_modelarts", "True")),
    data_url="obs://b/data/",
    train_url="obs://b/run/",
    datasets=(("digits", "obs://b/data/"),),
    models=(("m.ckpt", "obs://b/m.ckpt"),),
    cards=2,
)


def of(platform: str, node: int = 0, **changes: object) -> platforms.Container:
    request = Request(**{**vars(REQUEST), **changes, "platform": platform})
    return platforms.container(request, "job-1", node)


MODELARTS = "/home/ma-user/modelarts"
QIZHI = [
    "--data_url=s3:///b/data/",
    "--train_url=s3:///b/run/",
    '--multi_data_url=[{"dataset_url": "s3:///b/data/", "dataset_name": "digits"}]',
    '--pretrain_url=[{"model_url": "s3:///b/m.ckpt", "model_name": "m.ckpt"}]',
    "--ckpt_url=s3:///b/m.ckpt",
    "--result_url=s3:///b/run/",
    "--net=densenet100",
    "--enable_modelarts=True",
]
ARGUMENTS = {
    "v2 by argument": (
        "modelarts-v2",
        {},
        [
            "--net=densenet100",
            "--enable_modelarts=True",
            f"--data_url={MODELARTS}/inputs/data_url_0",
            f"--train_url={MODELARTS}/outputs/train_url_0",
            "--resume_url=obs://b/run/",
        ],
    ),
    "v2 by variable": (
        "modelarts-v2",
        {"access": "env"},
        ["--net=densenet100", "--enable_modelarts=True", "--resume_url=obs://b/run/"],
    ),
    "v2, the job copies": (
        "modelarts-v2",
        {"access": "direct"},
        [
            "--net=densenet100",
            "--enable_modelarts=True",
            "--data_url=obs://b/data/",
            "--train_url=obs://b/run/",
        ],
    ),
    "v2 without data": (
        "modelarts-v2",
        {"data_url": ""},
        [
            "--net=densenet100",
            "--enable_modelarts=True",
            f"--train_url={MODELARTS}/outputs/train_url_0",
            "--resume_url=obs://b/run/",
        ],
    ),
    "v1": (
        "modelarts-v1",
        {},
        [
            "--data_url=obs://b/data/",
            "--train_url=obs://b/run/",
            "--net=densenet100",
            "--enable_modelarts=True",
        ],
    ),
    "qizhi": ("openi-qizhi", {}, [*QIZHI, "--device_target=Ascend"]),
    "qizhi with a device of the user's": (
        "openi-qizhi",
        {"parameters": (*REQUEST.parameters, ("device_target", "CPU"), ("train_url", "mine"))},
        [*QIZHI, "--device_target=CPU"],
    ),
    "c2net": ("openi-c2net", {}, ["--net=densenet100", "--enable_modelarts=True"]),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case):
    platform, changes, expected = ARGUMENTS[case]
    assert list(of(platform, **changes).arguments) == expected


EXPECTED = {
    "modelarts-v2": ({f"{MODELARTS}/inputs/data_url_0"}, "", f"{MODELARTS}/outputs/train_url_0"),
    "modelarts-v1": ({"obs://b/data/"}, "", "obs://b/run/"),
    "openi-qizhi": ({"s3:///b/data/"}, "s3:///b/m.ckpt", "s3:///b/run/"),
    "openi-c2net": ({"/cache/dataset/digits"}, "/cache/pretrainmodel/m.ckpt", "/cache/output"),
}


@pytest.mark.parametrize("access", ["parameter", "env"])
@pytest.mark.parametrize("platform", EXPECTED)
def test_the_job_finds_what_the_platform_gives_it(platform, access):
    container = of(platform, access=access)
    cfg = load([*container.arguments, "--dataset", "digits"], in_cloud=True)
    found = inputs.read_inputs(cfg, container.environment)
    assert in_cloud_job(container.environment)
    assert ({source.url for source in found.data}, found.weights, found.output) == EXPECTED[platform]


@pytest.mark.parametrize("platform", EXPECTED)
@pytest.mark.parametrize(("cards", "nodes"), [(1, 1), (8, 1), (2, 2)])
def test_each_process_knows_its_rank(platform, cards, nodes, tmp_path):
    seen = []
    for node in range(nodes):
        container = of(platform, node, cards=cards, nodes=nodes)
        request = Request(**{**vars(REQUEST), "platform": platform, "cards": cards, "nodes": nodes})
        text = platforms.scheduler_table(request, "job-1")
        (tmp_path / "table.json").write_text(rank_table.to_v1(rank_table.parse(text, "table")))
        for rank in ranks_of(request, node):
            own = {
                **rank_environment(container, rank, "job-1"),
                "RANK_TABLE_FILE": str(tmp_path / "table.json"),
            }
            found = read_ranks({**container.environment, **own})
            seen.append((found.rank, found.size, found.device, found.node))
            assert working_directory(container, rank).endswith(f"/device{found.device}")
    assert seen == [(n * cards + c, cards * nodes, c, n) for n in range(nodes) for c in range(cards)]


@pytest.mark.parametrize("platform", EXPECTED)
def test_users_variables_win(platform):
    assert of(platform, environment={"PYTHONPATH": "/mine", "X": "1"}).environment["PYTHONPATH"] == "/mine"


def test_channels_are_json():
    container = of("modelarts-v2")
    channel = json.loads(container.environment["MA_INPUTS"])["inputs"][0]
    assert channel["name"] == "data_url"
    assert channel["remote"] == {"obs": {"obs_url": "obs://b/data/"}}
    assert (
        json.loads(container.environment["MA_OUTPUTS"])["outputs"][0]["local_dir"]
        == container.outputs[0].path
    )


MAPPED = {
    "/cache": "R/cache",
    "--data_url=/home/ma-user/x": "--data_url=R/home/ma-user/x",
    "obs://bucket/cache/x": "obs://bucket/cache/x",
    "s3:///cache/x": "s3:///cache/x",
    "/data/cache/x": "/data/cache/x",
    '{"a": "/cache/output"}': '{"a": "R/cache/output"}',
    "/home/work/a:/tmp/b": "R/home/work/a:R/tmp/b",
    "/cached": "/cached",
    "http://host:80/tmp/x": "http://host:80/tmp/x",
    "/home/other": "/home/other",
}


@pytest.mark.parametrize("text", MAPPED)
def test_platform_paths_go_below_the_root(text):
    assert mapped("R", text) == MAPPED[text]


def test_a_request_survives_its_file():
    assert from_json(REQUEST.as_json()) == REQUEST
