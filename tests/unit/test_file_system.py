"""The plan of a container's mounts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mindlift.cloud import platforms
from mindlift.cloud.platforms.request import Request
from mindlift.cloud.providers.local import file_system
from mindlift.cloud.providers.local.file_system import Mount
from mindlift.cloud.providers.local.node import host_names


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path / "user"


def test_an_environment_is_there_once_and_where_it_really_is(home, tmp_path):
    (home / "versions/3.9/bin").mkdir(parents=True)
    (home / "versions/3.9/bin/python3.9").touch()
    (home / "envs/real").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home / "envs/real")
    places = [
        str(home / "versions/3.9"),
        str(home / "versions/3.9/bin/python3.9"),
        "/usr/lib/python3",
        str(tmp_path / "link"),
        str(tmp_path / "gone"),
    ]
    found = file_system.seen_places(places)
    assert {*found} == {str(tmp_path / "link"), str(home / "versions/3.9"), str(home / "envs/real")}
    assert found.index(str(tmp_path / "link")) == 0, "outer folders first"


def test_a_home_folder_is_no_environment(home):
    """Also if somebody has put it on Python's path."""
    assert file_system.seen_places([str(home), str(home.parent), "/"]) == []


def test_what_not_everybody_may_read_is_hidden(tmp_path):
    for name, mode in (("passwd", 0o644), ("shadow", 0o640), ("ssh/key", 0o600), ("ssh/config", 0o644)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.chmod(mode)
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("shadow")
    assert [*file_system.hidden(str(tmp_path))] == [
        Mount("tmpfs", f"{tmp_path}/private"),
        Mount("bind", f"{tmp_path}/shadow", "/dev/null"),
        Mount("bind", f"{tmp_path}/ssh/key", "/dev/null"),
    ]


def test_only_the_nodes_folders_can_be_written(tmp_path):
    request = Request("openi-c2net", "job", "obs://b/code/x/", "train.py", inputs=(("d", "obs://b/d/"),))
    container = platforms.container(request, "job", 0)
    root = os.path.realpath(tmp_path / "node")
    found = file_system.mounts(root, container, [], [])
    writable = {mount.target for mount in found if mount.is_writable and mount.kind == "bind"}
    devices = {path for path in writable if path.startswith("/dev/")}
    assert writable - devices == {"/proc", "/cache", "/home/ma-user", "/tmp", "/user/config"}
    assert Mount("bind", "/cache/dataset/d", f"{root}/cache/dataset/d") in found
    for mount in found:
        if mount.is_writable and mount.kind == "bind" and mount.target not in (*devices, "/proc"):
            assert mount.source == root + mount.target


def test_the_names_of_a_jobs_nodes():
    variables = {
        "VC_WORKER_HOSTS": "ma-job-1-worker-0.ma-job-1,ma-job-1-worker-1.ma-job-1",  # develop-modelarts-0104
        "BATCH_CUSTOM0_HOSTS": "job-worker-0:6666",  # modelarts_trouble_0046
        "MA_NUM_HOSTS": "2",
    }
    expected = ["ma-job-1-worker-0.ma-job-1", "ma-job-1-worker-1.ma-job-1", "job-worker-0"]
    assert host_names(variables) == expected
