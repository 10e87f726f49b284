"""A training in Chinese, from its options to its page; what programs read of it is as in English."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import EVAL, ROOT, TINY, TRAIN, Finished, environment, run_ranks

HAN = re.compile(r"[\u4e00-\u9fff]")
SHORT = [*TINY, "--max_epoch", "1", "--log_interval", "20"]


def run(program: str, *arguments: object, spoken: str = "zh") -> Finished:
    """Without --json, as people do."""
    command = [sys.executable, str(ROOT / program), *map(str, arguments)]
    env = environment(MINDLIFT_LANG=spoken, LC_ALL="C.UTF-8")
    return Finished(
        subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=False)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Finished, Path]:
    place = tmp_path_factory.mktemp("runs")
    done = run(TRAIN, *SHORT, "--run_eval", "true", "--ckpt_path", place)
    assert done.code == 0, done.err
    return done, next(place.glob("2*"))


def test_the_terminal_is_in_chinese(trained):
    done, root = trained
    lines = done.out.splitlines()
    assert [line for line in lines if not HAN.search(line)] == []
    assert re.search(
        r"^第 1 轮（共 1 轮），第 \d+ 步（共 45 步）：损失 [\d.]+，[\d.]+ 张/秒$", done.out, re.MULTILINE
    )
    assert re.search(r"^验证：top-1 [\d.]+ %（357 张中 \d+ 张）", done.out, re.MULTILINE)
    assert f"网页：{root}/report.html，指标：{root}/result.json" in done.out
    assert f"接下来：mindlift predict {root} IMAGES" in done.err


def test_what_is_recorded_is_in_english(trained):
    root = trained[1]
    for path in (*root.glob("*.json*"), *root.glob("*.yaml"), *root.glob("logs/*")):
        assert not HAN.search(path.read_text(encoding="utf-8")), path
    assert re.search(r" INFO epoch 1 of 1, step \d+ of 45: loss ", (root / "logs/rank_0.log").read_text())


def test_the_page_is_in_chinese(trained):
    assert '<html lang="zh-CN">' in (trained[1] / "report.html").read_text(encoding="utf-8")


def test_json_ends_an_evaluation_as_in_english(trained):
    done = run(EVAL, trained[1], "--json", "true")
    result = json.loads(done.out.splitlines()[-1])
    assert (result["total"], done.code) == (357, 0)
    assert not HAN.search(done.out.splitlines()[-1])


def test_the_original_models_lines_are_as_they_were(tmp_path):
    done = run(TRAIN, *SHORT, "--max_steps", "20", "--log_style", "original", "--ckpt_path", tmp_path)
    assert re.search(
        r"^epoch\[0\], iter\[19\], loss:[\d.]+, mean_fps:[\d.]+ imgs/sec$", done.out, re.MULTILINE
    )


def test_the_launch_script_finds_the_error_of_a_rank(tmp_path):
    done = run_ranks(
        2, TRAIN, *SHORT, "--lr", "-1", "--ckpt_path", tmp_path, MINDLIFT_LANG="zh", LC_ALL="C.UTF-8"
    )
    assert (done.code, done.err.count("错误：命令行：lr 是 '-1'，而应不小于 0")) == (2, 1)
