"""The report page in a real browser, from the disk and without a network; reports of runs in a bucket and of jobs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mindlift.report.page import write
from tests.support import synthetic_runs
from tests.support.programs import ROOT, Finished, environment
from tests.support.servers import s3_client

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
NUMBER = re.compile(r"-?[\d.,]+(e[+-]?\d+)?")


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("pages")
    first = synthetic_runs.classification(base / "20260921-140640")
    second = synthetic_runs.classification(base / "20260921-151200", lr=0.02, seed=2)
    third = synthetic_runs.classification(base / "20260921-163005", lr=0.4, seed=3, ranks=4, ends=False)
    segmentation = synthetic_runs.segmentation(base / "20260922-090000")
    cfg = (first / "config.yaml").read_text(encoding="utf-8")
    begun = {"time": 1.79e9, "event": "start", "step": 0, "images": 1440, "steps_per_epoch": 45, "total": 360}
    step = {"time": 1.79e9 + 9, "epoch": 0, "step": 1, "loss": 0.0, "lr": 0.0}
    few = [
        few_lines(base / name, cfg, lines)
        for name, lines in (("begun", [begun]), ("step", [step]), ("none", []))
    ]
    return {
        **{root.name: write([root], base / f"{root.name}.html") for root in few},
        "old": write([synthetic_runs.old(base / "20250101-000000")], base / "old.html"),
        "mixed": write([first, *few], base / "mixed.html"),
        "classification": write([first], base / "classification.html"),
        "segmentation": write([segmentation], base / "segmentation.html"),
        "three": write([first, second, third], base / "three.html"),
    }


def few_lines(root: Path, config_yaml: str, lines: list[dict]) -> Path:
    root.mkdir()
    (root / "config.yaml").write_text(config_yaml, encoding="utf-8")
    (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return root


class Opened:
    """A page of the report in a browser without a network; what its console says is in `said`."""

    def __init__(self, browser, file: Path, width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        self.page, self.said, self.asked = context.new_page(), [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def plot(self, chart: str):
        return self.page.locator(f"#chart-{chart} .u-over")

    def values(self, chart: str) -> list[str]:
        return self.page.locator(f"#chart-{chart} .u-series:not(.raw) .u-value").all_inner_texts()

    def drag(self, chart: str, start: float, end: float) -> None:
        """Mark a part of the x axis, in shares of its width."""
        self.plot(chart).scroll_into_view_if_needed()
        box = self.plot(chart).bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + start * box["width"], y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + end * box["width"], y, steps=4)
        self.page.mouse.up()

    def range(self) -> str:
        return self.page.locator("#range").inner_text()

    def pixels(self, chart: str) -> bytes:
        return self.page.locator(f"#chart-{chart} canvas").screenshot()


@pytest.fixture
def opened(browser, pages) -> Iterator:
    """Opens pages; at the end their consoles must be empty, and nothing but the page itself was asked for."""
    found: list[Opened] = []

    def open_page(name: str, **more) -> Opened:
        found.append(Opened(browser, pages[name], **more))
        return found[-1]

    yield open_page
    for each in found:
        assert each.said == []
        assert all(url.startswith(("file:", "data:")) for url in each.asked)
        each.page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["classification", "segmentation", "three"])
def test_everything_is_drawn_within_the_screen(opened, name, width, scheme):
    shown = opened(name, width=width, scheme=scheme)
    assert shown.page.evaluate("document.documentElement.scrollWidth") == width
    charts = json.loads(shown.page.locator("#data").text_content())["charts"]
    assert shown.page.locator(".chart canvas").count() == len(charts) > 5
    for chart in charts:
        box = shown.page.locator(f"#chart-{chart['id']} canvas").bounding_box()
        assert box["x"] > 0
        assert box["x"] + box["width"] <= width
    background = shown.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    assert brightness > 600 if scheme == "light" else brightness < 150


@pytest.mark.parametrize("name", ["classification", "segmentation", "three"])
def test_tables_fit_a_phone(opened, name):
    shown = opened(name, width=390)
    shown.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    wide = """() => [...document.querySelectorAll(".scroll")]
        .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.textContent)"""
    assert shown.page.locator(".scroll").count() > 3
    assert shown.page.evaluate(wide) == []


def test_the_rate_that_was_used_lies_on_the_plan(opened):
    """Both as they are drawn: every dot within a pixel of the line through the plan."""
    shown = opened("classification")
    lines = json.loads(shown.page.locator("#data").text_content())["charts"]
    plan, used = next(chart for chart in lines if chart["id"] == "lr")["series"]
    assert (plan["label"], used["label"], used["style"]) == ("planned", "used", "used")
    box = shown.page.locator("#chart-lr .u-over").bounding_box()
    drawn = np.interp(used["steps"], plan["steps"], plan["values"])
    assert np.abs(drawn - used["values"]).max() / max(used["values"]) * box["height"] < 1


@pytest.mark.parametrize("width", WIDTHS)
def test_hovering_tells_values_in_all_charts(opened, width):
    shown = opened("classification", width=width)
    assert set(shown.values("loss")) == {"–"}
    shown.plot("loss").hover(position={"x": 120, "y": 40})
    step, loss = shown.values("loss")
    assert re.fullmatch(r"\d+, epoch \d", step)
    lines = synthetic_lines(shown)
    assert float(loss) == pytest.approx(lines[int(step.split(",")[0])], rel=1e-3)
    for chart in ("score", "lr", "speed", "step_time"):
        assert all(NUMBER.search(value) for value in shown.values(chart)), chart


def synthetic_lines(shown: Opened) -> dict[int, float]:
    """Loss by step, as the page's data has it."""
    charts = json.loads(shown.page.locator("#data").text_content())["charts"]
    series = next(chart for chart in charts if chart["id"] == "loss")["series"][0]
    return dict(zip(series["steps"], series["values"]))


@pytest.mark.parametrize("width", WIDTHS)
def test_zooming_narrows_the_axis_of_all_charts(opened, width):
    shown = opened("classification", width=width)
    before, other = shown.pixels("loss"), shown.pixels("speed")
    assert shown.range() == ""
    shown.drag("loss", 0.25, 0.5)
    low, high = (int(value) for value in re.findall(r"\d+", shown.range()))
    assert (low, high) == (pytest.approx(91, abs=5), pytest.approx(181, abs=5))
    assert shown.pixels("loss") != before
    assert shown.pixels("speed") != other
    shown.plot("speed").hover(position={"x": 1, "y": 40})
    assert low - 2 <= int(shown.values("speed")[0].split(",")[0]) <= low + 2
    shown.drag("speed", 0.4, 0.6)
    narrower = [int(value) for value in re.findall(r"\d+", shown.range())]
    assert low < narrower[0] < narrower[1] < high
    shown.plot("loss").dblclick()
    assert shown.range() == ""


def test_two_fingers_zoom(opened):
    shown = opened("classification", width=390)
    touch = """([kind, left, right]) => {
        const over = document.querySelector("#chart-loss .u-over");
        const box = over.getBoundingClientRect();
        const touches = [left, right].map((x, identifier) =>
            new Touch({ identifier, target: over, clientX: box.left + x * box.width, clientY: box.top + 20 }));
        over.dispatchEvent(new TouchEvent(kind, { touches, bubbles: true }));
    }"""
    shown.page.evaluate(touch, ["touchstart", 0.4, 0.6])
    shown.page.evaluate(touch, ["touchmove", 0.1, 0.9])
    low, high = (int(value) for value in re.findall(r"\d+", shown.range()))
    assert (low, high) == (pytest.approx(136, abs=4), pytest.approx(225, abs=4))


def test_smoothing_and_log_scale_redraw(opened):
    shown = opened("classification")
    plain = shown.pixels("loss")
    shown.page.locator("#smooth").fill("80")
    smooth = shown.pixels("loss")
    assert smooth != plain
    shown.plot("loss").hover(position={"x": 120, "y": 40})
    step, loss = shown.values("loss")
    assert float(loss) != pytest.approx(synthetic_lines(shown)[int(step.split(",")[0])], rel=1e-4)
    button = shown.page.locator("#chart-loss button")
    shown.page.mouse.move(0, 0)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shown.pixels("loss") != smooth
    button.click()
    shown.page.locator("#smooth").fill("0")
    shown.page.mouse.move(0, 0)
    assert shown.pixels("loss") == plain


def test_the_axis_can_be_time(opened):
    shown = opened("classification")
    shown.page.get_by_label("time").check()
    shown.plot("loss").hover(position={"x": 300, "y": 40})
    assert re.fullmatch(r"[\d.]+ min", shown.values("loss")[0])
    shown.drag("loss", 0.5, 0.8)
    assert re.fullmatch(r"[\d.]+ min – [\d.]+ min", shown.range())
    shown.page.locator("#reset").click()
    assert shown.range() == ""


def test_a_run_can_be_hidden(opened):
    shown = opened("three")
    before = shown.pixels("loss")
    shown.page.locator(".hide-run").nth(1).uncheck()
    assert shown.pixels("loss") != before
    off = shown.page.locator("#chart-loss .u-series.u-off")
    assert off.all_inner_texts()[0].startswith("lr 0.02, seed 2")
    assert off.count() == 1
    shown.page.locator("#smooth").fill("50")  # what is redrawn stays hidden
    assert shown.page.locator("#chart-loss .u-series.u-off").count() == 2, "the raw and the smoothed line"
    shown.page.locator("#smooth").fill("0")
    shown.page.locator(".hide-run").nth(1).check()
    assert shown.pixels("loss") == before


@pytest.mark.parametrize("name", ["begun", "step", "none", "old", "mixed"])
def test_runs_with_little_to_show_answer_as_well(opened, name):
    """The fixture looks at the console."""
    shown = opened(name)
    for axis in ("time", "steps"):
        shown.page.get_by_label(axis).check()
        for chart in shown.page.locator(".chart").all():
            for button in chart.locator("header button").all():
                button.click()
            chart.locator(".u-over").hover()
        shown.page.locator("#smooth").fill("50")
        shown.page.locator("#reset").click()
    assert (
        shown.page.locator(".chart canvas").count()
        == {"begun": 1, "none": 0, "step": 0, "old": 1, "mixed": 11}[name]
    )


def test_the_confusion_matrix_answers(opened):
    shown = opened("classification")
    canvas = shown.page.locator(".confusion canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 5, "y": box["height"] - 5})
    assert shown.page.locator(".confusion .readout").inner_text() == "truth 9, predicted 9: 33 of 34 (97.1 %)"


def test_details_of_a_compared_run_open(opened):
    shown = opened("three")
    details = shown.page.locator("details.run").nth(1)
    details.locator("summary").first.click()
    details.locator(".confusion canvas").scroll_into_view_if_needed()
    details.locator(".confusion canvas").hover(position={"x": 200, "y": 200})
    assert details.locator(".confusion .readout").inner_text().startswith("truth ")
    assert details.locator(".command pre").inner_text().startswith("bash scripts/local_ranks.sh 2 train.py")


def report(*words: object, **env: str) -> Finished:
    command = [sys.executable, "-m", "mindlift", "report", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**env), capture_output=True, text=True, check=False
    )
    return Finished(done)


def test_a_run_in_a_bucket(minio, bucket, tmp_path):
    """Its small files are read from there; checkpoints are left alone."""
    root = synthetic_runs.classification(tmp_path / "20260921-140640")
    client = s3_client(minio)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        client.upload_file(str(path), bucket, f"runs/{root.name}/{path.relative_to(root)}")
    client.put_object(Bucket=bucket, Key=f"runs/{root.name}/checkpoints/x.ckpt", Body=b"0" * 100)
    keys = {
        "S3_ENDPOINT": minio.endpoint,
        "ACCESS_KEY_ID": minio.access_key,
        "SECRET_ACCESS_KEY": minio.secret_key,
    }
    for place in (f"obs://{bucket}/runs/", f"obs://{bucket}/runs/{root.name}"):
        done = report(place, "--out", tmp_path / "page.html", **keys)
        assert done.code == 0, done.err
        page = (tmp_path / "page.html").read_text()
        assert root.name in page
        assert page.count("data:image/png") == 6
    nothing = report(f"obs://{bucket}/nothing/", **keys)
    assert (nothing.code, "holds no run" in nothing.error) == (2, True)


def test_a_job_that_is_not_there_is_one_line(minio, tmp_path):
    store = {
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
    }
    done = report("local://nobody", HOME=str(tmp_path), **store)
    assert done.code == 2
    assert done.error.startswith("error: can't fetch local://nobody: ")
