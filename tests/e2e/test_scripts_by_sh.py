"""Every script started by `sh`, as the documents of the original models do: dash, or bash that plays sh."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.sh"))
SOURCED = ("common.sh", "completion.sh", "deeplab_v3.sh")  # only to be sourced: started, they do nothing
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"]}
RANK = """import os, sys, time
rank = os.environ.get("RANK_ID", "scheduler")
print("rank", rank, sys.argv[1:], flush=True)
if rank == "1":
    sys.exit("error: rank 1 has failed")
time.sleep(20)
"""


@pytest.fixture(params=SHELLS)
def shell(request) -> list[str]:
    words = SHELLS[request.param]
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} on PATH")
    return words


def start(words: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess:
    variables = environment(PYTHON=sys.executable, LOG_DIR=str(folder / "logs"), **env)
    return subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_every_script_starts(shell, tmp_path):
    """With --help: none complains about its shell, each says how it is used."""
    running = {
        name: subprocess.Popen(
            [*shell, str(ROOT / "scripts" / name), "--help"],
            cwd=tmp_path,
            env=environment(PYTHON=sys.executable),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in SCRIPTS
    }
    said = {name: "".join(process.communicate(timeout=60)) for name, process in running.items()}
    bad = ("Illegal option", "Bad substitution", "ntax error", "not found", "Traceback")
    assert [name for name, text in said.items() if any(each in text for each in bad)] == []
    assert [name for name, text in said.items() if "usage: " not in text and name not in SOURCED] == []
    assert list(tmp_path.iterdir()) == []


def test_arguments_and_exit_codes_pass_through(shell, tmp_path):
    """Two ranks, of which one fails; what bash needs beyond sh is on this way."""
    (tmp_path / "rank.py").write_text(RANK)
    done = start(
        [*shell, str(ROOT / "scripts/local_ranks.sh"), "2", "rank.py", "two words", "--x", "*"], tmp_path
    )
    assert done.returncode == 1, done.stderr
    assert "rank 0 ['two words', '--x', '*']" in done.stdout
    assert "local_ranks.sh: rank 1 ended with exit code 1" in done.stderr
    assert "error: rank 1 has failed" in done.stderr


@pytest.mark.parametrize("name", ["ascend_check.sh", "build_data.sh"])
def test_from_a_folder_with_a_package_of_the_same_name(shell, tmp_path, name):
    for package in ("mindlift", "src"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    done = start([*shell, str(ROOT / "scripts" / name), "--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_the_completion_says_what_it_is_for(tmp_path):
    if not shutil.which("dash"):
        pytest.skip("no dash on PATH")
    done = start(["dash", str(ROOT / "scripts/completion.sh")], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "completion.sh: to be sourced by bash or zsh\n"
