"""A metrics file that grows is read once, and says what one reading of the whole would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mindlift import json_text
from mindlift.runs import metrics
from mindlift.runs.metrics import Follower, Metrics


def line(step: int, **more: object) -> str:
    return (
        json.dumps({"time": 1e9 + step, "epoch": step // 10, "step": step, "loss": 5 / (step + 1), **more})
        + "\n"
    )


def event(kind: str, step: int, **more: object) -> str:
    return json.dumps({"time": 1e9 + step, "event": kind, "step": step, **more}) + "\n"


def same(found: Metrics, expected: Metrics) -> bool:
    curves, others = found.curves["loss"], expected.curves["loss"]
    return (
        np.array_equal(curves.steps, others.steps)
        and np.array_equal(curves.values, others.values)
        and (found.marks, found.evaluations, found.step)
        == (expected.marks, expected.evaluations, expected.step)
    )


def test_as_one_reading_of_the_whole(tmp_path: Path) -> None:
    """With a resume that takes steps back, evaluations that come twice, and lines that are cut where they are looked at."""
    text = "".join(
        [
            event("start", 0, steps_per_epoch=10, total=40),
            *(line(step) for step in range(1, 21)),
            event("evaluation", 20, which="weights", top1=0.5),
            event("evaluation", 20, which="weights", top1=0.6),
            event("continued", 15),
            *(line(step) for step in range(16, 31)),
            event("evaluation", 30, which="weights", top1=0.7),
            event("ended", 30),
        ]
    )
    path = tmp_path / "metrics.jsonl"
    follower = Follower(path)
    assert follower.read().curves == {}
    for end in range(100, len(text) + 100, 100):
        path.write_text(text[:end])
        found = follower.read()
        whole = text[: text[:end].rfind("\n") + 1]
        path.write_text(whole)
        assert "loss" not in found.curves or same(found, metrics.read(path)), end
    assert found.evaluations[-1]["top1"] == 0.7
    assert found.step == 30


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    follower, parsed = Follower(path), []
    whole = json_text.parse_records
    monkeypatch.setattr(json_text, "parse_records", lambda text: parsed.append(len(text)) or whole(text))
    for epoch in range(20):
        with open(path, "a") as file:
            file.writelines(line(epoch * 10 + step) for step in range(1, 11))
        assert follower.read().step == epoch * 10 + 10
    assert sum(parsed) == path.stat().st_size


def test_a_new_beginning(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(map(line, range(1, 9))))
    follower = Follower(path)
    assert follower.read().step == 8
    path.write_text("".join(map(line, range(1, 4))))
    assert follower.read().curves["loss"].steps.tolist() == [1, 2, 3]
    path.unlink()
    assert follower.read().curves == {}
