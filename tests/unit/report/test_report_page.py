"""The report page as text: what is in it, what is left out, that nothing in it is taken for HTML."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.cli.report import main
from mindlift.errors import DataError, StorageError
from mindlift.report.page import write
from tests.support import synthetic_runs
from tests.support.programs import ROOT

LIMIT_BYTES = 2_000_000
HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>&amp;\u2028"


def page_of(tmp_path: Path, *roots: Path) -> str:
    return write(list(roots), tmp_path / "report.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


def chart_ids(page: str) -> set[str]:
    return {chart["id"] for chart in data_of(page)["charts"]}


def heads(page: str) -> list[str]:
    return re.findall(r"<h2>(.+?)</h2>", page)


def test_a_classification_shows_all_there_is(runs, tmp_path):
    page = page_of(tmp_path, runs["first"])
    assert chart_ids(page) == {
        "loss",
        "score",
        "evaluation_loss",
        "lr",
        "speed",
        "data_wait",
        "step_time",
        "memory",
        "loss_scale",
        "skipped",
        "transfers",
    }
    assert heads(page) == [
        "Confusion matrix",
        "Calibration",
        "Most confident mistakes",
        "What this run changed",
        "To repeat it",
        "What happened",
        "Ranks",
        "Moved",
        "Versions and machine",
    ]
    assert page.count('src="data:image/png;base64,') == 6
    assert synthetic_runs.REVISION in page
    assert [mark["kind"] for mark in data_of(page)["marks"]] == ["stopped", "continued", "continued", "ended"]
    labels = {
        series["label"]
        for chart in data_of(page)["charts"]
        if chart["id"] == "score"
        for series in chart["series"]
    }
    assert labels == {"top-1 EMA", "top-1 raw", "top-5 EMA", "top-5 raw"}


def test_a_segmentation_shows_its_own(runs, tmp_path):
    page = page_of(tmp_path, runs["segmentation"])
    assert {"miou", "loss"} <= chart_ids(page)
    assert not {"score", "evaluation_loss", "transfers"} & chart_ids(page)
    assert heads(page)[:3] == ["IoU of the classes", "Confusion matrix", "Images, truths and predictions"]
    assert page.count('class="iou"') == 11
    assert not {"Calibration", "Ranks", "Most confident mistakes"} & set(heads(page))


def test_several_runs_are_laid_over_each_other(runs, tmp_path):
    page = page_of(tmp_path, runs["first"], runs["second"], runs["old"])
    loss = next(chart for chart in data_of(page)["charts"] if chart["id"] == "loss")
    assert [series["run"] for series in loss["series"]] == [0, 1, 2]
    assert heads(page)[:1] == ["Best figures"]
    assert "Options that differ" in heads(page)
    assert page.count("hide-run") > 3
    for root in (runs["first"], runs["second"], runs["old"]):
        assert root.name in page


def test_an_old_run_shows_what_it_has(runs, tmp_path):
    page = page_of(tmp_path, runs["old"])
    assert chart_ids(page) == {"loss"}, "its rate and speed never change"
    assert "What this run changed" not in page
    assert "cut short: nothing since step 100" in page


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "config.yaml", "versions.json", "evaluation.json", "transfers.jsonl", "result.json"],
)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00{", b'["a"]', b'{"a": 1}\n{"time": "x", "step": 3, "loss": []}', b"a:\n  - [b"]
)
def test_damaged_files_are_left_out(tmp_path, name, content):
    root = synthetic_runs.old(tmp_path / "run")
    (root / name).write_bytes(content)
    assert heads(page_of(tmp_path, root)) is not None
    assert main([str(root), "--out", str(tmp_path / "again.html")]) == 0


@pytest.mark.parametrize(
    "evaluation",
    [
        {
            "confusion": [[1, 2], [3]],
            "calibration": {"bins": [{"low": 0}, None]},
            "mistakes": ["a", {"file": 3}],
            "ious": "x",
        },
        {
            "confusion": [["a"]],
            "calibration": [],
            "mistakes": {},
            "overlays": "../../../etc/passwd",
            "classes": 5,
            "ious": [None, "b", 0.5],
        },
        {"confusion": [[0] * 201] * 201, "mistakes": [{"file": "metrics.jsonl"}], "overlays": "evaluation"},
    ],
)
def test_an_evaluation_of_another_form_is_left_out(tmp_path, evaluation):
    root = synthetic_runs.old(tmp_path / "run")
    (root / "evaluation.json").write_text(json.dumps(evaluation))
    page = page_of(tmp_path, root)
    assert not {
        "Confusion matrix",
        "Calibration",
        "Most confident mistakes",
        "Images, truths and predictions",
    } & set(heads(page))


def test_pictures_come_from_the_runs_folder_only(tmp_path):
    root = synthetic_runs.old(tmp_path / "run")
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (root / "evaluation.json").write_text(json.dumps({"overlays": "../secret.png"}))
    assert "data:image" not in page_of(tmp_path, root)


def test_nothing_in_a_run_becomes_html(tmp_path):
    root = synthetic_runs.classification(tmp_path / "<b>run & more")
    options = (
        (root / "config.yaml")
        .read_text()
        .replace("/data/runs & more", HOSTILE.replace('"', '\\"').replace("'", "''"))
    )
    (root / "config.yaml").write_text(options)
    (root / "versions.json").write_text(json.dumps({"machine": HOSTILE, HOSTILE: 1}))
    found = json.loads((root / "evaluation.json").read_text())
    found["classes"] = [HOSTILE] * 10
    found["mistakes"][0].update(truth=HOSTILE, predicted=HOSTILE, name=HOSTILE)
    (root / "evaluation.json").write_text(json.dumps(found))
    with open(root / "transfers.jsonl", "a") as file:
        file.write(
            json.dumps({"time": 1.79e9, "seconds": 99.0, "bytes": 5, "event": HOSTILE, "what": HOSTILE})
            + "\n"
        )
    with open(root / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"event": HOSTILE, "step": 400}) + "\n")
    page = page_of(tmp_path, root)
    assert page.count("<script") == 3
    assert "<img src=x" not in page
    assert "<b>run" not in page
    assert "alert(2)&gt;" in page, "it is shown, as text"
    assert data_of(page)["confusions"][0]["classes"] == [HOSTILE] * 10


def test_the_page_asks_no_network(runs, tmp_path):
    page = page_of(tmp_path, runs["first"])
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\s\"')]+", page))
    assert addresses == {
        "https://github.com/leeoniya/uPlot"
    }, "the comment in the vendored library's first line"


def test_the_vendored_library_comes_with_its_licence():
    folder = ROOT / "src/mindlift/report/vendor/uplot"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "(v1.6.32)" in (folder / "uPlot.iife.min.js").read_text()[:80]


def test_many_large_runs_stay_small(tmp_path):
    chance = np.random.default_rng(0)
    roots = [
        synthetic_runs.classification(tmp_path / f"run{at}", steps=1800, per_epoch=90, ranks=8, seed=at)
        for at in range(6)
    ]
    for root in roots:
        noise = chance.integers(0, 255, (1200, 900, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "evaluation" / "overlays.png")
        found = json.loads((root / "evaluation.json").read_text())
        found.update(
            overlays="evaluation/overlays.png",
            confusion=np.full((200, 200), 7).tolist(),
            classes=[f"class {at}" for at in range(200)],
        )
        (root / "evaluation.json").write_text(json.dumps(found))
    for chosen in (roots[:1], roots):
        assert write(chosen, tmp_path / "report.html").stat().st_size < LIMIT_BYTES


def test_ten_million_steps_open_in_seconds(tmp_path):
    root = synthetic_runs.long(tmp_path / "run", steps=10_000_000, every=40)
    started = time.process_time()
    page = page_of(tmp_path, root)
    assert time.process_time() - started < 60, "2 s where this was written"
    assert len(page.encode()) < LIMIT_BYTES
    loss = next(chart for chart in data_of(page)["charts"] if chart["id"] == "loss")["series"][0]
    assert loss["steps"][loss["values"].index(99.0)] == 6_666_640
    assert (loss["steps"][0], loss["steps"][-1]) == (40, 10_000_000)


def test_of_many_ranks_the_fastest_and_the_slowest_are_drawn(tmp_path):
    root = synthetic_runs.old(tmp_path / "run")
    seconds = [[(rank * 37 % 100) / 100 + 0.1 + at / 1e4 for rank in range(100)] for at in range(3)]
    lines = [
        {"step": at, "time": 1.0, "loss": 1.0, "step_seconds": each} for at, each in enumerate(seconds, 1)
    ]
    (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = page_of(tmp_path, root)
    times = next(chart for chart in data_of(page)["charts"] if chart["id"] == "step_time")["series"]
    assert sorted(series["values"][0] for series in times) == [
        100 + 10 * at for at in (*range(4), *range(88, 100))
    ]
    assert page.count("<td>rank ") == 100


def test_help_starts_without_numpy():
    code = (
        "import sys; from mindlift.cli.main import main\n"
        "try: main(['report', '--help'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'mindspore' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: mindlift report")


def test_where_it_can_not_be_written_is_one_line(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't write"):
        write([runs["old"]], tmp_path / "file" / "report.html")
    assert main([str(runs["old"]), "--out", str(tmp_path / "file" / "x" / "report.html")]) == 1
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error"] * 3
    with pytest.raises(DataError):
        write([], tmp_path / "report.html")


def test_a_folder_of_runs_means_its_newest(runs, capsys):
    assert main([str(runs["first"].parent)]) == 0
    assert capsys.readouterr().out.strip() == str(runs["second"] / "report.html")


def test_reports_need_no_mindspore(runs, tmp_path):
    code = (
        "import sys; from pathlib import Path; from mindlift.report.page import write; import mindlift.report.events\n"
        f"write([Path({str(runs['first'])!r})], Path({str(tmp_path / 'r.html')!r}))\n"
        "assert not {'mindspore', 'boto3', 'cloud', 'tensorboardX'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
