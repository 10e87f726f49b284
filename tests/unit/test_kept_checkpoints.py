"""Which checkpoints are kept: the newest and the best."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mindlift.model_utils.staging import publisher
from mindlift.runs import checkpoint, manifest
from mindlift.runs.manifest import Saved, best_first, to_keep


def saved(step: int, score: float | None = None, metric: str = "top1") -> Saved:
    return Saved(
        f"net-1_{step}.ckpt",
        0,
        step,
        100,
        1,
        4,
        "0" * 64,
        float(step),
        metric if score is not None else "",
        score,
    )


SCORED = [saved(1, 70.0), saved(2, 90.0), saved(3), saved(4, 80.0), saved(5, 90.0), saved(6, 60.0), saved(7)]


@pytest.mark.parametrize(
    ("newest", "best", "steps"),
    [
        (1, 0, [7]),
        (2, 1, [2, 6, 7]),
        (1, 2, [2, 5, 7]),
        (2, 3, [2, 4, 5, 6, 7]),
        (9, 9, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_the_newest_and_the_best_stay(newest, best, steps):
    """Of equal ones the first counts as better, as for the best figure of a report."""
    assert [each.step for each in to_keep(SCORED, newest, best)] == steps


def test_of_a_loss_less_is_better_and_other_figures_do_not_count():
    found = [saved(1, 99.0, "top1"), saved(2, 0.5, "loss"), saved(3, 0.3, "loss"), saved(4, 0.4, "loss")]
    assert [each.step for each in best_first(found)] == [3, 4, 2]
    assert best_first([saved(1), saved(2)]) == []


@pytest.fixture
def folder(tmp_path):
    for each in (saved(step) for step in range(1, 6)):
        (tmp_path / each.file).write_bytes(b"data")
        with open(tmp_path / manifest.MANIFEST, "a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(each)) + "\n")
    return tmp_path


def test_a_score_is_a_second_line_of_the_manifest(folder):
    assert checkpoint.add_score(folder, 2, "top1", 88.5)
    assert not checkpoint.add_score(folder, 9, "top1", 88.5), "there is no such checkpoint"
    before = (folder / manifest.MANIFEST).read_text()
    assert checkpoint.add_score(folder, 2, "top1", 88.5)
    assert (folder / manifest.MANIFEST).read_text() == before, "known already"
    found = {each.step: each for each in manifest.listed(folder)}
    assert (found[2].metric, found[2].score, found[3].score) == ("top1", 88.5, None)
    checkpoint.prune(folder, 2, 1)
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [saved(step).file for step in (2, 4, 5)]
    assert [each.step for each in manifest.listed(folder)] == [2, 4, 5]


def test_lines_of_earlier_versions_and_damaged_scores_are_read():
    old = {name: value for name, value in vars(saved(3)).items() if name not in ("metric", "score")}
    for more in (
        {},
        {"metric": "top1", "score": None},
        {"metric": 7, "score": 1.0},
        {"metric": "a", "score": "x"},
    ):
        (found,) = manifest.parse(json.dumps({**old, **more}).encode() + b"\n")
        assert found == saved(3)
    (scored,) = manifest.parse(json.dumps({**old, "metric": "top1", "score": 91}).encode() + b"\n")
    assert (scored.metric, scored.score) == ("top1", 91.0)


def test_a_score_sends_no_checkpoint_again_and_the_best_stay_in_the_bucket():
    names = {f"checkpoints/{each.file}": each for each in SCORED}
    done = publisher.Published(checkpoints={name: saved(each.step) for name, each in names.items()})
    now = publisher.Snapshot({}, names, {})
    assert publisher.new_checkpoints(now, done) == []
    done.checkpoints.update(names)
    assert [each.step for each in publisher.kept(done, 2, 1)["checkpoints"]] == [2, 6, 7]
    names["checkpoints/net-1_7.ckpt"] = dataclasses.replace(saved(7), sha256="1" * 64)
    assert publisher.new_checkpoints(now, done) == ["checkpoints/net-1_7.ckpt"]
