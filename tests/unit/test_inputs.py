"""What platforms' arguments and variables ask for."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils import inputs
from mindlift.model_utils.inputs import Inputs, Source, read_inputs, shards_of

EMPTY = dict.fromkeys(
    (
        "multi_data_url",
        "data_url",
        "data_dir",
        "pretrained",
        "ckpt_url",
        "checkpoint_url",
        "pretrain_url",
        "train_url",
        "result_url",
        "model_url",
        "resume_url",
    ),
    "",
)
TWO = json.dumps(
    [
        {"dataset_url": "s3:///b/a.zip", "dataset_name": "a.zip"},
        {"dataset_url": "s3:///b/c/", "dataset_name": "c"},
    ]
)
MODEL = json.dumps([{"model_url": "s3://b/m.ckpt", "model_name": "m.ckpt"}])
C2NET = {
    "DATA_DOWNLOAD_METHOD": "MOXING",
    "DATASET_URL": TWO,
    "LOCAL_DATASET_PATH": "/cache/dataset",
    "PRETRAIN_MODEL_URL": MODEL,
    "LOCAL_PRETRAIN_MODEL_PATH": "/cache/pretrainmodel",
    "OUTPUT_URL": "s3:///b/out",
    "LOCAL_OUTPUT_PATH": "/cache/output",
}
BOTH = (Source("s3:///b/a.zip", "a.zip"), Source("s3:///b/c/", "c"))

CASES = {
    "nothing": ({}, {}, Inputs((), "", "")),
    "modelarts": (
        {"data_url": "obs://b/d/", "train_url": "obs://b/o/"},
        {},
        Inputs((Source("obs://b/d/"),), "", "obs://b/o/"),
    ),
    "a folder that the platform has filled": (
        {
            "data_url": "/home/ma-user/modelarts/inputs/data_url_0",
            "train_url": "/home/ma-user/modelarts/outputs/o",
        },
        {},
        Inputs(
            (Source("/home/ma-user/modelarts/inputs/data_url_0"),), "", "/home/ma-user/modelarts/outputs/o"
        ),
    ),
    "openi with two data sets and a model": (
        {
            "data_url": "s3:///b/a.zip",
            "multi_data_url": TWO,
            "pretrain_url": MODEL,
            "ckpt_url": "s3://b/m.ckpt",
            "result_url": "s3://b/r",
            "train_url": "s3://b/t",
        },
        {},
        Inputs(BOTH, "s3://b/m.ckpt", "s3://b/t"),
    ),
    "openi with nothing selected": (
        {"multi_data_url": "[]", "pretrain_url": "[]", "ckpt_url": "[]", "result_url": "s3://b/r"},
        {},
        Inputs((), "", "s3://b/r"),
    ),
    "the user's own checkpoint wins": (
        {"pretrained": "obs://b/mine.ckpt", "ckpt_url": "obs://b/m.ckpt"},
        {},
        Inputs((), "obs://b/mine.ckpt", ""),
    ),
    "only the list of models": ({"pretrain_url": MODEL}, {}, Inputs((), "s3://b/m.ckpt", "")),
    "a plain url in place of the list": (
        {"multi_data_url": "obs://b/x/"},
        {},
        Inputs((Source("obs://b/x/"),), "", ""),
    ),
    "c2net that downloads": ({}, C2NET, Inputs(BOTH, "s3://b/m.ckpt", "s3:///b/out", "/cache/output")),
    "c2net that mounts": (
        {},
        {**C2NET, "DATA_DOWNLOAD_METHOD": "MOUNT"},
        Inputs(
            (Source("/cache/dataset/a.zip", "a.zip"), Source("/cache/dataset/c", "c")),
            "/cache/pretrainmodel/m.ckpt",
            "/cache/output",
            "/cache/output",
        ),
    ),
    "c2net that mounts nothing": (
        {},
        {"DATA_DOWNLOAD_METHOD": "MOUNT", "DATASET_URL": "[]", "LOCAL_DATASET_PATH": "/cache/dataset"},
        Inputs((), "", ""),
    ),
    "arguments win over c2net": (
        {"data_url": "obs://b/d/", "train_url": "obs://b/o/"},
        C2NET,
        Inputs((Source("obs://b/d/"),), "s3://b/m.ckpt", "obs://b/o/"),
    ),
    "modelarts by variables": (
        {"resume_url": "obs://b/o/"},
        {"data_url": "/in/data", "train_url": "/out/train"},
        Inputs((Source("/in/data"),), "", "/out/train", resume_url="obs://b/o/"),
    ),
    "the older names": (
        {"checkpoint_url": "obs://b/m.ckpt", "model_url": "obs://b/o/"},
        {},
        Inputs((), "obs://b/m.ckpt", "obs://b/o/"),
    ),
    "a local data_dir": ({"data_dir": "/data"}, {}, Inputs((Source("/data"),), "", "")),
}


@pytest.mark.parametrize("case", CASES)
def test_inputs(case):
    given, env, expected = CASES[case]
    assert read_inputs(SimpleNamespace(**{**EMPTY, **given}), env) == expected


@pytest.mark.parametrize("text", ["[{]", '[{"url": "x"}]', "{}", "[1]"])
def test_json_that_can_not_be_read(text):
    with pytest.raises(ConfigError, match="multi_data_url is .*dataset_url"):
        read_inputs(SimpleNamespace(**{**EMPTY, "multi_data_url": text}), {})


def test_the_main_data_set():
    assert inputs.main_source(BOTH, "s3:///b/c") == BOTH[1]
    assert inputs.main_source(BOTH, "s3:///b/other") is None


def test_shards_are_shared_out_and_the_rest_goes_everywhere():
    files = [f"train.mindrecord{number}{end}" for number in range(5) for end in ("", ".db")] + [
        "labels.json",
        "x.mindrecord.db",
    ]
    nodes = [shards_of(files, node, 2) for node in range(2)]
    assert nodes[0] == [
        "train.mindrecord0",
        "train.mindrecord0.db",
        "train.mindrecord2",
        "train.mindrecord2.db",
        "train.mindrecord4",
        "train.mindrecord4.db",
        "labels.json",
    ]
    assert {name for node in nodes for name in node} | {"x.mindrecord.db"} == set(files)
    assert set(nodes[0]) & set(nodes[1]) == {"labels.json"}
    assert shards_of(["a", "b"], 0, 2) == ["a", "b"]
