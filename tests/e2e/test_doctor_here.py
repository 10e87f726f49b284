"""mindlift doctor on this machine, and beside a mindspore that crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment


def doctor(*words: str, **extra: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mindlift", "doctor", *words],
        cwd=ROOT,
        env=environment(**extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def levels(done: subprocess.CompletedProcess) -> dict[str, tuple[str, str]]:
    return {item["name"]: (item["level"], item["says"]) for item in json.loads(done.stdout)["findings"]}


def test_this_machine_can_train():
    done = doctor("--train", "--json", ACCESS_KEY_ID="hush-1", SECRET_ACCESS_KEY="hush-2")
    assert (done.returncode, json.loads(done.stdout)["can_train"]) == (0, True), done.stdout
    found = levels(done)
    level, says = found["training"]
    assert (level, "2 steps of densenet22 on CPU in" in says) == ("ok", True)
    assert {
        "python",
        "mindspore",
        "onednn",
        "requirements",
        "msrun",
        "device",
        "cpus",
        "memory",
        "output",
        "cache",
        "ports",
        "encoding",
        "minio",
        "s3 endpoint",
        "s3 keys",
        "modelarts keys",
        "openi token",
    } <= found.keys()
    assert found["s3 keys"] == ("ok", "set, by ACCESS_KEY_ID")
    assert "hush" not in done.stdout + done.stderr


CRASHES = {
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "ended by SIGSEGV while mindspore was being imported",
    "raise ImportError('libgomp.so.1: cannot open shared object file')": "ImportError: libgomp.so.1: cannot open",
    "import time; time.sleep(600)": "not done after 5 s, while mindspore was being imported",
    "__version__ = '2.8.0'": "failed with exit code 1 after the import",
}


@pytest.mark.parametrize("code", CRASHES)
def test_a_mindspore_that_crashes_is_a_line(tmp_path: Path, code: str):
    (tmp_path / "mindspore").mkdir()
    (tmp_path / "mindspore/__init__.py").write_text(code)
    done = doctor("--deadline", "5", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    *_, line, advice, _, summary = done.stdout.splitlines()
    assert line.startswith("problem  import: ")
    assert CRASHES[code] in line
    assert advice.startswith("         -> ")
    assert summary.startswith("Training does not work here: import (what to change stands behind ->).")
    assert "\033" not in done.stdout


def test_without_the_import():
    """In a locale of ASCII, which is no fault: every command starts itself again in UTF-8."""
    done = doctor("--quick", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert "import:" not in done.stdout
    assert "warning  encoding: " not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Training works here")


def test_it_leaves_mindspore_and_numpy_to_others():
    code = "import sys, mindlift.cli.doctor; assert not {'numpy', 'mindspore', 'boto3'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_it_runs_where_nothing_is_installed():
    """Without site-packages, as before the set-up."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "mindlift", "doctor", "--json"],
        cwd=ROOT / "src",
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = levels(done)
    assert found["mindspore"] == ("problem", "not installed")
    level, says = found["requirements"]
    assert (level, says.startswith("missing "), "pyyaml" in says) == ("problem", True, True)
    assert "import" not in found


def test_a_reader_that_leaves():
    done = subprocess.run(
        f"{sys.executable} -m mindlift doctor --quick | head -1; exit ${{PIPESTATUS[0]}}",
        cwd=ROOT,
        env=environment(),
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith("ok       mindlift: ")
