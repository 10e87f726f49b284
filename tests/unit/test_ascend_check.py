"""The first hour on a card: what is sent back, what is not, and parts that fail."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from src.tools import ascend_check, check_parts
from src.tools.check_parts import Failed, Outcome, Place


@pytest.fixture
def place(tmp_path) -> Place:
    return Place("CPU", 2, tmp_path, 20.0)


def content(folder: Path) -> dict[str, str]:
    (file,) = folder.glob("ascend_check_*.tar.gz")
    with tarfile.open(file) as archive:
        assert {(entry.uid, entry.uname) for entry in archive} == {(0, "")}
        return {entry.name: archive.extractfile(entry).read().decode() for entry in archive}


def test_a_part_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def fails(place: Place, log: Path) -> Outcome:
        check_parts.run(
            place, log, [sys.executable, "-c", "print('error: no card 10.1.2.3'); raise SystemExit(3)"]
        )
        raise AssertionError("must not be reached")

    def breaks(place: Place, log: Path) -> Outcome:
        return Outcome("ok", str({}["missing"]))

    def works(place: Place, log: Path) -> Outcome:
        return Outcome("ok", "fine", {"loss": 1.5, "version": "4.11.0.86"})

    parts = {"fails": fails, "breaks": breaks, "works": works}
    monkeypatch.setattr(check_parts, "parts", lambda: parts)
    code = ascend_check.main(["--device_target", "CPU", "--output", str(tmp_path)])
    assert code == 1
    said = capsys.readouterr()
    assert "error: 2 of 3 parts failed: fails, breaks" in said.err
    assert "3/3 works          ok" in said.out
    files = content(tmp_path)
    summary = json.loads(files["summary.json"])
    assert [part["status"] for part in summary.values()] == ["failed", "failed", "ok"]
    assert summary["fails"]["says"] == "error: no card <address>"
    assert summary["breaks"]["says"] == "KeyError: 'missing'"
    assert summary["works"]["figures"] == {"loss": 1.5, "version": "4.11.0.86"}
    assert "10.1.2.3" not in "".join(files.values())
    assert "exit code 3" in files["logs/fails.log"]


def test_names_of_user_machine_and_folders_are_not_sent(monkeypatch, tmp_path):
    monkeypatch.setattr(ascend_check.Path, "home", lambda: Path("/home/jane"))
    monkeypatch.setattr(ascend_check.getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(ascend_check.socket, "gethostname", lambda: "node-17")
    names = ascend_check.private_names(tmp_path)
    text = f"{tmp_path}/a.log of jane on node-17 in /home/jane/x; janet stays; {check_parts.ROOT}/src"
    found = ascend_check.redacted(text, names)
    assert found == "<work>/a.log of <user> on <host> in <home>/x; janet stays; <project>/src"


def test_a_command_that_does_not_end_is_ended(place, tmp_path):
    slow = Place("CPU", 1, tmp_path, 0.5)
    with pytest.raises(Failed, match=r"no end after 0\.5 s"):
        check_parts.run(slow, tmp_path / "log", [sys.executable, "-c", "import time; time.sleep(60)"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "versions,flux"], "--only flux: no such part; there are versions, doctor"),
        (["--output", "/nowhere/at/all"], "--output /nowhere/at/all: there is no such folder"),
        (["--device_target", "Ascend"], "--device_target Ascend, but this machine has no"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert ascend_check.main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_every_family_at_every_level_is_a_part():
    from src import models

    assert {check_parts.FAMILIES[name][0] for name in check_parts.FAMILIES} <= {
        variant for module in models.families().values() for variant in module.VARIANTS
    }
    assert len(check_parts.FAMILIES) == len(models.families())
    steps = [name for name in check_parts.parts() if name.endswith(check_parts.LEVELS)]
    assert len(steps) == 4 * len(models.families())
