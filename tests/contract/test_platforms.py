"""The contract of platforms.base.Platform, on every platform.

What is expected comes from these sources, and each case names its own:
GUIDE    ModelArts user guide, "Viewing Environment Variables of a Training Container" (develop-modelarts-0104);
         "Creating a Training Job" and the SDK's models of inputs and outputs for the channels
V1       ModelArts, "Using a Custom Image to Train Models (Ascend)" of the first generation (docker-modelarts-0092,
         modelarts_05_0380), and modelarts_trouble_0046, which maps its variables to those of today
LAUNCHER davincirun.py of the preset Ascend images: rank table, variables and working directory of each process
SERVER   OpenI's server (aiforge): handleCloudbrainTwoParameter, convertTrainTask2Grampus
C2NET    the c2net package: what its prepare() reads
"""

from __future__ import annotations

import pytest

from mindlift.cloud import platforms
from mindlift.cloud.job import Job
from mindlift.cloud.platforms.base import Platform
from mindlift.cloud.platforms.container import rank_environment, ranks_of, working_directory
from mindlift.cloud.platforms.request import Request
from mindlift.model_utils import inputs, rank_table
from mindlift.model_utils.config.config import load
from mindlift.model_utils.ranks import in_cloud_job, read_ranks

REQUEST = Request(
    platform="modelarts-v2",
    name="job",
    code_url="obs://b/code/abc/mindlift/",
    boot_file="train.py",
    arguments=("--net=densenet100", "--enable_modelarts=True"),
    inputs=(("data_url", "obs://b/data/"),),
    outputs=(("train_url", "obs://b/run/"),),
    models=(("m.ckpt", "obs://b/m.ckpt"),),
    cards=2,
)


DATASETS = (("digits", "obs://b/data/"),)  # OpenI's have a name


def of(platform: str, node: int = 0, **changes: object) -> platforms.Container:
    return platforms.container(Request(**given(platform, **changes)), "job-1", node)


def given(platform: str, **changes: object) -> dict:
    datasets = {"inputs": DATASETS} if platform.startswith("openi") else {}
    return {**vars(REQUEST), **datasets, **changes, "platform": platform}


MODELARTS = "/home/ma-user/modelarts"
V2_JOB_DIR = "/home/ma-user/modelarts/user-job-dir"
HOSTS = "ma-job-job-1-worker-0.ma-job-job-1,ma-job-job-1-worker-1.ma-job-job-1"
DLS = {  # V1
    "DLS_TASK_INDEX": "1",
    "DLS_TASK_NUMBER": "2",
    "DLS_APP_URL": "obs://b/code/abc/mindlift/",
    "DLS_DATA_URL": "obs://b/data/",
    "DLS_TRAIN_URL": "obs://b/run/",
    "BATCH_CUSTOM0_HOSTS": "job-1-worker-0:6666",
    "BATCH_CUSTOM1_HOSTS": "job-1-worker-1:6666",
    "RANK_TABLE_FILE": "/user/config",
}
# on node 1 of 2
VARIABLES = {
    "modelarts-v1": DLS,
    "modelarts-v2": {  # GUIDE
        "MA_HOME": "/home/ma-user",
        "MA_JOB_DIR": V2_JOB_DIR,
        "MA_MOUNT_PATH": "/home/ma-user/modelarts",
        "MA_LOG_DIR": "/home/ma-user/modelarts/log",
        "WORKSPACE": f"{V2_JOB_DIR}/code",
        "MA_NUM_GPUS": "2",
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": "2",
        "VC_TASK_INDEX": "1",
        "VC_WORKER_NUM": "2",
        "VC_WORKER_HOSTS": HOSTS,
        "MA_VJ_NAME": "ma-job-job-1",  # LAUNCHER
    },
    "openi-qizhi": DLS,  # SERVER: 启智's preset engines are ModelArts v1
    "openi-c2net": {  # C2NET
        "DATA_DOWNLOAD_METHOD": "MOUNT",
        "LOCAL_CODE_PATH": "/cache/code",
        "DATASET_URL": '[{"dataset_url": "obs://b/data/", "dataset_name": "digits"}]',
        "LOCAL_DATASET_PATH": "/cache/dataset",
        "PRETRAIN_MODEL_URL": '[{"model_url": "obs://b/m.ckpt", "model_name": "m.ckpt"}]',
        "LOCAL_PRETRAIN_MODEL_PATH": "/cache/pretrainmodel",
        "OUTPUT_URL": "obs://b/run/",
        "LOCAL_OUTPUT_PATH": "/cache/output",
        "CODE_NEED_UNZIP": "false",
        "TRACKSERVER": "",  # SERVER
    },
}
FOLDERS = {  # code, working directory of card 0, logs
    # LAUNCHER, V1: the last folder of the code's URL below user-job-dir
    "modelarts-v1": ("/home/work/user-job-dir/mindlift", "/home/ma-user/workspace/device0", "/tmp/log"),
    # LAUNCHER: below MA_MOUNT_PATH; GUIDE
    "modelarts-v2": (
        f"{V2_JOB_DIR}/mindlift",
        "/home/ma-user/modelarts/workspace/device0",
        "/home/ma-user/modelarts/log",
    ),
    # SERVER: V0001 for a task that was not modified
    "openi-qizhi": ("/home/work/user-job-dir/V0001", "/home/ma-user/workspace/device0", "/tmp/log"),
    # SERVER: the repository's name in lower case; its NPU jobs start in /cache
    "openi-c2net": ("/cache/code/mindlift", "/cache/workspace/device0", "/tmp/log"),
}
PERIODIC = True
COPIES = {  # what the platform brings before the start, and what it takes away
    "modelarts-v1": ({}, {}),  # V1: the program copies by itself
    "modelarts-v2": (  # GUIDE
        {"/home/ma-user/modelarts/inputs/data_url_0": "obs://b/data/"},
        {"/home/ma-user/modelarts/outputs/train_url_0": ("obs://b/run/", PERIODIC)},
    ),
    "openi-qizhi": ({}, {}),
    "openi-c2net": (  # SERVER: convertTrainTask2Grampus
        {"/cache/dataset/digits": "obs://b/data/", "/cache/pretrainmodel/m.ckpt": "obs://b/m.ckpt"},
        {"/cache/output": ("obs://b/run/", not PERIODIC)},
    ),
}
# SERVER: handleCloudbrainTwoParameter drops these two; no other source names a parameter that does not arrive
DROPPED = {"openi-qizhi": {"train_url", "data_url"}}
on_all = pytest.mark.parametrize("name", platforms.PLATFORMS)


@on_all
def test_every_platform_is_one(name):
    """That these modules fit the Protocol is mypy's to say, of the table in platforms/__init__.py."""
    platform: Platform = platforms.PLATFORMS[name]
    assert platform.SERVICE.lower() == name.partition("-")[0]
    assert set(platform.DROPPED) == DROPPED.get(name, set())
    assert name in FOLDERS
    assert Job(platform=name).platform == name


@on_all
def test_variables(name):
    request = Request(**given(name, nodes=2))
    found = platforms.PLATFORMS[name].variables(request, "job-1", 1)
    assert {variable: found.get(variable) for variable in VARIABLES[name]} == VARIABLES[name]
    container = platforms.container(request, "job-1", 1)
    assert {variable: container.environment[variable] for variable in found} == found


def test_hosts_of_a_single_node():
    """V1: standalone jobs have the job's name in the variable."""
    assert of("modelarts-v1").environment["BATCH_job-1.0_HOSTS"] == "job-1-worker-0:6666"


@on_all
def test_folders(name):
    container = of(name)
    code, directory, logs = FOLDERS[name]
    rank = ranks_of(Request(**{**vars(REQUEST), "platform": name}), 0)[0]
    assert (container.code, working_directory(container, rank), container.logs) == (code, directory, logs)
    assert container.program == f"{code}/train.py"
    assert {"/cache", "/tmp"} <= set(container.folders)
    assert container.table == "/user/config/jobstart_hccl.json"  # LAUNCHER
    assert container.rank_table == "/home/ma-user/rank_table/jobstart_hccl.json"  # LAUNCHER


@on_all
def test_what_the_platform_copies(name):
    container = of(name)
    before, after = COPIES[name]
    assert {item.path: item.url for item in container.inputs} == before
    assert {item.path: (item.url, item.is_periodic) for item in container.outputs} == after
    assert set(after) <= set(container.folders)
    # C2NET: prepare() writes its marker into LOCAL_DATASET_PATH itself, so only what is mounted below it is protected
    assert set(container.read_only) == ({"/cache/dataset/digits"} if name == "openi-c2net" else set())


@on_all
def test_parameters_arrive_but_for_those_that_are_dropped(name):
    own = ("--alpha=1", "--train_url=mine", "--data_url=mine")
    found = of(name, arguments=own).arguments
    assert {word[2:-5] for word in own[1:] if word not in found} == DROPPED.get(name, set())
    assert own[0] in found


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
        ],
    ),
    "v2 by variable": (
        "modelarts-v2",
        {"access": "env"},
        ["--net=densenet100", "--enable_modelarts=True"],
    ),
    "v2, the job copies": (
        "modelarts-v2",
        {"access": "direct"},
        ["--net=densenet100", "--enable_modelarts=True"],
    ),
    "v2 without data": (
        "modelarts-v2",
        {"inputs": ()},
        [
            "--net=densenet100",
            "--enable_modelarts=True",
            f"--train_url={MODELARTS}/outputs/train_url_0",
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
        {"arguments": (*REQUEST.arguments, "--device_target=CPU", "--train_url=mine")},
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
