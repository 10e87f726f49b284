"""The first hour on a card: what is sent back, what is not, and parts that fail."""

from __future__ import annotations

import json
import sys
import tarfile
import time
from pathlib import Path

import pytest

from mindlift import models
from mindlift.ascend_check import machine, parts, redaction, run
from mindlift.ascend_check.parts import Part
from mindlift.ascend_check.work import Failed, Place, Skipped, Work
from mindlift.model_utils import devices


def place(folder: Path) -> Place:
    return Place(devices.of(devices.CPU), 2, None, folder, redaction.of_this_machine({"WORK": folder}))


def content(folder: Path) -> dict[str, str]:
    (file,) = folder.glob("ascend_check_cpu_*.tar.gz")
    with tarfile.open(file) as archive:
        assert {(entry.uid, entry.uname) for entry in archive} == {(0, "")}
        return {entry.name.partition("/")[2]: archive.extractfile(entry).read().decode() for entry in archive}


def test_a_part_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    def fails(work: Work) -> None:
        work.run(sys.executable, "-c", "print('error: no card at 10.1.2.3'); raise SystemExit(3)")

    def breaks(work: Work) -> None:
        work.figures["x"] = {}["missing"]

    def leaves(work: Work) -> None:
        raise Skipped("there is no card")

    def works(work: Work) -> None:
        work.figures.update(loss=1.5, version="driver version 23.0.2.1")

    bodies = (fails, breaks, leaves, works)
    monkeypatch.setattr(run, "table", lambda: [Part(body.__name__, "a part", body) for body in bodies])
    assert run.main(["--device_target", "CPU", "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "1 ok, 2 failed, 1 skipped" in said
    files = content(tmp_path)
    found = {part["name"]: part for part in json.loads(files["result.json"])["parts"]}
    assert [part["state"] for part in found.values()] == ["failed", "failed", "skipped", "ok"]
    assert found["fails"]["commands"][0]["exit_code"] == 3
    assert found["fails"]["says"].endswith("error: no card at ADDRESS")
    assert found["breaks"]["says"] == "KeyError: 'missing'"
    assert found["works"]["figures"] == {"loss": 1.5, "version": "driver version 23.0.2.1"}
    assert "10.1.2.3" not in "".join(files.values())
    assert "[exit code 3]" in files["logs/fails.log"]


def test_what_is_not_sent():
    redact = redaction.redactor(
        {"jane"}, {"node-17", "node-17.lab"}, {"WORK": "/tmp/w", "~": "/home/jane"}, ["s3cr3t-value"]
    )
    text = (
        "/tmp/w/a.log of jane on node-17.lab in /home/jane/x; janet stays\n"
        "http://me:pw@store:9000 and 192.168.7.8 or fe80:0:0:1:2:3:4:5, 0a:1b:2c:3d:4e:5f, 127.0.0.1\n"
        "s3cr3t-value SECRET_ACCESS_KEY=abcdefghij\n"
        "npu-smi version 23.0.2.1\n"
    )
    assert redact(text) == (
        "WORK/a.log of USER on HOST in ~/x; janet stays\n"
        "http://SECRET@store:9000 and ADDRESS or ADDRESS, ADDRESS, 127.0.0.1\n"
        "SECRET SECRET_ACCESS_KEY=SECRET\n"
        "npu-smi version 23.0.2.1\n"
    )


def test_programs_see_no_keys():
    env = {
        "PATH": "/bin",
        "SECRET_ACCESS_KEY": "x",
        "S3_ENDPOINT": "x",
        "MY_TOKEN": "x",
        "https_proxy": "x",
        "AK": "x",
    }
    assert redaction.public(env) == {"PATH": "/bin"}


def test_a_command_that_does_not_end_is_ended(tmp_path):
    work = Work(place(tmp_path), tmp_path, time.monotonic() + 0.5)
    with pytest.raises(Failed, match="was not done when its time was over"):
        work.run(sys.executable, "-c", "import time; time.sleep(60)")


def test_a_command_is_killed_as_soon_as_it_says_something(tmp_path):
    work = Work(place(tmp_path), tmp_path, time.monotonic() + 20)
    endless = "import time\nprint('step 1', flush=True)\nwhile True: time.sleep(0.1)"
    assert work.run(sys.executable, "-c", endless, kill_when=lambda out: "step 1" in out) == "step 1\n"
    with pytest.raises(Failed, match="ended before it could be killed"):
        work.run(sys.executable, "-c", "pass", kill_when=lambda out: False)


def test_parts_that_the_time_does_not_reach_are_skipped(tmp_path):
    parts_found, interrupted = run.run_all(
        [Part("late", "", lambda work: None)], place(tmp_path), time.monotonic() - 1
    )
    assert (parts_found[0].state, interrupted) == ("skipped", 0)
    assert "--minutes" in parts_found[0].says


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "versions,flux"], "--only flux: no such part; --list names them"),
        (["--output", "/nowhere/at/all"], "--output /nowhere/at/all: expected a folder"),
        (["--minutes", "0"], "--minutes 0: expected a number above 0"),
        (["--device_target", "Ascend"], "--device_target Ascend, but this machine has no"),
        (["--rank_table", "none.json"], "--rank_table none.json: there is no such file"),
        (["--flux"], "unrecognized arguments: --flux"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert run.main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_every_family_at_every_level_is_a_part():
    names = {part.name for part in parts.table()}
    assert set(parts.FAMILIES) == {name.partition("_")[0] for name in models.families()}
    for family in parts.FAMILIES:
        assert {f"step-{family}-{level}" for level in ("O0", "O1", "O2", "O3")} | {
            f"evaluation-{family}"
        } <= names


def test_lines_about_versions_are_read_from_the_drivers_files(tmp_path):
    """The layout of driver and CANN: /usr/local/Ascend/driver/version.info, $ASCEND_HOME_PATH/version.cfg."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver/version.info").write_text("Version=23.0.2.1\nascendhal_version=7.35\npackage=x\n")
    (tmp_path / "cann").mkdir()
    (tmp_path / "cann/version.cfg").write_text("runtime_running_version=[7.0.0:CANN-7.0]\n")
    found = machine.version_files(tmp_path, {"ASCEND_HOME_PATH": str(tmp_path / "cann")})
    assert list(found.values()) == [
        ["Version=23.0.2.1", "ascendhal_version=7.35"],
        ["runtime_running_version=[7.0.0:CANN-7.0]"],
    ]


def test_the_programs_on_the_cards_are_not_sent():
    table = "| NPU | Health |\n| 0 | OK |\n| NPU | Process id | Process name |\n| 0 | 4711 | python |\n"
    assert parts.without_processes(table) == "| NPU | Health |\n| 0 | OK |"
