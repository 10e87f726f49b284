"""Pages in Chinese: every word that a reader sees is, but names of options, files and networks."""

from __future__ import annotations

import html
import json
import re

import pytest

from mindlift import language
from mindlift.report import page
from mindlift.ui import lists
from tests.support import synthetic_runs

NAMES = {
    *(
        "MindLift",
        "uPlot",
        "MIT",
        "UTC",
        "IoU",
        "mIoU",
        "EMA",
        "MindSpore",
        "NumPy",
        "Python",
        "CPUs",
        "MB",
        "MB/s",
        "kB",
        "GB",
    ),
    *("rank", "rank 0", "top", "min", "ms", "s", "d", "h"),
}
WORDS = re.compile(r"[A-Za-z][A-Za-z/]*(?: [a-z]+)*")


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setenv("MINDLIFT_LANG", "zh")
    language.catalogue.cache_clear()
    yield
    language.catalogue.cache_clear()


def visible(text: str) -> list[str]:
    """The texts of headings, tables, buttons and the like, without values."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    found = re.findall(
        r"<(?:h2|th|button|legend|label|summary|footer|option)[^>]*>(.*?)</", body, flags=re.DOTALL
    )
    found += re.findall(r'<p class="note[^"]*">(.*?)</p>', body) + re.findall(
        r"<span>([^<]*)</span></div>", body
    )
    return [html.unescape(re.sub(r"<[^>]*>", " ", each)).strip() for each in found]


def test_a_report_is_in_chinese(chinese, tmp_path):
    roots = [
        synthetic_runs.classification(tmp_path / "20260921-140640"),
        synthetic_runs.classification(tmp_path / "20260921-151200", lr=0.02, seed=2, ranks=4, ends=False),
        synthetic_runs.segmentation(tmp_path / "20260922-090000"),
    ]
    for runs in (roots[:1], roots[1:2], roots[2:], roots[:2]):
        text = page.page(page.read(runs), 1.79e9)
        assert '<html lang="zh-CN">' in text
        titles = {run.title for run in page.read(runs)}
        english = [
            words
            for each in visible(text)
            if each not in titles
            for words in WORDS.findall(
                re.sub(r"[\w.]+_[\w.]+|\S+\.yaml|\S*/\S*/\S*|densenet\d+|deeplab\S*", "", each)
            )
            if words not in NAMES and words.split()[0] not in NAMES
        ]
        assert english == []
        data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])
        assert [chart["title"] for chart in data["charts"] if re.search(r"[a-z]{3}", chart["title"])] == []
        assert data["words"]["copied"] == "已复制"


def test_the_same_report_in_english_has_no_chinese(tmp_path):
    root = synthetic_runs.classification(tmp_path / "20260921-140640")
    text = page.page(page.read([root]), 1.79e9)
    assert '<html lang="en">' in text
    assert re.findall(r"[\u4e00-\u9fff]", text) == []


def test_lists_of_runs_and_jobs_are_in_chinese(chinese):
    assert "还没有训练" in lists.runs([], False, 0.0)
    known = lists.Known("local", [], {}, "", False, True)
    assert "没有作业" in lists.jobs([known], 0.0)
