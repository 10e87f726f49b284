"""The code of a job: which files, which bytes, and that they travel once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import package
from mindlift.storage import places
from mindlift.storage.moxing import file


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "src").mkdir(parents=True)
    (root / "train.py").write_text("print('train')\n")
    (root / "src/数据.py").write_bytes(b"x = 1\r\n" * 3)
    (root / "empty").write_bytes(b"")
    (root / "tests").mkdir()
    (root / "tests/test_x.py").write_text("")
    (root / ".gitignore").write_text("ignored\n")
    (root / "ignored").write_text("secret")
    git(root, "init", "-q")
    commit(root)
    return root


def git(root: Path, *arguments: str) -> None:
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", str(root), *arguments], check=True, env={**os.environ, **identity})


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")


def test_the_tracked_files_of_the_commit(checkout):
    found = package.collect(checkout, "train.py", False)
    assert set(found.files) == {".gitignore", "empty", "revision.json", "src/数据.py", "train.py"}
    assert found.files["src/数据.py"] == b"x = 1\r\n" * 3
    assert found.files["empty"] == b""
    assert found.revision in found.files["revision.json"].decode()
    assert not found.is_dirty


def test_the_same_bytes_for_the_same_commit(checkout, tmp_path):
    git(tmp_path, "clone", "-q", str(checkout), "other")
    os.utime(tmp_path / "other/train.py", (1, 1))
    (tmp_path / "other/train.py").chmod(0o755)
    git(tmp_path / "other", "config", "core.fileMode", "false")
    first, second = (package.collect(root, "train.py", False) for root in (checkout, tmp_path / "other"))
    assert first.sha256 == second.sha256
    (checkout / "train.py").write_text("print('more')\n")
    commit(checkout)
    assert package.collect(checkout, "train.py", False).sha256 != first.sha256


def test_a_dirty_tree_is_refused_and_taken_on_request(checkout):
    (checkout / "train.py").write_text("changed")
    (checkout / "new.py").write_text("new")
    with pytest.raises(
        JobError, match=r"uncommitted changes in .*: train\.py, new\.py; commit them.*--allow_dirty"
    ):
        package.collect(checkout, "train.py", False)
    found = package.collect(checkout, "train.py", True)
    assert found.is_dirty
    assert found.files["train.py"] == b"changed"
    assert "new.py" in found.files
    assert "ignored" not in found.files
    assert b'"dirty": true' in found.files["revision.json"]


def test_what_is_no_checkout(tmp_path, checkout):
    with pytest.raises(JobError, match="git status in .*not a git repository"):
        package.collect(tmp_path, "train.py", False)
    with pytest.raises(JobError, match=r"holds no eval\.py to start"):
        package.collect(checkout, "eval.py", False)


def test_only_what_has_changed_is_sent(checkout, url):
    url, first = f"{url}/code", package.collect(checkout, "train.py", False)
    assert package.sync(first, url) == package.Sync(5, first.size_bytes, 0, 0)
    assert package.sync(first, url) == package.Sync(0, 0, 5, 0)
    (checkout / "src/数据.py").unlink()
    (checkout / "train.py").write_text("print('trick')\n")  # of the same size
    commit(checkout)
    second = package.collect(checkout, "train.py", False)
    done = package.sync(second, url)
    assert (done.sent, done.kept, done.deleted) == (2, 2, 1), "train.py and revision.json"
    assert {name: file.read(f"{url}/{name}", binary=True) for name in second.files} == second.files
    assert not file.exists(f"{url}/src/数据.py")


def test_each_version_has_a_folder_of_its_own(checkout):
    found = package.collect(checkout, "train.py", False)
    job = package.placed(Job(code_url="obs://bucket/code/"), found)
    assert job.code_url == f"obs://bucket/code/{found.sha256[:12]}/mindlift/"
    assert package.placed(Job(), found).code_url == ""


class Encrypting:
    """A store whose ETags are no digests of the content, as under encryption with a key of one's own."""

    def __init__(self, store):
        self.store, self.written = store, []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def walk(self, folder):
        return (entry._replace(etag=entry.etag[::-1]) for entry in self.store.walk(folder))

    def write(self, key, data):
        self.written.append(key)
        found = self.store.write(key, data)
        return found._replace(etag=found.etag[::-1])


def test_encrypted_code_is_not_sent_again(checkout, url, monkeypatch):
    """AWS API reference, Object: the ETag of an object under SSE-KMS or SSE-C is no MD5 of its data."""
    stores = []

    def locate(where):
        store, key = places.locate(where)
        stores.append(Encrypting(store))
        return stores[-1], key

    monkeypatch.setattr(package, "locate", locate)
    first = package.collect(checkout, "train.py", False)
    assert package.sync(first, f"{url}/code").sent == 5
    assert package.sync(first, f"{url}/code") == package.Sync(0, 0, 5, 0)
    file.write(f"{url}/code/train.py", "changed by somebody")
    assert package.sync(first, f"{url}/code").sent == 1
    assert package.sync(first, f"{url}/code").sent == 0
    file.write(f"{url}/code.digests.json", "no note")
    assert package.sync(first, f"{url}/code").sent == 5
    assert stores[0].written[-1] == "code.digests.json", "the note comes last"


def test_no_note_where_etags_are_digests(checkout, url):
    package.sync(package.collect(checkout, "train.py", False), f"{url}/code")
    assert not file.exists(f"{url}/code.digests.json")
