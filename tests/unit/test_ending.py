"""What programs say when they end, and what they say meanwhile where nothing else is said."""

from __future__ import annotations

import json
import threading

import pytest

from mindlift.cli import ending, train_result
from mindlift.runs.log import Count, RunLog, duration
from mindlift.runs.manifest import Saved, file_sha256
from mindlift.runs.paths import RunPaths
from mindlift.silence import Watch

RESULT = {"steps": 72, "seconds": 61.4, "top1": 97.5, "miou": None, "total": 40, "checkpoint": "c.ckpt"}


def test_a_training_ends_with_its_places(tmp_path):
    paths = RunPaths(tmp_path / "20260101-000000").create()
    assert train_result.lines({**RESULT, "run": str(paths.root)}) == [
        f"run {paths.root}: 72 steps in 61 s, top-1 97.50 % of 40 images at its end",
        "  newest checkpoint: c.ckpt",
        f"  page: {paths.root}/report.html, figures: {paths.root}/result.json",
    ]
    for step, score in ((5, 99.0), (10, 97.5)):
        file = paths.checkpoints / f"net-1_{step}.ckpt"
        file.write_bytes(b"%d" % step)
        saved = Saved(file.name, 1, step, 9, 1, file.stat().st_size, file_sha256(file), 1.0, "top1", score)
        with open(paths.checkpoints / "manifest.jsonl", "a") as lines:
            lines.write(json.dumps(vars(saved)) + "\n")
    best = train_result.lines({**RESULT, "run": str(paths.root)})[1]
    assert best == f"  best checkpoint: {paths.checkpoints}/net-1_5.ckpt (top-1 99.00 %)"


def test_without_an_evaluation_and_of_a_segmentation(tmp_path):
    plain = {**RESULT, "run": str(tmp_path), "top1": None, "total": None, "checkpoint": ""}
    assert train_result.lines(plain)[0] == f"run {tmp_path}: 72 steps in 61 s"
    assert train_result.lines({**plain, "miou": 0.61234, "total": 9})[0].endswith(
        "mIoU 0.6123 of 9 images at its end"
    )


def test_commands_that_come_next_are_on_stderr_and_can_be_pasted(capsys):
    ending.following(["mindlift", "predict", "my run", "IMAGES"], ["mindlift", "report"])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "next: mindlift predict 'my run' IMAGES\n      mindlift report\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (60, "1:00 min"), (200, "3:20 min"), (7500, "2:05 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_time_left_does_not_count_the_first_step():
    """20 s of compiling, then a step a second: of 10 steps 7 s are left after the third one."""
    now = [0.0]
    count = Count("train net", "step", 10, 0, "compiling the graph", clock=lambda: now[0])
    now[0] = 12.0
    assert count.text() == "train net: compiling the graph, 12 s so far"
    for at in (20.0, 21.0, 22.0):
        now[0] = at
        count.advance(1, {"loss": "0.5"})
    assert count.text() == "train net: step 3 of 10, loss 0.5, 7 s left"


def test_the_bar_does_not_count_it_either(monkeypatch, capsys):
    """tqdm's own rate, by its own clock."""
    now = [0.0]
    with RunLog(None, 0, show_bar=True) as log:
        log.start_bar("train net", "step", 100)
        monkeypatch.setattr(log.bar, "_time", lambda: now[0])
        log.bar.start_t = log.bar.last_print_t = 0.0
        for at in (60.0, 61.0, 62.0, 63.0):
            now[0] = at
            log.advance()
        assert log.bar.format_dict["elapsed"] == 3.0
        assert log.bar.format_dict["n"] - log.bar.format_dict["initial"] == 3
        log.end_bar()


def test_a_line_is_said_where_nothing_else_is(capsys):
    """Through a pipe, as pytest's stdout is one."""
    said, pause = "", threading.Event()
    log = RunLog(None, 0, show_bar=False)
    log.watch.limit_s = 0.05
    with log:
        log.start_bar("train net", "step", 5, first="compiling the graph")
        for _ in range(500):
            said += capsys.readouterr().out
            if said:
                break
            pause.wait(0.02)
    assert said.startswith("train net: compiling the graph, 0 s so far\n")


def test_what_is_said_otherwise_is_enough():
    now, said = [0.0], []
    watch = Watch(said.append, lambda: "working", clock=lambda: now[0])
    assert watch.left() == 5.0
    now[0] = 4.0
    watch.heard()
    assert watch.left() == 5.0
    now[0] = 9.5
    assert watch.left() < 0


@pytest.mark.parametrize(("passed", "pause"), [(0, 5), (100, 5), (400, 20), (1200, 60), (90000, 60)])
def test_lines_about_long_work_become_rarer(passed, pause):
    now = [0.0]
    watch = Watch(lambda line: None, lambda: "", clock=lambda: now[0])
    now[0] = float(passed)
    watch.heard()
    assert watch.left() == pytest.approx(pause)


def test_a_terminal_that_is_gone_does_not_end_the_work():
    def gone(line: str) -> None:
        raise BrokenPipeError

    with Watch(gone, lambda: "working", limit_s=0.0) as watch:
        watch.thread.join(5)
        assert not watch.thread.is_alive()
