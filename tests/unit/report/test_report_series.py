"""Curves are thinned without losing what the eye looks for, and metrics files of any state are read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindlift import json_text
from mindlift.runs import last_records, metrics
from mindlift.runs.metrics import Mark
from mindlift.runs.series import Curve, Recorder, extremes, numbers, rounded


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 50))
def test_every_bucket_keeps_its_extremes(values, buckets):
    array = np.array(values)
    kept = extremes(array, buckets)
    assert (np.diff(kept) > 0).all()
    assert {kept[0], kept[-1]} == {0, len(values) - 1}
    assert len(kept) <= 2 * buckets + 4
    size = -(-len(values) // buckets) if len(values) > 2 * buckets else 1
    for start in range(0, len(values), size):
        inside = array[kept[(kept >= start) & (kept < start + size)]]
        bucket = array[start : start + size]
        assert (inside.min(), inside.max()) == (bucket.min(), bucket.max())


def block(first: int, last: int) -> Curve:
    steps = np.arange(first, last)
    return Curve(steps, steps * 0.5, np.sin(steps))


def test_a_long_curve_stays_small_and_keeps_its_spike():
    recorder = Recorder(kept=100)
    for first in range(0, 100_000, 1000):
        part = block(first, first + 1000)
        if first == 77_000:
            part.values[123] = 50.0
        recorder.add(part)
        assert recorder.count <= 8 * 100 + 1000
    curve = recorder.curve()
    assert (np.diff(curve.steps) > 0).all()
    assert (curve.values.max(), curve.steps[curve.values.argmax()]) == (50.0, 77_123)


@pytest.mark.parametrize("step", [-1, 0, 9, 10, 14, 19, 50])
def test_cutting_leaves_what_came_until_then(step):
    recorder = Recorder()
    for first in (0, 10):
        recorder.add(block(first, first + 10))
    recorder.cut(step)
    assert recorder.curve().steps.tolist() == list(range(min(step, 19) + 1))
    assert recorder.count == len(recorder.curve())


def test_what_is_no_number_is_left_out():
    raw = [1, None, "2", True, float("inf"), 10**400, [3]]
    assert np.isfinite(numbers(raw)).tolist() == [True, False, False, True, False, False, False]
    recorder = Recorder()
    recorder.add(Curve(np.arange(2), np.zeros(2), np.array([np.nan, 1.0])))
    assert recorder.curve().steps.tolist() == [1]
    assert rounded(np.array([0.123456789, 1e-9])) == [0.12346, 1e-9]


def step_line(step: int, loss: float, **more: object) -> dict:
    return {"time": 1000.0 + step, "epoch": step // 10, "step": step, "loss": loss, "lr": 0.1, **more}


def write(path: Path, *records: dict, tail: str = "") -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail, encoding="utf-8")
    return path


def points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.steps.tolist(), curve.values.tolist()))


def test_torn_lines_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"step": 1, "loss": 2.0, "time": 5}\n{"step": 2, "lo\n[1]\n{"step": 3, "loss": 1.0}\n{"step": 4, "loss": "\xc3'
    )
    found = metrics.read(path)
    assert points(found.curves["loss"]) == [(1, 2.0), (3, 1.0)]
    assert (found.first, found.last, found.step) == (5.0, 5.0, 3)


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_blocks_cut_no_line(size):
    text = (
        "".join(json.dumps({"step": step, "what": "é"}) + "\n" for step in range(50)).encode()
        + b'{"step": 50}'
    )
    found = [
        record["step"]
        for part in json_text.blocks(io.BytesIO(text), size)
        for record in metrics.parsed(part)[0]
    ]
    assert found == list(range(51))


def test_a_file_that_is_missing_or_empty_has_nothing(tmp_path):
    for path in (tmp_path / "none", write(tmp_path / "empty")):
        found = metrics.read(path)
        assert (found.curves, found.marks, found.step, found.last) == ({}, [], 0, None)


def test_of_steps_done_again_the_later_ones_count(tmp_path):
    """By an event, and in files of versions that wrote none."""
    lines = [step_line(step, 2.0) for step in range(1, 8)]
    again = [step_line(step, 1.0, time=2000.0 + step) for step in range(5, 10)]
    continued = {"time": 2000.0, "event": "continued", "step": 4, "steps_per_epoch": 10}
    expected = [(step, 2.0 if step < 5 else 1.0) for step in range(1, 10)]
    for path, pause in (
        (write(tmp_path / "new", *lines, continued, *again), 993.0),
        (write(tmp_path / "old", *lines, *again), 998.0),
    ):
        found = metrics.read(path)
        assert points(found.curves["loss"]) == expected
        assert [(mark.kind, mark.step, mark.lost, mark.pause) for mark in found.marks] == [
            ("continued", 4, 3, pause)
        ]
        assert [
            (each["step"], each["loss"]) for each in last_records.records(path) if "event" not in each
        ] == expected


def test_evaluations_that_a_resume_took_back_are_gone(tmp_path):
    def figure(step: int, top1: float) -> dict:
        return {"time": 1.0, "event": "evaluation", "step": step, "which": "weights", "top1": top1}

    path = write(
        tmp_path / "metrics.jsonl",
        step_line(4, 2.0),
        figure(4, 50.0),
        step_line(8, 2.0),
        figure(8, 60.0),
        {"event": "continued", "step": 4},
        figure(4, 51.0),
        step_line(8, 1.0),
        figure(8, 70.0),
        figure(8, 71.0),
    )
    expected = [(4, 51.0), (8, 71.0)]
    assert [(each["step"], each["top1"]) for each in metrics.read(path).evaluations] == expected
    held = [each for each in last_records.records(path) if each.get("event") == "evaluation"]
    assert [(each["step"], each["top1"]) for each in held] == expected


def test_two_resumes_further_and_further_back(tmp_path):
    lines = [step_line(step, 3.0) for step in (1, 2, 3, 4)]
    path = write(
        tmp_path / "metrics.jsonl",
        *lines,
        {"event": "continued", "step": 3},
        step_line(4, 2.0),
        step_line(5, 2.0),
        {"event": "continued", "step": 1},
        step_line(2, 1.0),
    )
    expected = [(1, 3.0), (2, 1.0)]
    assert points(metrics.read(path).curves["loss"]) == expected
    assert [(each["step"], each["loss"]) for each in last_records.records(path) if "loss" in each] == expected


def test_ranks_and_later_keys(tmp_path):
    path = write(
        tmp_path / "metrics.jsonl",
        step_line(1, 2.0),
        step_line(2, 2.0, step_seconds=[0.1, 0.3], skipped=0),
        step_line(3, 2.0, step_seconds=[0.1], skipped=1),
    )
    found = metrics.read(path)
    assert [points(curve) for curve in found.per_rank["step_seconds"]] == [[(2, 0.1), (3, 0.1)], [(2, 0.3)]]
    assert points(found.curves["skipped"]) == [(2, 0.0), (3, 1.0)]
    assert "memory_mb" not in found.per_rank


def test_of_large_files_events_and_spikes_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "WHOLE_BYTES", 20_000)
    lines = [step_line(step, 2.0 + 0.001 * (step % 7)) for step in range(1, 10_001)]
    lines[5432]["loss"], lines[7000]["loss"] = 99.0, float("nan")
    lines.insert(8000, {"time": 9000.0, "event": "stopped", "step": 8000})
    found = metrics.read(write(tmp_path / "metrics.jsonl", *lines))
    loss = found.curves["loss"]
    assert len(loss) < 2_000
    assert (loss.values.max(), loss.steps[loss.values.argmax()]) == (99.0, 5433)
    assert (found.first, found.last, found.step) == (1001.0, 11_000.0, 10_000)
    assert found.marks == [Mark("stopped", 8000, 9000.0)]
