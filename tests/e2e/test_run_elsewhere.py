"""`mindlift run` where there is no boto3 to the store, on a terminal, and with many kills in a row."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.support.home import wait_for
from tests.support.programs import ROOT, environment
from tests.support.running import Machine, Reader, children, last_line
from tests.unit.test_platform_store import FAKE


@pytest.mark.parametrize("large", [0, 1])
def test_a_platforms_moxing_moves_the_bytes(tmp_path, large):
    """In a container in which boto3 has no keys: inputs, outputs, and a restart on an empty disk."""
    package = tmp_path / "site/moxing"
    (package / "framework/file").mkdir(parents=True)
    (package / "__init__.py").write_text("from moxing.framework import file\n")
    (package / "framework/__init__.py").write_text("")
    (package / "framework/file/__init__.py").write_text(FAKE)
    (tmp_path / "obs/bucket/data").mkdir(parents=True)
    (tmp_path / "obs/bucket/data/a").write_bytes(b"1")
    env = {
        "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT / 'src'}",
        "FAKE_OBS": str(tmp_path / "obs"),
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    code = (
        "import sys, os; data, out = (word.partition('=')[2] for word in sys.argv[1:]); print(sorted(os.listdir(out)))\n"
        f"open(out + '/' + str(len(os.listdir(out))), 'wb').write(bytes({1 + large * (33 << 20)}))"
    )
    words = [
        "--input",
        "d=obs://bucket/data",
        "--output",
        "o=obs://bucket/run/",
        "--",
        sys.executable,
        "-c",
        code,
    ]
    for cache, printed in (("one", "[]\n"), ("two", "['0']\n")):
        done = subprocess.run(
            [sys.executable, "-m", "mindlift.program", *words],
            env=environment(MINDLIFT_CACHE=str(tmp_path / cache), **env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, printed), done.stderr
    assert sorted(os.listdir(tmp_path / "obs/bucket/run")) == ["0", "1"]
    assert (tmp_path / "obs/bucket/run/1").stat().st_size == 1 + large * (33 << 20)


def test_on_a_terminal_the_program_is_in_the_foreground(tmp_path):
    """It reads what is typed and gets Ctrl-C itself, once."""
    code = (
        "import sys\ntry:\n    print('got', input(), flush=True)\n    input()\n"
        "except KeyboardInterrupt: print('interrupted', flush=True); sys.exit(5)"
    )
    pid, terminal = pty.fork()
    if not pid:
        os.environ.update(PYTHONPATH=str(ROOT / "src"), MINDLIFT_CACHE=str(tmp_path))
        os.execv(sys.executable, [sys.executable, "-m", "mindlift.program", "--", sys.executable, "-c", code])
    os.write(terminal, b"words\n")
    said = read_until(terminal, b"got words")
    os.write(terminal, b"\x03")
    said += read_until(terminal, b"ended with code 5")
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 5, said
    assert said.count(b"interrupted") == 1


def read_until(terminal: int, words: bytes, seconds: float = 30) -> bytes:
    said, deadline = b"", time.monotonic() + seconds
    while words not in said:
        assert time.monotonic() < deadline, said
        said += os.read(terminal, 1000)
    return said


@pytest.mark.heavy
@pytest.mark.parametrize("keeps_disk", [False, True])
@pytest.mark.parametrize("renames", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_many_kills_in_a_row_lose_nothing(minio, bucket, tmp_path, seed, renames, keeps_disk):
    """Whoever is killed, whenever, with the disk or without: the same command ends with the same result."""
    machine, chosen = Machine(minio, bucket, tmp_path), random.Random(seed)
    words = machine.training(renames=renames, pause_ms=250, steps=30)
    with Reader(machine) as reader:
        for _ in range(5):
            process = machine.start(*words)
            time.sleep(chosen.uniform(0.5, 5))
            for victim in chosen.sample([process.pid, *children(process.pid)], 1):
                if process.poll() is None or victim != process.pid:
                    kill(victim, chosen.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            machine.end(process)
            wait_for(lambda: not trainings(machine), 20)
            if not keeps_disk or chosen.random() < 0.3:
                shutil.rmtree(machine.cache, ignore_errors=True)
        done = machine.run(*words)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == last_line(30)
    assert reader.torn == []
    assert {"net-0028.ckpt", "net-0029.ckpt", "net-0030.ckpt"} <= set(machine.content())


def kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def trainings(machine: Machine) -> str:
    """Those of this machine that still run, after their supervisor was killed."""
    done = subprocess.run(
        ["pgrep", "-f", f"saves_numbers.*{machine.cache}"], capture_output=True, text=True, check=False
    )
    return done.stdout
