"""Lists of pairs, the folders of VOC and SBD, and the programs that make lists and labels of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from mindlift.cli import data_voc
from mindlift.data import folder_check
from mindlift.data.segmentation import labels as voc_labels
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import voc, voc_lists
from mindlift.errors import DataError
from mindlift.model_utils.config import config
from tests.support.pairs import grey_png

ROOT = Path(__file__).resolve().parents[2]
CHECKS = voc_labels.Checks(21, 255)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("a.jpg b.png\n", [("a.jpg", "b.png")]),
        ("\ufeffa.jpg   b.png\r\n\r\n  c.jpg\td.png  ", [("a.jpg", "b.png"), ("c.jpg", "d.png")]),
        ("my images/a 1.jpg\tmy labels/a 1.png\n", [("my images/a 1.jpg", "my labels/a 1.png")]),
        ("a.jpg b.png\t\n", [("a.jpg", "b.png")]),
    ],
)
def test_lines_of_lists(tmp_path, text, pairs):
    (tmp_path / "list").write_bytes(text.encode())
    assert seg_lists.read(tmp_path / "list") == pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.jpg b.png\n\na.jpg\n", r"list line 3: expected 'image label', found 1 names: 'a\.jpg'"),
        (b"a b.jpg c.png", r"list line 1: .* found 3 names.*put a tab"),
        (b" \n\r\n", r"list is empty; expected lines"),
        (b"\xff\xfe", r"can't read the list .*list: .*utf-8"),
    ],
)
def test_lines_that_are_no_pairs_are_named(tmp_path, content, message):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        seg_lists.read(tmp_path / "list")
    assert "\n" not in str(caught.value)


def png(path: Path, value: int, coloured: bool = True) -> None:
    path.write_bytes(voc.as_png(np.full((3, 4), value, np.uint8), coloured))


@pytest.fixture
def voc_root(tmp_path):
    """VOC with train a, b, c and val d, e; the last lines have no end, as in a list that someone edited."""
    folder = tmp_path / "VOCdevkit/VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for value, name in enumerate("abcde"):
        Image.new("RGB", (4, 3)).save(folder / f"JPEGImages/{name}.jpg")
        png(folder / f"SegmentationClass/{name}.png", value)
    (folder / "ImageSets/Segmentation/train.txt").write_bytes(b"a\r\nb\nc")
    (folder / "ImageSets/Segmentation/val.txt").write_text("d\ne")
    return tmp_path


def mat(path: Path, label: np.ndarray) -> None:
    """A file as SBD has them: a struct GTcls with Boundaries, Segmentation and CategoriesPresent."""
    kinds = [("Boundaries", object), ("Segmentation", object), ("CategoriesPresent", object)]
    scipy.io.savemat(path, {"GTcls": np.array([[(np.zeros((20, 1)), label, np.unique(label))]], kinds)})


@pytest.fixture
def both(voc_root):
    """SBD with train d, f, a and val e, g, c: only f and g are new."""
    folder = voc_root / "benchmark_RELEASE/dataset"
    for name in ("img", "cls"):
        (folder / name).mkdir(parents=True)
    for value, name in enumerate("dfaegc", 10):
        Image.new("RGB", (4, 3)).save(folder / f"img/{name}.jpg")
        mat(folder / f"cls/{name}.mat", np.full((3, 4), value, np.uint8))
    (folder / "train.txt").write_text("d\nf\na\n")
    (folder / "val.txt").write_text("e\ng\nc\n")
    return voc_root


def make_lists(root: Path, *more: str) -> int:
    return data_voc.get_dataset_lst(["--data_root", str(root), "--progress", "false", *more])


def stems(path: Path) -> list[str]:
    pairs = seg_lists.read(path)
    assert all(Path(pair.image).stem == Path(pair.label).stem for pair in pairs)
    return [Path(pair.image).stem for pair in pairs]


def test_lists_of_both_sets(both, capsys):
    assert make_lists(both) == 0
    assert stems(both / "voc_train_lst.txt") == ["a", "b", "c"]
    assert stems(both / "voc_val_lst.txt") == ["d", "e"]
    assert stems(both / "vocaug_train_lst.txt") == [
        "f",
        "g",
        "a",
        "b",
        "c",
    ], "no image of val, whatever ends its line"
    lines = capsys.readouterr().out
    assert "vocaug_train_lst.txt: 5 images, the published sets have 10,582" in lines
    for name in voc_lists.PUBLISHED:
        for path in [path for pair in seg_lists.read(both / name) for path in pair]:
            assert (both / path).is_file()
    labels = [
        np.asarray(Image.open(both / pair.label)) for pair in seg_lists.read(both / "vocaug_train_lst.txt")
    ]
    assert [(int(label[0, 0]), label.shape) for label in labels] == [(v, (3, 4)) for v in (11, 14, 0, 1, 2)]


def test_lists_without_sbd(voc_root, capsys):
    assert make_lists(voc_root) == 0
    assert sorted(path.name for path in voc_root.glob("*.txt")) == ["voc_train_lst.txt", "voc_val_lst.txt"]
    assert "no vocaug_train_lst.txt" in capsys.readouterr().out


def test_the_published_counts_are_recognised(voc_root, capsys, monkeypatch):
    monkeypatch.setattr(voc_lists, "PUBLISHED", {seg_lists.TRAIN_LIST: 3, seg_lists.VAL_LIST: 2})
    make_lists(voc_root)
    assert capsys.readouterr().out.count("as published") == 2


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda root: (root / "VOCdevkit/VOC2012/JPEGImages/d.jpg").unlink(),
            "1 of the 4 files of voc_val_lst.txt are",
        ),
        (
            lambda root: (root / "benchmark_RELEASE/dataset/cls/g.mat").unlink(),
            "1 of the 10 files of vocaug_train",
        ),
        (lambda root: (root / "benchmark_RELEASE/dataset/val.txt").unlink(), "can't read the list .*val.txt"),
        (
            lambda root: (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("c\nd"),
            "c is in train.txt and",
        ),
        (lambda root: (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text(""), "is empty"),
        (lambda root: (root / "VOCdevkit").rename(root / "x"), "no ImageSets/Segmentation in"),
    ],
)
def test_incomplete_sets_are_one_line_and_no_list(both, capsys, harm, message):
    harm(both)
    assert make_lists(both) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert not list(both.glob("*.txt"))


def make_labels(root: Path, *more: str) -> int:
    return data_voc.voc_labels(["--data_root", str(root), "--progress", "false", *more])


def test_labels_that_are_whole_are_kept(both, capsys):
    assert make_labels(both) == 0
    grey = both / "VOCdevkit/VOC2012/SegmentationClassGray"
    assert [np.asarray(Image.open(grey / f"{name}.png"))[0, 0] for name in "abcde"] == [0, 1, 2, 3, 4]
    assert {Image.open(path).mode for path in grey.iterdir()} == {"L"}
    png(grey / "a.png", 9, coloured=False)  # a whole one is not looked into
    (grey / "b.png").write_bytes((grey / "b.png").read_bytes()[:-5])
    capsys.readouterr()
    assert make_labels(both) == 0
    assert [np.asarray(Image.open(grey / f"{name}.png"))[0, 0] for name in "abcde"] == [9, 1, 2, 3, 4]
    assert "SegmentationClassGray: 1 labels written, 4 were there" in capsys.readouterr().out


def test_palette_grey_and_colour_labels_are_the_same_numbers(tmp_path):
    label = np.arange(21, dtype=np.uint8).reshape(3, 7)
    label[0, 0] = 255
    Image.fromarray(voc.palette()[label]).save(tmp_path / "rgb.png")
    (tmp_path / "palette.png").write_bytes(voc.as_png(label, True))
    (tmp_path / "grey.png").write_bytes(voc.as_png(label, False))
    mat(tmp_path / "sbd.mat", label)
    for source in ("rgb.png", "palette.png", "grey.png", "sbd.mat"):
        voc_labels.convert(tmp_path / source, tmp_path / "out.png", CHECKS)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), label)


def test_the_luminance_of_a_palette_is_not_its_number():
    """What the original made of palette labels: the reason why they are read by their indices."""
    import cv2

    data = voc.as_png(np.full((2, 2), 15, np.uint8), coloured=True)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)[0, 0] != 15
    assert voc.decode_label(data, "x")[0, 0] == 15


def test_the_palette_is_vocs():
    """The colours that the VOC devkit documents."""
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    assert {number: tuple(voc.palette()[number].tolist()) for number in known} == known
    assert len({tuple(colour) for colour in voc.palette().tolist()}) == 256


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.png",
            voc.as_png(np.full((2, 2), 21, np.uint8), True),
            r"a\.png: value 21 is neither a class \(0 - 20\)",
        ),
        ("a.png", grey_png(np.full((2, 3), 1, np.uint8), 4), r"a\.png is a grey PNG of 4 bits"),
        ("a.png", b"\x89PNG\r\n", r"corrupt label .*a\.png"),
        ("a.png", None, r"a\.png: the colour \(1, 2, 3\) is none of VOC's palette"),
        ("a.mat", b"MATLAB 5.0", r"a\.mat is no label of SBD"),
        ("a.mat", b"", r"a\.mat is no label of SBD"),
    ],
)
def test_wrong_labels_are_named_and_not_written(tmp_path, name, content, message):
    if content is None:
        pixels = voc.palette()[np.zeros((2, 2), np.uint8)]
        pixels[1, 1] = 1, 2, 3
        Image.fromarray(pixels).save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        voc_labels.convert(tmp_path / name, tmp_path / "out.png", CHECKS)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_splits_by_default(both):
    """Without lists VOC's own ones; with them the augmented one to train; a list that is named goes before all."""
    assert [pair.label for pair in seg_lists.pairs(both, True)] == [
        f"VOCdevkit/VOC2012/SegmentationClass/{n}.png" for n in "abc"
    ]
    assert [pair.image for pair in seg_lists.pairs(both / "VOCdevkit/VOC2012", False)] == [
        "JPEGImages/d.jpg",
        "JPEGImages/e.jpg",
    ]
    make_lists(both)
    assert len(seg_lists.pairs(both, True)) == 5
    assert len(seg_lists.pairs(both, False)) == 2
    for name in ("voc_train_lst.txt", str(both / "voc_train_lst.txt")):
        assert len(seg_lists.pairs(both, True, name)) == 3


def check(root: Path, train: bool = True, data_lst: str = "", data_file: str = "") -> None:
    given = ["--net", "deeplab_v3_s16", "--dataset", "voc", "--data_lst", data_lst, "--data_file", data_file]
    folder_check.check(config.load(given), root, train)


def test_what_is_missing_is_found_without_images(both, tmp_path):
    check(both)
    cases = [
        (lambda: check(both / "nothing"), "no such folder"),
        (lambda: check(both / "VOCdevkit/VOC2012/JPEGImages"), "has neither voc_train_lst.txt nor ImageSets"),
        (lambda: check(both, data_lst="none.txt"), r"no list none\.txt, also not in"),
        (
            lambda: check(both, data_file=str(both / "x.mindrecord0")),
            "no such file: .*x.mindrecord0; --data_file",
        ),
    ]
    for call, message in cases:
        with pytest.raises(DataError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    (both / "VOCdevkit/VOC2012/JPEGImages/a.jpg").unlink()
    with pytest.raises(
        DataError, match=r"JPEGImages/a\.jpg is missing, which the list of the training images names"
    ):
        check(both)
    (both / "VOCdevkit/VOC2012/SegmentationClass/d.png").unlink()
    with pytest.raises(DataError, match=r"no label d\.png in SegmentationClassGray or SegmentationClass"):
        check(both, train=False)


@pytest.mark.parametrize("program", ["get_dataset_lst", "voc_labels", "build_seg_data"])
def test_programs_start_without_numpy(program):
    """tests/e2e/test_documented_commands.py starts them by their other names."""
    code = (
        "import sys; from mindlift.cli.main import main\n"
        f"try: main(['data', {program!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'mindspore'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--data_root" in done.stdout
