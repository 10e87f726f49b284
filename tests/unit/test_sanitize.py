"""Text from outside is shown, not obeyed: on terminals, in messages, spreadsheets and report pages."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys

import pytest

from mindlift import sanitize
from mindlift.cloud import show
from mindlift.cloud.providers.base import Check
from mindlift.runs.log import RunLog
from mindlift.tasks.prediction_files import Class, CsvFile, Prediction
from tests.support.programs import ROOT
from tests.support.terminal import Terminal

# xterm's control sequences (invisible-island.net/xterm/ctlseqs): each of them does something to a terminal
ATTACKS = {
    "title of the window": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "hyperlink": "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "clear the screen": "\x1b[2J\x1b[H",
    "earlier line": "\x1b[1A\x1b[2Kerror: none",
    "report of the position": "\x1b[6n",
    "device string": "\x1bP+q544e\x1b\\",
    "C1 control": "\x9b2J",
    "full reset": "\x1bc",
    "backspaces": "rm\b\bls",
    "bell": "\x07",
    "right to left": "safe\u202egpj.exe",
    "new line": "good\nerror: forged",
}
SEQUENCE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_no_control_character_is_left(text, capsys):
    assert not SEQUENCE.search(sanitize.single_line(text))
    assert "\n" not in sanitize.single_line(text)
    assert not SEQUENCE.search(sanitize.log_line(text))
    assert not SEQUENCE.search(sanitize.lines(text))
    with RunLog(None, 0, False) as log:
        log.info(f"class {text}")
    assert not SEQUENCE.search(capsys.readouterr().out)
    assert not SEQUENCE.search(show.check_line(Check("store", True, text)))
    assert show.table([("A",), (text,)]).count("\n") == 1
    assert not SEQUENCE.search(show.table([("A",), (text,)]))


def test_what_people_write_stays():
    text = "类别 猫\u3000犬 — naïve 100 % \t'quoted' é"
    assert sanitize.lines(text) == sanitize.log_line(text) == text
    assert sanitize.log_line("\r 12%|##  | 3/24") == "\r 12%|##  | 3/24"
    assert sanitize.log_line("\x1b[31mfailed") == "\x1b[31mfailed\x1b[0m", "a colour ends with its line"


def test_an_error_shows_what_it_quotes(tmp_path):
    """A folder of classes whose name holds a sequence, in a real program."""
    (tmp_path / "\x1b]0;owned\x07").mkdir()
    folder = tmp_path / "\x1b]0;owned\x07"
    command = [
        sys.executable,
        ROOT / "train.py",
        "--net",
        "densenet121",
        "--dataset",
        "imagenet",
        "--data_dir",
        folder,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "\\x1b]0;owned\\x07" in done.stderr
    assert not SEQUENCE.search(done.stderr + done.stdout)


# the characters of OWASP's page on CSV injection
@pytest.mark.parametrize("name", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\tx", "\rx", "＝1"])
def test_no_cell_is_a_formula(tmp_path, name):
    with CsvFile(tmp_path / "found.csv") as file:
        file.add(Prediction(name, tmp_path / "a.jpg", [Class(3, name, 0.25)]))
        file.add(Prediction(name, tmp_path / "b.jpg", [], error=name))
    with open(tmp_path / "found.csv", newline="") as rows:
        cells = [cell for row in list(csv.reader(rows))[1:] for cell in row]
    assert cells.count("'" + name.replace("\r", "\\r")) == 4
    assert "0.25" in cells


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pw@host:1/a?X-Amz-Signature=abc", "https://host:1/a"),
        ("see http://user@host/b#frag, then go", "see http://host/b, then go"),
        ("obs://bucket/a?b=c#d", "obs://bucket/a?b=c#d"),
        (
            "--data_url 'https://h/x?sig=abc': no, 'http://me:pw@h': no",
            "--data_url 'https://h/x': no, 'http://h': no",
        ),
        ("http://host:9000", "http://host:9000"),
        ("user@example.com wrote a:b", "user@example.com wrote a:b"),
    ],
)
def test_addresses_show_host_and_path(text, shown):
    assert sanitize.address(text) == shown


@pytest.mark.parametrize("name", ["data_url", "train_url", "pretrained", "ckpt_path", "data_dir"])
def test_a_presigned_url_is_not_shown(name):
    given = "https://me:hushhush@h.example/x?X-Amz-Signature=hushhush"
    command = [sys.executable, ROOT / "train.py", "--enable_modelarts", "True", f"--{name}", given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "hushhush" not in done.stderr + done.stdout
    assert "h.example/x" in done.stderr


def test_loggers_of_a_run_keep_lines(capsys):
    with RunLog(None, 0, False) as log:
        log.info("a\nb\tc")
    assert capsys.readouterr().out == "a\nb\tc\n"


def test_a_log_steers_no_terminal_and_goes_whole_into_a_file():
    text = "\x1b[32mok\x1b[0m\x1b]0;owned\x07 5%\rdone"
    program = f"from mindlift.cli.job_access import out; out({text!r})"
    command = [sys.executable, "-c", program]
    env = {"PYTHONPATH": str(ROOT / "src")}
    with Terminal(command, env, 80, 24) as screen:
        screen.process.wait(30)
        assert screen.read() == "\x1b[32mok\x1b[0m\\x1b]0;owned\\x07 5%\rdone\x1b[0m\r\n"
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=True)
    assert done.stdout.decode() == f"{text}\n"
