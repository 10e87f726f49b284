"""Channels as JSON, platform paths below a folder, and the file of a request."""

from __future__ import annotations

import json

import pytest

from mindlift.cloud.platforms.mapping import mapped
from mindlift.cloud.platforms.request import from_json
from tests.contract.test_platforms import REQUEST, of


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
