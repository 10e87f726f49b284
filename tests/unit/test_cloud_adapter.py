"""What the options of a cloud job do to its adapter; whole jobs are in e2e/test_cloud_job.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mindlift.errors import PeerError
from mindlift.model_utils import cloud_adapter, inputs
from mindlift.model_utils.config import config
from mindlift.model_utils.ranks import Ranks
from mindlift.storage.moxing import file


def adapter(cache: Path, ranks: Ranks, *arguments: str) -> cloud_adapter.CloudAdapter:
    cfg = config.load(["--enable_modelarts", "true", "--cache_path", str(cache), *arguments])
    return cloud_adapter.make(cfg, inputs.read_inputs(cfg, os.environ), ranks, "job", None)


def test_the_cache_is_where_the_option_says(url, tmp_path):
    file.write(f"{url}/set/a", "1")
    found = adapter(tmp_path / "here", Ranks(), "--data_url", f"{url}/set/").stage_in()
    assert found.is_relative_to(tmp_path / "here")
    assert (found / "a").read_text() == "1"


@pytest.mark.parametrize(("mode", "expected"), [("all", {"0", "1", "2", "3"}), ("node_shards", {"1", "3"})])
def test_a_node_copies_all_or_its_shards(url, tmp_path, mode, expected):
    for number in range(4):
        file.write(f"{url}/set/train.mindrecord{number}", "x")
    second_of_two = Ranks(rank=1, size=2, devices_per_node=1)
    found = adapter(tmp_path, second_of_two, "--data_url", f"{url}/set/", "--stage_mode", mode).stage_in()
    assert {path.name[-1] for path in found.glob("train.mindrecord?")} == expected


def test_peers_wait_as_long_as_the_option_says(tmp_path):
    waiting = Ranks(rank=1, size=2, device=1, devices_per_node=2)
    started = time.monotonic()
    with pytest.raises(PeerError, match="gave up after 1"):
        adapter(tmp_path, waiting, "--data_url", "obs://bucket/set/", "--stage_timeout", "1").stage_in()
    assert 1 <= time.monotonic() - started < 10
