"""The examples that --help ends with are commands that the programs themselves can read."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest

from mindlift.cli import job_arguments
from mindlift.cloud import job_file
from mindlift.model_utils.config import config, programs
from mindlift.model_utils.config import help as config_help
from mindlift.runs.manifest import file_sha256
from mindlift.runs.provenance import side_file_of
from tests.support.programs import ROOT

PROGRAMS = ("train.py", "eval.py", "export.py", "predict.py", "mindlift features")


def examples(text: str) -> list[list[str]]:
    """The words of each command behind `examples:`, the last thing that a help text says."""
    commands = text.partition("\nexamples:\n")[2].replace("\\\n", " ").splitlines()
    return [shlex.split(command) for command in commands]


def shown(prog: str, capsys) -> str:
    with pytest.raises(SystemExit):
        config.load(["--help"], prog=prog)
    return capsys.readouterr().out


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what the examples name: a run and an exported model."""
    run, model = tmp_path / "RUN", tmp_path / "NAME.mindir"
    run.mkdir()
    (run / "config.yaml").write_text("model:\n  net: densenet22\ndata:\n  dataset: digits\n")
    model.write_bytes(b"a model")
    facts = {
        "input": {"layout": "NCHW", "shape": [1, 3, 8, 8]},
        "options": {"net": "densenet22", "dataset": "digits"},
        "sha256": file_sha256(model),
        "class_names": None,
    }
    side_file_of(model).write_text(json.dumps(facts))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("columns", ["60", "200"])
@pytest.mark.parametrize("prog", PROGRAMS)
def test_examples_are_read_by_the_program(desk, monkeypatch, capsys, prog, columns):
    monkeypatch.setenv("COLUMNS", columns)
    commands = examples(shown(prog, capsys))
    assert [shlex.join(words) for words in commands] == list(config_help.EXAMPLES[prog])
    assert 2 <= len(commands) <= 4
    for first, second, *words in commands:
        assert f"{first} {second}" == (prog if prog.startswith("mindlift ") else f"python {prog}")
        cfg = config.load(words, prog=prog)
        given = dict(re.findall(r"--(\w+) (\S+)", " ".join(words)))
        assert (cfg.net, cfg.dataset) == (given.get("net", cfg.net), given.get("dataset", cfg.dataset))
        assert list(cfg.inputs) == (["IMAGE_OR_FOLDER"] if programs.takes_inputs(prog) else [])


def test_examples_of_submit_are_read_by_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = examples("\n" + job_arguments.EXAMPLES)
    assert 2 <= len(commands) <= 4
    for python, program, *words in commands:
        assert (python, program) == ("python", "cloud/submit.py")
        args = job_arguments.parse(words)
        assert job_file.read(args.config, job_arguments.flags(args), "now").net
    assert job_arguments.main_parser().format_help().endswith(job_arguments.EXAMPLES + "\n")


@pytest.mark.parametrize("prog", [*(prog for prog in PROGRAMS if prog.endswith(".py")), "cloud/submit.py"])
def test_help_imports_nothing_large(prog):
    code = (
        f"import runpy, sys; sys.argv = [{prog!r}, '--help']\n"
        f"try: runpy.run_path({prog!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "found = {'numpy', 'mindspore', 'boto3', 'requests', 'PIL', 'cv2'} & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: " in done.stdout
