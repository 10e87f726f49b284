"""A class is its name: labels of an evaluation, of a resumed run and of shards are those of the training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mindlift.data import layout
from mindlift.data.classification.split import open_split
from mindlift.data.mindrecord import index as record_index
from mindlift.errors import CheckpointError, DataError
from mindlift.runs import provenance
from mindlift.runs.paths import CLASSES, RECORDS
from tests.support.batches import FOLDER_OPTIONS

THREE = replace(FOLDER_OPTIONS, num_classes=3)
KNOWN = ["cat", "dog", "wolf"]


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "0.jpg").write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("names", "labels"),
    [(["dog", "wolf"], [1, 2]), (["wolf"], [2]), (["cat", "wolf"], [0, 2]), (KNOWN, [0, 1, 2])],
)
@pytest.mark.parametrize("allow_unused", [False, True])
@pytest.mark.parametrize("beside", [False, True])
def test_an_evaluation_may_lack_classes_and_numbers_them_as_trained(
    tmp_path, names, labels, allow_unused, beside
):
    options, known = replace(THREE, allow_unused_classes=allow_unused), [] if beside else KNOWN
    folders(tmp_path / "val", *names)
    if beside:  # what an earlier version's run has: only the folder that it was trained with
        folders(tmp_path / "train", *KNOWN)
    samples = open_split(options, tmp_path if beside else tmp_path / "val", False, known)
    assert (samples.labels.tolist(), samples.classes) == (labels, KNOWN)


@pytest.mark.parametrize("names", [["yak"], ["dog", "wolf", "yak"], [*KNOWN, "yak"]])
def test_a_class_that_training_does_not_know_is_named(tmp_path, names):
    folders(tmp_path / "train", *KNOWN)
    folders(tmp_path / "val", *names)
    for path, known in ((tmp_path, []), (tmp_path / "val", KNOWN)):
        with pytest.raises(DataError, match=r"does not know: yak.*cat, dog, wolf") as caught:
            open_split(THREE, path, False, known)
        assert "\n" not in str(caught.value)


def test_without_names_the_ranks_of_folders_count(tmp_path):
    assert open_split(THREE, folders(tmp_path, *"abc"), False).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", layout.EVALUATED)
def test_names_of_splits(tmp_path, name):
    folders(tmp_path / "train", *KNOWN)
    folders(tmp_path / name, "dog")
    assert open_split(THREE, tmp_path, True).labels.tolist() == [0, 1, 2]
    assert open_split(THREE, tmp_path, False).labels.tolist() == [1]


def test_a_lone_train_folder_is_no_class(tmp_path):
    folders(tmp_path / "train", *KNOWN)
    with pytest.raises(DataError, match=r"only the folder train; pass .*/train itself, or put val or valid"):
        open_split(THREE, tmp_path, True)


@pytest.mark.parametrize(
    ("found", "gone", "new"),
    [
        (["dog", "wolf", "yak"], "cat", "yak"),
        (["cat", "dog"], "wolf", "none"),
        ([*KNOWN, "yak"], "none", "yak"),
    ],
)
def test_a_training_goes_on_with_its_own_classes_only(found, gone, new):
    layout.check_same(KNOWN, KNOWN, "out/run")
    with pytest.raises(DataError, match=f"out/run was trained .* now {gone} is missing and {new} is new"):
        layout.check_same(found, KNOWN, "out/run")


def test_names_are_kept_with_the_run_and_go_where_it_goes(tmp_path):
    assert CLASSES in RECORDS
    (tmp_path / "checkpoints/rank_1").mkdir(parents=True)
    (tmp_path / CLASSES).write_text(json.dumps(KNOWN), encoding="utf-8")
    for weights in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints/rank_1/n.ckpt"):
        assert provenance.class_names(weights) == KNOWN


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", '"cat"'])
def test_a_damaged_list_of_names_is_named(tmp_path, text):
    (tmp_path / CLASSES).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=CLASSES):
        provenance.class_names(tmp_path)


def test_checkpoints_of_different_classes_are_not_evaluated_together(tmp_path):
    for name, classes in (("a", KNOWN), ("b", ["yak"]), ("c", KNOWN)):
        (tmp_path / name).mkdir()
        (tmp_path / name / CLASSES).write_text(json.dumps(classes), encoding="utf-8")
    a, b, c = (tmp_path / name / "n.ckpt" for name in "abc")
    assert provenance.common_class_names([a, c]) == KNOWN
    assert provenance.common_class_names([]) == []
    with pytest.raises(CheckpointError, match="other classes than"):
        provenance.common_class_names([a, b])


def test_the_index_of_shards_is_compared_by_name(tmp_path):
    content = {
        "format": 1,
        "dataset": "imagenet",
        "classes": ["dog", "wolf"],
        "splits": {"val": {"shards": []}},
    }
    (tmp_path / record_index.INDEX).write_text(json.dumps(content), encoding="utf-8")
    record_index.check("imagenet", tmp_path, False, 3, False, KNOWN)
    with pytest.raises(DataError, match="does not know: wolf"):
        record_index.check("imagenet", tmp_path, False, 3, False, ["cat", "dog", "yak"])
