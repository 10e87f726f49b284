"""`mindlift ui` as a user starts it, in a real browser: lists, curves and logs that go on, comparisons."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import synthetic_runs
from tests.support.programs import ROOT, environment

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    synthetic_runs.classification(base / "sweep/20260921-140640", steps=90)
    goes_on = synthetic_runs.classification(
        base / "sweep/20260921-151200", lr=0.02, seed=2, steps=90, ends=False
    )
    failed = synthetic_runs.classification(
        base / "sweep/20260921-160000", lr=0.4, seed=3, steps=90, ends=False
    )
    error = f"loss is nan at step 91 (epoch 2), learning rate 0.4; lower it {HOSTILE}"
    append(failed / "metrics.jsonl", {"time": 1.79e9 + 999, "event": "failed", "step": 90, "error": error})
    (goes_on / "logs").mkdir()
    (goes_on / "logs/rank_0.log").write_text("begun\n")
    (goes_on / "logs/rank_1.log").write_text("begun as well\n")
    synthetic_runs.segmentation(base / "20260922-090000", steps=90)
    return base


def append(path: Path, line: dict) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory) -> Iterator[str]:
    """Of a server in a process of its own, which Ctrl-C ends."""
    command = [sys.executable, "-m", "mindlift", "ui", str(folder), "--providers", "local"]
    home = str(tmp_path_factory.mktemp("home"))
    env = environment(HOME=home, MINDLIFT_REHEARSALS=f"{home}/rehearsals")
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        assert process.returncode == 130
        assert "Traceback" not in said


@pytest.fixture
def open_page(browser, address) -> Iterator:
    """Opens pages; their consoles must stay empty, and nothing but the server be asked."""
    contexts, said, asked = [], [], []

    def opened(page: str = "", width: int = 1280, scheme: str = "light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        found = contexts[-1].new_page()
        found.on("console", lambda message: said.append(message.text))
        found.on("pageerror", lambda error: said.append(str(error)))
        found.on("request", lambda request: asked.append(request.url))
        found.goto(address + page)
        return found

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_fit_the_screen(open_page, width, scheme):
    page = open_page("", width, scheme)
    page.get_by_role("link", name="seed 3").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert "loss is nan at step 91" in page.locator("table.list").inner_text(), "a failed run shows its error"
    page.get_by_role("link", name="lr 0.1,").click()
    page.locator(".chart canvas").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_is_ticked_is_compared(open_page):
    page = open_page()
    page.get_by_label("lr 0.1,").check()
    assert page.locator("#go").inner_text() == "open"
    page.get_by_label("lr 0.02,").check()
    with page.expect_response(lambda answer: "list.json" in answer.url):
        pass
    assert page.get_by_label("lr 0.02,").is_checked(), "also after the list was sent again"
    page.get_by_role("button", name="compare 2").click()
    page.locator("#chart-loss canvas").wait_for()
    assert page.locator("h1").inner_text() == "2 runs compared"
    assert page.locator("#chart-loss .u-label").all_inner_texts()[1:] == ["lr 0.02, seed 2", "lr 0.1, seed 1"]


def test_the_list_can_be_filtered(open_page):
    page = open_page()
    page.locator("#filter").fill("vocdigits")
    assert page.locator("table.list tbody tr:visible").count() == 1
    page.locator("#filter").fill("sweep 0.02")
    assert page.locator("table.list tbody tr:visible").count() == 1
    page.locator("#filter").fill("")
    assert page.locator("table.list tbody tr:visible").count() == 4


def test_curves_and_logs_go_on(open_page, folder):
    root = folder / "sweep/20260921-151200"
    page = open_page()
    page.get_by_role("link", name="lr 0.02").click()
    page.locator("#chart-loss canvas").wait_for()
    page.get_by_text("begun", exact=True).wait_for()
    before = page.locator("#chart-loss canvas").screenshot()
    for step in range(91, 181):
        append(
            root / "metrics.jsonl",
            {"time": 1.79e9 + 500 + step, "epoch": 2, "step": step, "loss": 3.5, "lr": 0.01},
        )
    for number in range(60):
        append(root / "logs/rank_0.log", {"number": number})
    append(root / "logs/rank_0.log", {"a line": HOSTILE})
    page.get_by_text("a line").wait_for(timeout=15_000)
    assert HOSTILE in page.locator("#log-lines").inner_text()
    hidden_below = "each => each.scrollHeight - each.scrollTop - each.clientHeight"
    assert page.locator("#log-lines").evaluate(hidden_below) < 2, "its end is in sight"
    page.locator(".tile", has_text="180").first.wait_for(timeout=15_000)
    assert page.locator("#chart-loss canvas").screenshot() != before
    box = page.locator("#chart-loss .u-over").bounding_box()
    page.locator("#chart-loss .u-over").hover(position={"x": 0.9 * box["width"], "y": 40})
    assert page.locator("#chart-loss .u-value").all_inner_texts()[1] == "3.5", "of what was appended"
    page.locator("#log-part").select_option("1")
    page.get_by_text("begun as well").wait_for(timeout=15_000)
    assert "a line" not in page.locator("#log-lines").inner_text()


def test_an_evaluation_during_the_run_is_drawn(open_page, folder):
    """The matrix, the accuracy by confidence and all else of an evaluation, without loading the page again."""
    root = folder / "20260923-080000"
    synthetic_runs.classification(root, lr=0.05, seed=9, steps=90, ends=False)
    evaluation = json.loads((root / "evaluation.json").read_text())
    (root / "evaluation.json").unlink()
    page = open_page()
    page.get_by_role("link", name="seed 9").click()
    page.locator("#chart-loss canvas").wait_for()
    assert page.locator(".confusion").count() == 0
    write = (root / "evaluation.json").write_text
    write(json.dumps(evaluation))
    page.locator(".confusion canvas").wait_for(timeout=15_000)
    page.wait_for_timeout(300)
    before = page.locator(".confusion canvas").screenshot()
    evaluation["confusion"] = [list(reversed(row)) for row in evaluation["confusion"]]
    with page.expect_response(
        lambda answer: "show.json" in answer.url and "confusions" in answer.text(), timeout=15_000
    ):
        write(json.dumps(evaluation) + "\n")
    page.wait_for_timeout(300)
    assert page.locator(".confusion canvas").screenshot() != before
