"""Several jobs of one machine, or of containers that share a folder, stage the same at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mindlift.storage.moxing import file
from tests.support.programs import ROOT
from tests.support.transfers import content

FILES = {f"{name}/{number}.bin": os.urandom(4000) for name in "ab" for number in range(60)}

STAGE = """
import sys
from pathlib import Path
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.stage_in import stage_in
from mindlift.model_utils.staging import checkpoints
from mindlift.model_utils.staging.stager import Stager
stager = Stager(Path(sys.argv[1]), print, show_bar=False)
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[3] == "weights":
    print(checkpoints.fetch(stager, sys.argv[2])[0])
else:
    print(stage_in(stager, Source(sys.argv[2])))
"""

COPY = """
import os, sys
os.getpid = lambda: 7  # as in containers, each of which counts its own
from mindlift.storage.copying.copy import copy_tree
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2):
    copy_tree(sys.argv[1], sys.argv[2], processes=False)
print(sys.argv[2])
"""


def at_once(code: str, *arguments: str, count: int = 3) -> list[str]:
    """The last lines of `count` processes that begin at one moment."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in started]
    assert [(process.returncode, err) for process, (_, err) in zip(started, ended)] == [(0, "")] * count
    return [out.splitlines()[-1] for out, _ in ended]


def as_archive(folder: Path, url: str) -> str:
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    file.copy(folder / "set.zip", f"{url}/set.zip")
    return f"{url}/set.zip"


def as_folder(folder: Path, url: str) -> str:
    for name, data in FILES.items():
        (folder / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "set" / name).write_bytes(data)
    file.copy_parallel(folder / "set", f"{url}/set", is_processing=False)
    return f"{url}/set"


def as_folder_of_an_archive(folder: Path, url: str) -> str:
    as_archive(folder, f"{url}/in")
    return f"{url}/in"


@pytest.mark.parametrize(
    "make",
    [
        as_archive,
        *(pytest.param(make, marks=pytest.mark.heavy) for make in (as_folder, as_folder_of_an_archive)),
    ],
)
def test_jobs_that_stage_one_data_set(tmp_path, url, make):
    place = make(tmp_path, url)
    found = at_once(STAGE, str(tmp_path / "cache"), place, "data")
    assert len(set(found)) == 1
    assert content(Path(found[0])) == FILES
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_jobs_that_fetch_one_checkpoint(tmp_path, url):
    file.write(f"{url}/a.ckpt", os.urandom(3 << 20))
    found = at_once(STAGE, str(tmp_path / "cache"), f"{url}/a.ckpt", "weights")
    assert len(set(found)) == 1
    assert Path(found[0]).read_bytes() == file.read(f"{url}/a.ckpt", binary=True)


def test_containers_with_equal_process_numbers_copy_to_one_folder(tmp_path, url):
    place = as_folder(tmp_path, url)
    file.write(f"{place}/big", os.urandom(9 << 20))
    at_once(COPY, place, str(tmp_path / "to"))
    assert content(tmp_path / "to") == {**FILES, "big": file.read(f"{place}/big", binary=True)}
