"""A line end in a name or a value of the user's own does not make two lines of an error, wherever it is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cli import main as command
from mindlift.cli import program
from mindlift.cli.errors import one_line_errors
from mindlift.errors import ConfigError
from mindlift.option_parser import ArgumentParser
from mindlift.program.command import main as run
from mindlift.runs.log import RunLog
from tests.support.programs import ROOT

VALUE = "a\nb\r\x1bc\u2028d"
SHOWN = "a\\nb\\r\\x1bc\\u2028d"


def fail() -> int:
    raise ConfigError(f"--net {VALUE}: no")


def test_errors_of_programs_and_of_jobs(capsys):
    assert program.main(fail, debug=False) == one_line_errors(fail, debug=False) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: --net {SHOWN}: no"] * 2


def test_arguments_that_no_parser_knows(capsys):
    with pytest.raises(SystemExit, match="2"):
        ArgumentParser(prog="x").parse_args([f"--{VALUE}"])
    assert capsys.readouterr().err.split("\n")[-2:] == [f"x: error: unrecognized arguments: --{SHOWN}", ""]


def test_commands_and_channels(capsys):
    command.main([VALUE])
    run(["--input", f"a=/none/{VALUE}", "--", "true"])
    said = capsys.readouterr().err.split("\n")
    assert len(said) == 3
    assert all(SHOWN in line for line in said[:2])


def test_warnings_of_a_run(capsys):
    with RunLog(None, 0, False) as log:
        log.warning(f"class {VALUE} has no image")
    assert capsys.readouterr().out.split("\n") == [f"class {SHOWN} has no image", ""]


def data_folder(folder: Path) -> list[str]:
    (folder / VALUE / "train/x").mkdir(parents=True)
    return ["train.py", "--net", "densenet121", "--dataset", "imagenet", "--data_dir", VALUE]


def class_folder(folder: Path) -> list[str]:
    for name in ("train/x", f"train/{VALUE}"):
        (folder / "photos" / name).mkdir(parents=True)
    (folder / "photos/train/x/1.png").touch()
    words = ["--dataset", "imagenet", "--data_dir", "photos/train", "--num_classes", "2"]
    return ["train.py", "--net", "densenet121", *words]


def recipe(folder: Path) -> list[str]:
    (folder / "r.yaml").write_text('net: "a\\nb\\r\\x1bc\\u2028d"\n')
    return ["train.py", "--config_path", "r.yaml"]


def recipe_name(folder: Path) -> list[str]:
    return ["train.py", "--config_path", VALUE]


def weights(folder: Path) -> list[str]:
    (folder / VALUE).mkdir()
    return ["predict.py", "--pretrained", VALUE, "x.jpg"]


def job_file(folder: Path) -> list[str]:
    (folder / "j.yaml").write_text('net: densenet121\ndataset: digits\n"a\\nb\\r\\x1bc\\u2028d": 1\n')
    return ["cloud/submit.py", "plan", "--config", "j.yaml"]


@pytest.mark.parametrize("given", [data_folder, class_folder, recipe, recipe_name, weights, job_file])
def test_names_and_values_of_files(tmp_path, given):
    name, *words = given(tmp_path)
    done = subprocess.run(
        [sys.executable, ROOT / name, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert SHOWN in done.stderr
