"""Images with several labels each: the file of labels, splits, figures against scikit-learn, predictions, and the plan for a
folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

from mindlift.data import folder_check
from mindlift.data.multilabel import labels, rules
from mindlift.data.multilabel.split import open_split
from mindlift.errors import ConfigError, DataError
from mindlift.model_utils.config import config
from mindlift.runs.log import RunLog
from mindlift.tasks.classification import task as classify
from mindlift.tasks.multilabel import predict
from mindlift.tasks.multilabel.average_precision import Ranking, average_precision, sigmoid
from mindlift.tasks.prediction_files import CsvFile, JsonFile, Prediction, Printed
from mindlift.training import own_folder
from mindlift.training.own_folder import OwnFolder
from tests.support.programs import ROOT

RECIPE = str(ROOT / "src/mindlift/models/resnet/recipes/resnet50_imagenet.yaml")
PLAIN = str(ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml")
COLUMNS = "image,cat,dog,bird\na.jpg,1,1,0\nsub/b.png,0,0,0\nc.jpg,0,1.0,1\n"
WORDS = "image,labels\na.jpg,cat;dog\nsub/b.png,\nc.jpg,dog; bird\n"
TRUTH = {"a.jpg": {"cat", "dog"}, "sub/b.png": set(), "c.jpg": {"dog", "bird"}}
JSON = json.dumps({name: sorted(found) for name, found in TRUTH.items()})


def made(folder: Path, *names: str) -> Path:
    for name in names or TRUTH:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return folder


def load(**options: object) -> config.Config:
    given = {"num_classes": 3, "image_size": 8, **options}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    return config.load(["--config_path", RECIPE, "--dataset", "multilabel", *words])


def opened(folder: Path, train: bool = True, known: tuple[str, ...] = (), **options: object):
    return open_split(classify.options(load(**options), 1), folder, train, known)


def found_in(samples) -> dict[str, set[str]]:
    rows = (set(np.array(samples.classes)[row > 0].tolist()) for row in samples.labels)
    return dict(zip(("/".join(file.split("/")[-2:]) for file in samples.files), rows))


@pytest.mark.parametrize(
    ("name", "text", "classes"),
    [
        ("labels.csv", COLUMNS, ["cat", "dog", "bird"]),
        ("labels.csv", COLUMNS.replace(",", ";"), ["cat", "dog", "bird"]),
        ("labels.csv", "\ufeff" + COLUMNS.replace("\n", "\r\n"), ["cat", "dog", "bird"]),
        ("labels.csv", WORDS, ["bird", "cat", "dog"]),
        ("labels.csv", WORDS.replace(";", "|"), ["bird", "cat", "dog"]),
        ("labels.csv", WORDS.replace("; ", " ").replace(";", " "), ["bird", "cat", "dog"]),
        (
            "labels.csv",
            'image,labels\na.jpg,"cat, dog"\n./sub/b.png,\nc.jpg,"dog,bird"\n',
            ["bird", "cat", "dog"],
        ),
        ("labels.csv", WORDS.replace(".jpg", "").replace(".png", ""), ["bird", "cat", "dog"]),
        ("labels.json", JSON, ["bird", "cat", "dog"]),
        ("labels.json", JSON.replace('"cat"', '" cat"'), ["bird", "cat", "dog"]),
    ],
)
def test_a_file_of_each_form_says_the_same(tmp_path, name, text, classes):
    folder = made(tmp_path / "photos")
    (folder / name).write_bytes(text.encode())
    samples = opened(folder)
    assert samples.classes == classes
    assert (samples.labels.shape, samples.labels.dtype) == ((3, 3), np.uint8)
    assert {each.removeprefix("photos/"): names for each, names in found_in(samples).items()} == TRUTH
    assert samples.note == ""


def test_the_order_of_lines_does_not_matter(tmp_path):
    folder = made(tmp_path)
    (folder / "labels.csv").write_text(COLUMNS)
    (folder / "other.csv").write_text("\n".join([COLUMNS.split("\n")[0], *COLUMNS.split("\n")[:0:-1]]))
    one, other = opened(folder), opened(folder, labels="other.csv")
    assert list(one.files) == list(other.files)
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,cat,dog\na.jpg,1,2\n", "labels.csv:2: '2' in the column dog is neither 0 nor 1"),
        ("image,cat,dog\na.jpg,1,\n", "'' in the column dog is neither 0 nor 1"),
        ("image,cat,dog\na.jpg,1\n", "labels.csv:2: 2 columns, but the header has 3"),
        ("image,cat,cat\na.jpg,1,0\n", "the column 'cat' twice"),
        ("image,cat,\na.jpg,1,0\n", "a column has no name"),
        ("a.jpg,cat dog\n", "the first line names an image, a.jpg; put a header above it"),
        ("image,labels\na.jpg,cat\na.jpg,dog\n", "labels.csv:3: a.jpg is there twice"),
        ("image,labels\na.jpg,cat\na,dog\n", "a.jpg is there twice"),
        ("image,labels\nz.jpg,cat\n", "names images that are not in .*: z.jpg"),
        ("image,labels\n../a.jpg,cat\n", "names images that are not in"),
        ("image,labels\n", "has no images"),
        ("image,cat,dog\na.jpg,0,0\n", "no image to train on has a label, so that there is nothing to learn"),
        ("image,labels\na.jpg,c\0t\n", "'c.x00t' has a control character in it"),
        ("image,cat,d\tg\na.jpg,1,0\n", "'d.tg' has a control character in it"),
        ("image,labels\na.jpg,\n", "has no labels"),
        ("", "has no images"),
    ],
)
def test_a_faulty_file_is_one_line(tmp_path, text, message):
    made(tmp_path)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        opened(tmp_path, allow_unused_classes="true")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "holds a list"),
        ('{"a.jpg": "cat"}', "a.jpg has 'cat', which is no list of labels"),
        ('{"a.jpg": [1]}', "no list of labels"),
        ("{", "labels.json: .*expected"),
        ('{"a.jpg": ["cat"], "a.jpg": ["dog"]}', "labels.json: a.jpg is there twice"),
        ('{"a.jpg": [" "]}', "no list of labels"),
    ],
)
def test_faulty_json_is_one_line(tmp_path, text, message):
    made(tmp_path)
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_other_text_is_one_line(tmp_path):
    made(tmp_path)
    (tmp_path / "labels.csv").write_bytes("image,labels\na.jpg,狗\n".encode("gbk"))
    with pytest.raises(DataError, match="not UTF-8 text"):
        opened(tmp_path)


def test_files_are_found_by_name(tmp_path, monkeypatch):
    made(tmp_path / "photos")
    (tmp_path / "mine.csv").write_text(COLUMNS)
    with pytest.raises(DataError, match="has neither labels.csv nor labels.json; name the file"):
        opened(tmp_path / "photos")
    with pytest.raises(DataError, match="--labels no.csv: there is no such file"):
        opened(tmp_path / "photos", labels="no.csv")
    with pytest.raises(DataError, match="no such folder"):
        opened(tmp_path / "nowhere")
    assert len(opened(tmp_path / "photos", labels=tmp_path / "mine.csv")) == 3
    assert len(opened(tmp_path / "photos", labels="../mine.csv")) == 3
    monkeypatch.chdir(tmp_path)
    assert len(opened(tmp_path / "photos", labels="mine.csv")) == 3


def test_what_is_odd_is_noted(tmp_path):
    made(tmp_path, *TRUTH, "d.jpg")
    (tmp_path / "labels.csv").write_text("image,cat,dog,eel\na.jpg,1,0,0\nc.jpg,0,1,0\nsub/b.png,0,1,0\n")
    note = opened(tmp_path).note
    assert "1 images have no line and are left out" in note
    assert "no image to train on has the label eel" in note
    assert "every image has exactly one label" in note
    (tmp_path / "labels.csv").write_text("image,labels\na.jpg,Cat;eel\nc.jpg,cat;dog\n")
    note = opened(tmp_path, num_classes=4).note
    assert "labels that differ only in case are labels of their own: Cat, cat" in note


def test_classes_are_counted(tmp_path):
    made(tmp_path)
    (tmp_path / "labels.csv").write_text(COLUMNS)
    with pytest.raises(
        DataError, match="labels.csv has 3 classes, but num_classes is 2; pass --num_classes 3"
    ):
        opened(tmp_path, num_classes=2)
    wide = opened(tmp_path, num_classes=5, allow_unused_classes="true")
    assert wide.labels.shape == (3, 5)
    assert not wide.labels[:, 3:].any()


def test_to_evaluate_labels_are_those_of_the_training(tmp_path):
    """By name, wherever their columns are; also of the folder `train` beside it."""
    for name in ("train", "val"):
        made(tmp_path / name)
    (tmp_path / "train/labels.csv").write_text(COLUMNS)
    (tmp_path / "val/labels.csv").write_text("image,labels\na.jpg,bird\nc.jpg,cat dog\nsub/b.png,\n")
    for known in ((), ("cat", "dog", "bird")):
        samples = opened(tmp_path, False, known)
        assert samples.classes == ["cat", "dog", "bird"]
        assert samples.labels.tolist() == [[0, 0, 1], [1, 1, 0], [0, 0, 0]]
    with pytest.raises(DataError, match="classes that the training does not know: cat, dog"):
        opened(tmp_path, False, ("bird",))
    (tmp_path / "val/labels.csv").write_text("image,cat,dog\na.jpg,0,0\n")
    with pytest.raises(DataError, match="no image to evaluate on has a label"):
        opened(tmp_path, False)


def test_a_share_is_held_out(tmp_path):
    names = [f"{number}.jpg" for number in range(20)]
    made(tmp_path, *names)
    lines = [f"{name},{number % 2},{number % 3 % 2}" for number, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,odd,third", *lines]))
    sides = [opened(tmp_path, side, num_classes=2, validation_split=0.25) for side in (True, False)]
    assert [len(side) for side in sides] == [15, 5]
    assert {*sides[0].files} | {*sides[1].files} == {f"{tmp_path}/{name}" for name in names}


def test_average_precision_is_scikit_learns():
    """With ties, few positives, and none wrong."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 40, 300):
        for levels in (2, 5, 1000):
            truth = rng.integers(0, 2, count)
            truth[rng.integers(count)] = 1
            scores = rng.integers(0, levels, count).astype(np.float32) / 7
            assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))
    assert average_precision(np.zeros(4), np.arange(4.0)) is None
    assert average_precision(np.array([1, 0, 0]), np.array([np.nan, 1.0, 0.0])) == pytest.approx(1 / 3)


def test_figures_are_scikit_learns():
    rng = np.random.default_rng(1)
    truth, logits = rng.integers(0, 2, (50, 6)), rng.normal(0, 3, (50, 6)).astype(np.float32)
    truth[:, 4] = 0
    found = Ranking.of(truth.astype(np.uint8), logits, 0.3)
    kept = [0, 1, 2, 3, 5]
    assert found.map == pytest.approx(average_precision_score(truth[:, kept], logits[:, kept]))
    assert found.precisions[4] is None
    assert found.positives == truth.sum(0).tolist()
    given = 1 / (1 + np.exp(-logits.astype(np.float64))) >= 0.3
    assert found.f1 == pytest.approx(f1_score(truth, given, average="micro"))


def test_sigmoid_has_no_bounds():
    found = sigmoid(np.array([-1000, -1, 0, 1, 1000], np.float32))
    np.testing.assert_allclose(found, [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])


def test_labels_from_a_threshold_on():
    names = ["a", "b", "c"]
    found = predict.labels(np.array([0.0, 2.0, -3.0], np.float32), 0.5, names)
    assert [(each.number, each.name) for each in found] == [(1, "b"), (0, "a")]
    assert found[1].share == 0.5
    assert predict.labels(np.array([-1.0, -2.0, -3.0], np.float32), 0.5, names) == []
    assert len(predict.labels(np.array([-9.0, -9.0, 9.0], np.float32), 0.0, names)) == 3


def test_an_image_without_labels_is_said_to_have_none(tmp_path, capsys):
    """In each place: it must not look as if it had not been there."""
    nothing = Prediction("a.jpg", Path("a.jpg"), [])
    with RunLog(None, 0, False) as log:
        for is_table in (True, False):
            with Printed(log, 8, is_table) as printed:
                printed.add(nothing)
    assert [line.split() for line in capsys.readouterr().out.splitlines() if "a.jpg" in line] == [
        ["a.jpg", "no", "label"],
        ["a.jpg:", "no", "label"],
    ]
    with CsvFile(tmp_path / "a.csv") as table:
        table.add(nothing)
    with open(tmp_path / "a.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["a.jpg"]
    with JsonFile(tmp_path / "a.json", {"net": "x"}) as written:
        written.add(nothing)
    assert json.loads((tmp_path / "a.json").read_text())["images"] == [{"file": "a.jpg", "classes": []}]


@pytest.mark.parametrize(
    ("name", "value", "prog"),
    [
        ("label_smooth", True, "train.py"),
        ("data_format", "mindrecord", "train.py"),
        ("crops", 144, "eval.py"),
        ("blacklist", "x", "eval.py"),
        ("top_k", 3, "predict.py"),
    ],
)
def test_what_is_for_images_of_one_class_is_refused(name, value, prog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["--config_path", PLAIN, "--dataset", "multilabel"]
    rules.check(config.load(line, prog=prog))
    with pytest.raises(
        ConfigError, match=f"--{name} {value} is not for --dataset multilabel: .*; leave"
    ) as caught:
        rules.check(config.load([*line, f"--{name}", str(value)], prog=prog))
    assert "\n" not in str(caught.value)


def test_what_a_recipe_says_for_one_class_is_said_too():
    with pytest.raises(ConfigError, match="--label_smooth True is not for .*; pass --label_smooth false"):
        rules.check(load())


def planned(*words: object) -> tuple[config.Config, list[str]]:
    own = OwnFolder(1)
    cfg = config.load([str(word) for word in words], planner=own)
    return cfg, own_folder.lines(cfg, own, 1)


def photos(folder: Path, count: int = 40) -> Path:
    names = [f"{number}.jpg" for number in range(count)]
    made(folder, *names)
    lines = [f"{name},cat dog" if number % 2 else f"{name},dog" for number, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["image,labels", *lines]))
    return folder


def test_a_folder_with_labels_is_planned(tmp_path):
    cfg, lines = planned("--data_dir", photos(tmp_path))
    assert (cfg.dataset, cfg.num_classes, cfg.validation_split, cfg.loss) == ("multilabel", 2, 0.2, "auto")
    assert cfg.normalize == "imagenet"
    assert lines[0].startswith(
        f"images: 40 with any number of 2 classes (cat, dog) each, as {tmp_path}/labels.csv says,"
    )
    assert "8 of them" in lines[0]
    assert "the best by mAP" in lines[3]
    folder_check.check(cfg, tmp_path, True)


def test_the_data_set_by_name_is_planned_too(tmp_path):
    made(tmp_path / "photos", "one/a.jpg", "two/b.jpg")
    (tmp_path / "x.csv").write_text("image,labels\none/a.jpg,cat\ntwo/b.jpg,dog\n")
    for words in (
        ["--dataset", "multilabel", "--labels", tmp_path / "x.csv"],
        ["--labels", tmp_path / "x.csv"],
    ):
        assert planned("--data_dir", tmp_path / "photos", *words)[0].dataset == "multilabel"


def test_class_folders_stay_class_folders_where_labels_say_no_more(tmp_path):
    made(tmp_path, "cat/a.jpg", "dog/b.jpg")
    (tmp_path / "labels.csv").write_text("image,labels\ncat/a.jpg,cat\ndog/b.jpg,dog\n")
    cfg, lines = planned("--data_dir", tmp_path)
    assert cfg.dataset == "imagenet"
    assert "labels.csv there is not read: --labels" in lines[0]
    (tmp_path / "labels.csv").write_text("id,name\nn01,tench;Tinca tinca\n")
    assert planned("--data_dir", tmp_path)[0].dataset == "imagenet"
    (tmp_path / "labels.csv").write_text("image,labels\ncat/a.jpg,cat;cute\ndog/b.jpg,dog\n")
    assert planned("--data_dir", tmp_path)[0].dataset == "multilabel"


def test_a_line_of_the_usual_file_is_a_label(tmp_path):
    assert labels.USUAL == ("labels.csv", "labels.json")
    made(tmp_path)
    (tmp_path / "labels.json").write_text(JSON)
    assert labels.find(tmp_path).name == "labels.json"
