"""The commit of a run: told by git here, by the note that cloud/submit.py sends in a job."""

from __future__ import annotations

import json
import subprocess

import pytest

from mindlift.runs.revision import REVISION_FILE, code_revision

COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("dirty", "digits", "expected"), [(False, 40, COMMIT), (True, 12, "012345678901-dirty")]
)
def test_a_job_has_a_note(tmp_path, dirty, digits, expected):
    (tmp_path / REVISION_FILE).write_text(json.dumps({"revision": COMMIT, "dirty": dirty}))
    assert code_revision(tmp_path, digits) == expected


@pytest.mark.parametrize("note", [None, "", "[]", "{}", '{"revision": 3, "dirty": false}'])
def test_a_checkout_has_git(tmp_path, note):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "tag", "-a", "-m", "v1", "v1"], check=True)
    if note is not None:
        (tmp_path / REVISION_FILE).write_text(note)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert code_revision(tmp_path) == head


def test_without_git_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_revision(tmp_path) == ""
