"""Paths that the system does not look up, too long or in a folder of another user: one line, wherever they are given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mindlift
from mindlift.cli.errors import one_line_errors
from mindlift.errors import PathError, StorageError
from mindlift.refused_paths import naming_refused_paths
from tests.support.programs import ROOT, environment

LONG = "/tmp/" + 300 * "x"  # NAME_MAX is 255, see pathconf(3)
TINY = "--net densenet22 --dataset digits --max_steps 1"
# As any user but root, a folder of mode 0 can't be entered; root gives up what lets it (capabilities(7)).
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
COMMANDS = [
    f"train {TINY} --data_dir PATH",
    f"train {TINY} --ckpt_path PATH",
    f"train {TINY} --pretrained PATH",
    f"train {TINY} --resume PATH",
    "train --data_dir PATH",
    "train --config_path PATH",
    "eval PATH",
    "predict PATH a.png",
    "export --pretrained PATH --net densenet22",
    "report PATH",
    "ui PATH",
    "convert PATH",
    "compare_checkpoints PATH PATH",
    "weights --cache_path PATH",
    "run --input data=PATH -- true",
]


def of_command(command: str, path: Path, folder: Path, before: list[str]) -> subprocess.CompletedProcess[str]:
    words = [word.replace("PATH", str(path)) for word in command.split()]
    return subprocess.run(
        [*before, sys.executable, "-m", "mindlift", *words],
        cwd=folder,
        env=environment(PYTHONPATH=f"{ROOT}/src"),
        text=True,
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_too_long(command, tmp_path):
    done = of_command(command, Path(LONG), tmp_path, [])
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {LONG}")
    assert done.stderr.endswith(": too long; a name may have 255 bytes, and a path 4,095\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_another_user(command, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    done = of_command(command, closed / "in" / "it", tmp_path, AS_ANYBODY)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {closed}/in/it")
    assert ": permission denied; this user may not read or write it, or not enter" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["data_dir", "ckpt_path", "config_path", "pretrained"])
def test_a_call_from_python(name):
    with pytest.raises(PathError, match="too long; a name may have 255 bytes"):
        mindlift.train(mindlift.load_config(net="densenet22", dataset="digits", **{name: LONG}))
    with pytest.raises(PathError, match="too long; a name may have 255 bytes"):
        mindlift.create_model("densenet22", 10, pretrained=LONG)


def test_other_errors_stay_what_they_are():
    for error in (
        StorageError("can't write"),
        FileNotFoundError(2, "No such file", "a"),
        PermissionError(13, "?"),
    ):
        with pytest.raises(type(error)) as caught, naming_refused_paths():
            raise error
        assert caught.value is error


def test_a_traceback_is_shown_on_demand(capsys):
    assert one_line_errors(lambda: len(os.listdir(LONG)), debug=True) == 2
    assert "Traceback" in capsys.readouterr().err
