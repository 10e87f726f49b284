"""Other users of the machine: what they put where all may write is neither followed nor believed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mindlift import files
from mindlift.errors import StorageError
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.model_utils.staging.node_gate import Marker, Process
from tests.support.programs import ROOT, environment

OTHER = 65534  # nobody
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")


@pytest.fixture
def shared(tmp_path, monkeypatch) -> Path:
    """A temporary folder as /tmp: all may write, and nobody renames what is another's."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_folder_is_made_for_this_user_alone(shared):
    before = os.umask(0)
    try:
        found = files.private_folder("mine")
    finally:
        os.umask(before)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    found.chmod(0o777)
    assert stat.S_IMODE(files.private_folder("mine").stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file", pytest.param("folder", marks=AS_ROOT)])
def test_one_that_another_has_made_is_refused(shared, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.mkdir()
    if kind == "link":
        (shared / "mine").symlink_to(victim)
    elif kind == "file":
        (shared / "mine").write_text("")
    else:
        (shared / "mine").mkdir()
        os.chown(shared / "mine", OTHER, OTHER)
    with pytest.raises(
        StorageError, match="mine belongs to another user, or is no folder; remove it, or set TMPDIR"
    ):
        files.private_folder("mine")
    assert not list(victim.iterdir())


def test_the_cache_of_who_has_no_home_is_private(shared, monkeypatch):
    monkeypatch.delenv("MINDLIFT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere/cache")
    if os.access("/cache", os.W_OK):
        pytest.skip("this machine has a /cache")
    found = cache_folder("")
    assert found.parent == shared
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


@AS_ROOT
def test_a_marker_of_another_user_tells_nothing(tmp_path):
    me = Process.of(os.getpid())
    path = tmp_path / "marker"
    record = {
        "state": "done",
        "subject": "copy",
        "rank": 0,
        "owner": vars(me),
        "launcher": vars(me),
        "at_s": 1.0,
        "result": "/evil",
    }
    path.write_text(json.dumps(record))
    assert Marker.read(path).result == "/evil"
    os.chown(path, 1234, 1234)
    assert Marker.read(path) is None


def test_graph_dumps_go_to_a_private_folder(shared, few_digits):
    """train.py imports MindSpore with it: a link that another user has put there stops the program in one line."""
    (shared / f"mindlift-{os.getuid()}").symlink_to(ROOT / "docs")
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "--data_dir", few_digits, "--ckpt_path", shared / "runs"],
        env=environment(TMPDIR=str(shared)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"mindlift-{os.getuid()} belongs to another user" in done.stderr
