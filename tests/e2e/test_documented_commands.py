"""The programs by the names that the documents give them, here and those of the original models, from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.model_utils import rank_table
from tests.support.programs import ROOT, environment

PROGRAMS = {  # file and arguments: what is printed
    "src/tools/get_multicards_json.py --help": "usage: get_multicards_json.py",
    "src/data/get_dataset_lst.py --help": "--data_root",
    "src/data/build_seg_data.py --help": "--data_lst",
    "cloud/submit.py --help": "usage: submit.py",
    "scripts/complete.py bash train.py --net resn": "resnet50\n",
    "scripts/complete.py zsh cloud/submit.py stat": "status\n",
    "scripts/build_data.sh --help": "--data_lst",
    "train.py --help": "usage: train.py",
}


def start(folder: Path, *words: str, strange: Path) -> subprocess.CompletedProcess:
    """With another package of the name of ours on PYTHONPATH, so that the checkout's is what is found."""
    (strange / "mindlift").mkdir(exist_ok=True)
    (strange / "mindlift/__init__.py").write_text("raise SystemExit('the wrong package')\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = environment(PYTHON=sys.executable, PYTHONPATH=str(strange), PATH=path)
    return subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("where", ["in the checkout", "in its folder", "elsewhere"])
@pytest.mark.parametrize("words", PROGRAMS)
def test_a_program_starts(words, where, tmp_path):
    file, *arguments = words.split()
    folder, name = {
        "in the checkout": (ROOT, file),
        "in its folder": ((ROOT / file).parent, f"./{Path(file).name}"),
        "elsewhere": (tmp_path, str(ROOT / file)),
    }[where]
    interpreter = [] if file.endswith(".sh") else [sys.executable]
    done = start(folder, *interpreter, name, *arguments, strange=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert PROGRAMS[words] in done.stdout


def test_a_rank_table_as_the_original_documents_make_it(tmp_path):
    """cd src/tools && python3 get_multicards_json.py IP"""
    tools, package = tmp_path / "src/tools", tmp_path / "src/mindlift"
    shutil.copytree(ROOT / "src/tools", tools)  # it writes into the working directory
    package.symlink_to(ROOT / "src/mindlift")
    (tmp_path / "hccn.conf").write_text("".join(f"address_{card}=192.168.100.{card}\n" for card in range(8)))
    done = start(
        tools,
        "python3",
        "get_multicards_json.py",
        "10.1.1.1",
        "--hccn_conf",
        str(tmp_path / "hccn.conf"),
        strange=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = rank_table.parse((tools / "rank_table_8p.json").read_text(), "t")
    assert (table.size, table.servers) == (8, ("10.1.1.1",))
