"""Completion of the programs' options in real shells."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from mindlift.model_utils.config.recipes import recipes
from tests.support.home import wait_for
from tests.support.programs import ROOT, environment, run_program
from tests.support.terminal import Terminal

PROGRAMS = ("train.py", "eval.py", "export.py", "predict.py", "cloud/submit.py")
NETS = sorted({net for net, _ in recipes(ROOT)})
DENSE = [net for net in NETS if net.startswith("dens")]
ASK = """source scripts/completion.sh
COMP_WORDS=({words}) COMP_CWORD={last}
$(complete -p {program} | sed -E 's/.* -F ([^ ]+) .*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete(*words: str, **extra: str) -> list[str]:
    """What bash is told for the last of `words`, which are as bash splits them."""
    line = [sys.executable, *words]
    script = ASK.format(
        words=shlex.join(line),
        last=len(words),
        program=os.path.basename(shutil.which("python3") or "python3"),
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment(**extra),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.py", "--net", ""], NETS),
        (["train.py", "--net", "dens"], DENSE),
        (["./train.py", "--net", "=", "dens"], DENSE),
        (["train.py", "--net", "="], NETS),
        (["train.py", "--model_name", "dens"], DENSE),
        (["train.py", "--net", "resnet50", "--dataset", ""], ["digits", "imagenet"]),
        (["train.py", "--net", "=", "densenet22", "--dataset", ""], ["digits"]),
        (["train.py", "--dataset", "v"], ["voc", "vocdigits"]),
        (["eval.py", "--flip", ""], ["true", "false"]),
        (["eval.py", "--crops", "="], ["1", "144"]),
        (["train.py", "--lr_e"], ["--lr_epochs"]),
        (["train.py", "--epoch"], ["--epoch_size"]),
        (["train.py", "--top_"], []),
        (["predict.py", "--top_"], ["--top_k"]),
        (["export.py", "--file_format", ""], ["MINDIR", "AIR", "ONNX"]),
        (["train.py", "--print"], ["--print_config"]),
        (["predict.py", ""], []),
        (["train.py", "--data_dir", ""], []),
        (["train.py", "--lr", "0."], []),
        (["cloud/submit.py", "s"], ["submit", "status", "selfcheck"]),
        (["cloud/submit.py", "--provider", ""], ["local", "modelarts", "openi"]),
        (["cloud/submit.py", "plan", "--off"], ["--offline"]),
        (["cloud/submit.py", "plan", "--platform", "=", "openi-"], ["openi-qizhi", "openi-c2net"]),
        (["cloud/submit.py", "submit", "--dataset", "ci"], ["cifar10"]),
        (["cloud/submit.py", "list", "--state", "s"], ["starting", "stopping", "succeeded", "stopped"]),
        (["cloud/submit.py", "submit", "--wait", "--inter"], []),
        (["cloud/submit.py", "watch", "--inter"], ["--interval"]),
        (["cloud/submit.py", "plan", "--config", ""], []),
        (["tests/conftest.py", "--"], []),
        (["train.py"], []),
        ([""], []),
    ],
)
def test_bash_is_told(words, expected):
    assert complete(*words) == expected


@pytest.mark.parametrize("prog", ["train.py", "eval.py", "export.py", "predict.py"])
def test_what_help_lists_is_offered(prog):
    listed = re.findall(r"^  (--\w+)", run_program(prog, "--help").out, re.MULTILINE)
    assert len(listed) > 20
    assert sorted(complete(prog, "--")) == sorted(listed)


def test_handles_of_rehearsals(tmp_path):
    for name in ("one-1", "two-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "request.json").write_text("{}")
    (tmp_path / "store").mkdir()
    env = {"MINDLIFT_REHEARSALS": str(tmp_path)}
    assert complete("cloud/submit.py", "logs", "-f", "", **env) == ["local://two-2", "local://one-1"]
    assert complete("cloud/submit.py", "fetch", "local", ":", "//o", **env) == ["//one-1"]
    assert complete("cloud/submit.py", "plan", "loc", **env) == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_in_a_shell(shell, tmp_path):
    """The line that TAB makes, with files where there are no candidates."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    words = ["bash", "--norc", "--noprofile"] if shell == "bash" else ["zsh", "-f"]
    env = {"HOME": str(tmp_path), "TERM": "dumb", "PS1": "$ ", "ZDOTDIR": str(tmp_path)}
    typed = {
        "--net=inception\t": "--net=inception_v4",
        "--net resn\t": "--net resnet50",
        "--print\t": "--print_config",
        "--data_dir default_conf\t": "--data_dir default_config.yaml",
    }
    with Terminal(words, env, 200, 50) as terminal:
        terminal.type(f"source {ROOT}/scripts/completion.sh; echo rea''dy\n")
        wait_for(lambda: "\nready" in terminal.read(), 30)
        for keys, line in typed.items():
            terminal.said = ""
            terminal.type(f"{sys.executable} train.py {keys}")
            wait_for(lambda line=line: line in terminal.read(), 30)
            terminal.type("\x15")  # Ctrl-U: forget the line


def test_the_answer_imports_nothing_large():
    code = (
        "import runpy, sys; sys.argv = ['complete.py', 'bash', {program!r}, '--']\n"
        "try: runpy.run_path('scripts/complete.py', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {{'numpy', 'mindspore', 'boto3', 'requests'}} & set(sys.modules)"
    )
    for program in PROGRAMS:
        words = [sys.executable, "-c", code.format(program=program)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "--config" in done.stdout
