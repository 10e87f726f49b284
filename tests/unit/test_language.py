"""Which language is spoken, and how messages are known by the templates of the source."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from mindlift import language
from mindlift.language import CHINESE, ENGLISH, Catalogue
from tests.support import translations
from tests.support.programs import ROOT

CATALOGUE = Catalogue(translations.read())
THERE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "HOME": "/nonexistent", "COLUMNS": "80"}


# GNU gettext's manual, "Setting the GUI Language": LANGUAGE, LC_ALL, LC_xxx, LANG in this order, and LANGUAGE not in locale C
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.GBK"}, CHINESE),
        ({"LANG": "zh_SG.UTF-8@x"}, CHINESE),
        ({"LANG": "zh_TW.UTF-8"}, ENGLISH),  # traditional letters are not what the catalogue has
        ({"LANG": "de_DE.UTF-8"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, ENGLISH),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, CHINESE),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, ENGLISH),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANGUAGE": "zh_CN:en", "LANG": "en_US.UTF-8"}, CHINESE),
        ({"LANGUAGE": "en:zh_CN", "LANG": "zh_CN.UTF-8"}, ENGLISH),
        ({"LANGUAGE": "zh_CN", "LANG": "C"}, ENGLISH),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, ENGLISH),
        ({"MINDLIFT_LANG": "zh", "LC_ALL": "C"}, CHINESE),
        ({"MINDLIFT_LANG": "zh_CN"}, CHINESE),
        ({"MINDLIFT_LANG": "en", "LC_ALL": "zh_CN.UTF-8"}, ENGLISH),
        ({"MINDLIFT_LANG": "", "LANG": "zh_CN.UTF-8"}, CHINESE),
    ],
)
def test_the_language_is_what_the_environment_asks_for(environment, expected):
    assert language.language(environment) == expected


@pytest.mark.parametrize("asked", ["zh", "zh_CN.UTF-8", "zh-hans", "en", "en_GB", "C", ""])
def test_languages_that_there_are(asked):
    assert language.unknown({"MINDLIFT_LANG": asked, "LANG": "fr_FR.UTF-8"}) == ""


@pytest.mark.parametrize("words", [["-m", "mindlift", "providers"], ["train.py", "--help"]])
def test_a_language_that_there_is_not_is_said_in_a_line(words):
    done = run([sys.executable, *words], MINDLIFT_LANG="fr")
    assert done.returncode == 0
    assert done.stderr == "warning: MINDLIFT_LANG is 'fr', but must be zh or en; this is English\n"
    english = run([sys.executable, *words], MINDLIFT_LANG="en")
    assert (english.stdout, english.stderr) == (done.stdout, "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no checkpoint saved yet", "还没有保存检查点"),
        # messages within messages
        (
            "error: command line: unknown option '--batchsize'; did you mean '--batch_size'?",
            "错误：命令行：未知的选项 '--batchsize'；是不是想写 '--batch_size'？",
        ),
        # what fills a place is not torn from what is said of it
        ("no job x in /tmp; `list` shows which there are", "/tmp 中没有作业 x；有哪些见 `list`"),
        (
            "images: 9 of 2 classes (a b, tea in cups) in photos; 2 of them, chosen by --seed 1, are held out to evaluate"
            " it (--validation_split)",
            "图片：photos 中 2 个类别（a b, tea in cups）的 9 张；其中 2 张留作评估，由 --seed 1 选出（--validation_split）",
        ),
        ("error: command line: lr is '-1', but must be at least 0", "错误：命令行：lr 是 '-1'，而应不小于 0"),
        (
            "Defaults in brackets are those of densenet100 on digits; --print_config shows where each comes from.",
            "方括号中的默认值属于 digits 上的 densenet100；各值的来源见 --print_config。",
        ),
        # parts that have no text around them
        (
            "validation: top-1 33.66 % (34 of 101), top-5 99.00 % (100 of 101)",
            "验证：top-1 33.66 %（101 张中 34 张），top-5 99.00 %（101 张中 100 张）",
        ),
        # spaces and lines
        ("  newest checkpoint: a b.ckpt", "  最新检查点：a b.ckpt"),
        ("show tracebacks\n\nprint JSON\n", "显示调用栈\n\n打印 JSON\n"),
        # what is not the source's, or for programs
        ("Illegal instruction (core dumped)", "Illegal instruction (core dumped)"),
        ("tracebacks", "tracebacks"),
        ('{"error": "no checkpoint saved yet"}', '{"error": "no checkpoint saved yet"}'),
        ('["show tracebacks"]', '["show tracebacks"]'),
        ("", ""),
    ],
)
def test_messages_are_known(said, told):
    assert CATALOGUE.localized(said) == told


def test_a_message_that_can_be_read_in_two_ways_stays_in_english():
    """It is not known which words are the name of the device, and the translation turns places round."""
    said = "rank 0: device 1 (x) of server a (b) of server c"
    assert CATALOGUE.localized(said) == said.replace("rank 0: ", "rank 0：")


def test_english_reads_no_catalogue_and_chinese_takes_few_milliseconds(tmp_path):
    """Nothing is read when the package is imported, in either language; 2 ms a message is a cap, 0.3 ms is usual."""
    asks = (
        "import sys, time; from mindlift import language; assert not language.catalogue.cache_info().currsize;"
        "assert 'gettext' not in sys.modules; text = 'no such option'; same = language.localized(text) is text;"
        "print(same, language.catalogue() is None)"
    )
    told = {
        spoken: run([sys.executable, "-c", asks], MINDLIFT_LANG=spoken).stdout.split()
        for spoken in ("en", "zh")
    }
    assert told == {"en": ["True", "True"], "zh": ["True", "False"]}
    started = time.perf_counter()
    for at in range(100):
        CATALOGUE.localized(
            f"error: command line: lr is '{at}', but must be at least 0; see {at}.yaml: nothing"
        )
    assert (time.perf_counter() - started) / 100 < 0.02


def test_a_terminal_without_chinese_letters_gets_english():
    said = run([sys.executable, "-m", "mindlift", "nope"], MINDLIFT_LANG="zh", PYTHONIOENCODING="latin-1")
    assert said.stderr == "error: 'nope' is not a command; `mindlift --help` lists them\n"


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["-m", "mindlift", "nope"], 2, "错误：'nope' 不是命令；`mindlift --help` 列出全部命令\n"),
        (["train.py", "--lr", "-1"], 2, "错误：命令行：lr 是 '-1'，而应不小于 0\n"),
        (["train.py", "--eta_min", "x"], 2, "错误：命令行：eta_min 是 'x'，而应为数字\n"),
        (
            ["-m", "mindlift", "ui", "--port", "x"],
            2,
            "mindlift ui: 错误：参数 --port：'x' 不是合法的 int 值\n",
        ),
        (["cloud/submit.py", "status", "x"], 2, "即 submit 和 list 打印的形式\n"),
    ],
)
def test_programs_refuse_in_chinese(words, code, expected):
    done = run([sys.executable, *words], MINDLIFT_LANG="zh", LC_ALL="C.UTF-8")
    assert done.returncode == code
    assert done.stderr.endswith(expected)


def test_help_is_in_chinese_and_no_wider_than_the_terminal():
    from mindlift.columns import columns

    done = run([sys.executable, "train.py", "--help"], MINDLIFT_LANG="zh", LC_ALL="C.UTF-8")
    assert done.returncode == 0
    assert done.stdout.startswith("用法：train.py")
    assert "初始学习率" in done.stdout
    assert max(map(columns, done.stdout.splitlines())) <= 80


def test_json_and_configurations_are_the_same_in_both_languages():
    for words in (["train.py", "--print_config"], ["cloud/submit.py", "plan", "--offline", "--json", *PLAN]):
        said = [
            run([sys.executable, *words], MINDLIFT_LANG=spoken, LC_ALL="C.UTF-8").stdout
            for spoken in ("en", "zh")
        ]
        assert said[0] == said[1] != ""


PLAN = [
    "--provider",
    "local",
    "--net",
    "densenet22",
    "--dataset",
    "digits",
    "--allow_dirty",
    "true",
    "--name",
    "a",
]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**THERE, **environment}, capture_output=True, encoding="utf-8", check=False
    )
