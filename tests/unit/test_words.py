"""Programs start again in UTF-8 mode where the locale is ASCII only, in every Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cli import words
from tests.support.pythons import find_python

SOURCES = Path(words.__file__).parents[2]
CODE = "import sys; from mindlift.cli.words import words; print(ascii(words(None)), sys.flags.utf8_mode)"
SAYS = "['\\u732b', '\\udcb9'] 1\n"


def started(python: str, *flags: str, **env: str) -> str:
    words = [os.fsencode(each) for each in (python, *flags, "-c", CODE, "猫")]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))
    }
    done = subprocess.run(
        [*words, b"\xb9"],
        env={**kept, "PYTHONPATH": str(SOURCES), **env},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return done.stdout.decode()


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.11"])
def test_the_command_line_is_utf8(version):
    python = find_python(version)
    if not python:
        pytest.skip(f"no Python {version}")
    assert started(python, LC_ALL="C", PYTHONUTF8="0") == SAYS


@pytest.mark.parametrize("env", [{"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "1"}])
def test_what_is_utf8_already_is_left_alone(env):
    assert started(sys.executable, **env).startswith(SAYS[:-2])


def test_options_that_win_over_the_variable_do_not_start_it_again_and_again():
    assert started(sys.executable, "-X", "utf8=0", LC_ALL="C").endswith(" 0\n")


def test_given_words_are_the_words():
    assert words.words(("a", "b")) == ["a", "b"]
