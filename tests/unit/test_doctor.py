"""The doctor's lines: what is well, what is not, and that no key ever shows."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mindlift.doctor import machine, probe, software, trial
from mindlift.doctor.finding import OK, PROBLEM, WARNING, Finding, as_text, shown
from tests.support.programs import ROOT

AVX512 = frozenset({"avx2", "avx512f"})
AVX2 = frozenset({"avx2"})


def test_lines_say_what_to_do():
    found = [Finding("a", OK, "fine"), Finding("b", PROBLEM, "broken", "mend it")]
    assert as_text(found, False) == "ok       a: fine\nproblem  b: broken\n         -> mend it"
    assert "\033[31mproblem\033[0m  b" in as_text(found, True)


def test_paths_do_not_name_their_owner(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jane")
    assert [shown(path) for path in ("/home/jane/x", "/home/jane", "/home/janet/x", Path("/cache"))] == [
        "~/x",
        "~",
        "/home/janet/x",
        "/cache",
    ]
    monkeypatch.setenv("HOME", "/")
    assert shown("/cache") == "/cache"


# software


@pytest.mark.parametrize(
    ("version", "level"), [((3, 7), PROBLEM), ((3, 8), OK), ((3, 12), OK), ((3, 13), PROBLEM)]
)
def test_pythons(version, level):
    assert software.python(version).level == level


@pytest.mark.parametrize(
    ("version", "built", "level", "part"),
    [
        ("2.8.0", "_c_expression.abi3.so", OK, "2.8.0"),
        ("2.10.0", "_c_expression.abi3.so", OK, "2.10.0"),
        ("2.5.0.dev20250119", "_c_expression.abi3.so", OK, "2.5.0"),
        ("1.10.1", "_c_expression.abi3.so", PROBLEM, "1.10.1"),
        ("2.11.0", "_c_expression.abi3.so", PROBLEM, "2.11.0"),
        ("2.8.0", "_c_expression.cpython-36m-x86_64-linux-gnu.so", PROBLEM, "built for Python 3.6"),
    ],
)
def test_mindspores(tmp_path, version, built, level, part):
    (tmp_path / built).touch()
    found = software.mindspore(version, tmp_path)
    assert (found.level, bool(found.advice)) == (level, level != OK)
    assert part in found.says


def test_no_mindspore():
    assert software.mindspore("", None).level == PROBLEM


@pytest.mark.parametrize(
    ("version", "flags", "given", "level", "part"),
    [
        ("2.8.0", AVX512, "", OK, "left as it is"),
        ("2.10.0", AVX512, "", OK, "ONEDNN_MAX_CPU_ISA=AVX2 will be set"),
        ("2.10.0", AVX2, "", OK, "left as it is"),
        ("2.10.0", AVX512, "AVX512_CORE", WARNING, "AVX512_CORE"),
        ("2.10.0", AVX512, "avx2", OK, "avx2, as the environment has it"),
        ("2.8.0", AVX512, "AVX2", OK, "AVX2, as the environment has it"),
    ],
)
def test_onednn(version, flags, given, level, part):
    env = {"ONEDNN_MAX_CPU_ISA": given} if given else {}
    found = software.onednn(env, version, flags)
    assert (found.level, part in found.says) == (level, True)
    assert env == ({"ONEDNN_MAX_CPU_ISA": given} if given else {}), "a doctor changes nothing"


PINS = "numpy==1.26.4\nboto3==1.42.97  # a note\nrequests==2.32.5\nmoto[server]==5.1\n"
RANGES = "numpy>=1.22,<2\nboto3>=1.36\n"
THERE = {"numpy": "1.26.4", "boto3": "1.42.97", "requests": "2.32.5", "moto": "5.1.0"}


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({}, OK, "4 as pinned"),
        ({"numpy": "2.0.1"}, PROBLEM, "numpy 2.0.1 (needs >=1.22,<2)"),
        ({"numpy": "1.9"}, PROBLEM, "numpy 1.9 (needs >=1.22,<2)"),
        ({"numpy": "1.25.0"}, WARNING, "numpy 1.25.0 (pinned 1.26.4)"),
        ({"boto3": None}, PROBLEM, "missing boto3"),
        ({"requests": None}, WARNING, "missing requests"),
        (
            {"numpy": "2.1.0rc1", "requests": "3"},
            PROBLEM,
            "numpy 2.1.0rc1 (needs >=1.22,<2); requests 3 (pinned 2.32.5)",
        ),
    ],
)
def test_requirements(change, level, says):
    there = {name: version for name, version in {**THERE, **change}.items() if version}
    found = software.requirements(PINS, RANGES, there)
    assert (found.level, found.says) == (level, says)


def test_requirements_of_this_project_are_all_read():
    for name in ("requirements.txt", "container-requirements.txt"):
        text = (ROOT / name).read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        lines = [line for line in lines if line.strip()]
        assert len(software.specifications(text)) == len(lines)


def test_msrun_of_another_python(tmp_path, monkeypatch):
    for name in ("msrun", "python"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert software.msrun().level == WARNING
    assert "which starts" in software.msrun().says
    monkeypatch.setattr(software.sys, "executable", str(tmp_path / "python3"))
    assert software.msrun().level == OK
    monkeypatch.setenv("PATH", "/nowhere")
    assert software.msrun().says == "not on PATH"


# the machine


def test_the_device_and_why(tmp_path):
    assert "chooses CPU: there is no" in machine.device(tmp_path).says
    (tmp_path / "davinci0").touch()
    assert "chooses Ascend: 1 card(s)" in machine.device(tmp_path).says


@pytest.mark.parametrize(
    ("env", "level", "part"),
    [
        ({}, OK, "rank 0 of 1"),
        ({"RANK_ID": "1", "RANK_SIZE": "2"}, WARNING, "rank 1 of 2 by rank_table"),
        ({"RANK_ID": "1"}, PROBLEM, "RANK_SIZE"),
        ({"RANK_ID": "1", "RANK_SIZE": "2", "MA_JOB_DIR": "/x"}, OK, "rank 1 of 2"),
    ],
)
def test_what_an_earlier_job_left(env, level, part):
    found = machine.ranks(env)
    assert (found.level, part in found.says) == (level, True), found


@pytest.mark.parametrize(
    ("env", "usable", "quota", "level", "part"),
    [
        ({}, 8, None, OK, "8 usable"),
        ({}, 8, 8.0, OK, "8 usable"),
        ({}, 8, 2.0, WARNING, "a quota of 2"),
        ({"OMP_NUM_THREADS": "8"}, 8, None, OK, "8 usable"),
        ({"OMP_NUM_THREADS": "1"}, 8, None, WARNING, "OMP_NUM_THREADS=1"),
    ],
)
def test_cpus(env, usable, quota, level, part):
    found = machine.cpus(env, usable, quota)
    assert (found.level, part in found.says) == (level, True)


def test_limits_of_containers(tmp_path):
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (None, None)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (None, None)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{3 << 30}\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (1.5, 3.0)
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.cpu_quota(tmp_path), machine.memory_limit(tmp_path)) == (4.0, 3.0)


@pytest.mark.parametrize(
    ("available", "limit", "level"),
    [
        (8.0, None, OK),
        (8.0, 16.0, OK),
        (8.0, 1.5, WARNING),
        (1.5, None, WARNING),
        (0.5, None, PROBLEM),
        (8.0, 0.5, PROBLEM),
        (None, None, WARNING),
    ],
)
def test_memory(available, limit, level):
    assert machine.memory(available, limit).level == level


def test_disks(tmp_path, monkeypatch):
    assert machine.disk("output", tmp_path / "not/there/yet").level == OK
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").touch()
    found = machine.disk("cache", tmp_path / "file" / "below")
    assert (found.level, "MINDLIFT_CACHE" in found.advice) == (PROBLEM, True)
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert machine.disk("output", tmp_path).level == PROBLEM
    monkeypatch.undo()
    for free_gb, level in ((1.0, WARNING), (0.01, PROBLEM)):
        usage = machine.shutil.disk_usage(tmp_path)._replace(free=int(free_gb * machine.GB))
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.disk("temporary files", tmp_path).level == level


def test_ports_that_can_not_be_opened(monkeypatch):
    assert machine.ports().level == OK

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(machine.socket, "create_server", refused)
    assert "Operation not permitted" in machine.ports().says


@pytest.mark.parametrize(
    ("preferred", "output", "level"),
    [
        ("UTF-8", "utf-8", OK),
        ("ANSI_X3.4-1968", "utf-8", WARNING),
        ("UTF-8", "latin-1", WARNING),
        ("utf8", None, OK),
    ],
)
def test_encodings(preferred, output, level):
    assert machine.encoding(preferred, output).level == level


# how a probe ended


COMPUTED = (
    f'noise\n{probe.MARK}{{"imported": "2.8.0", "import_seconds": 3.1}}\n{probe.MARK}{{"computed": true}}\n'
)
IMPORTED = COMPUTED.splitlines(keepends=True)[1]


@pytest.mark.parametrize(
    ("out", "err", "code", "level", "part"),
    [
        (COMPUTED, "", 0, OK, "mindspore 2.8.0 in 3.1 s, and it computes on CPU"),
        (COMPUTED.replace("true", "false"), "", 0, PROBLEM, "failed with exit code 0"),
        ("", "", -signal.SIGSEGV, PROBLEM, "ended by SIGSEGV while mindspore was being imported"),
        (IMPORTED, "", -signal.SIGILL, PROBLEM, "ended by SIGILL after the import"),
        ("", "Traceback\n  x\nImportError: libgomp.so.1\n", 1, PROBLEM, "ImportError: libgomp.so.1"),
        (IMPORTED, "", None, PROBLEM, "not done after 60 s, after the import"),
        (IMPORTED + probe.MARK + '{"error": "no card"}', "", 2, PROBLEM, "no card"),
    ],
)
def test_how_a_probe_ended(out, err, code, level, part):
    found = trial.finding(trial.read(out, err, code), "CPU", False, 60)
    assert (found.level, bool(found.advice)) == (level, level != OK)
    assert part in found.says
