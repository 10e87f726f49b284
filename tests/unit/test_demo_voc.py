"""The embedded data set to segment."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data import folder_check
from mindlift.data.embedded import digits
from mindlift.data.embedded import vocdigits as demo_voc
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import pairs as segmentation
from mindlift.data.segmentation import voc
from mindlift.errors import StorageError
from mindlift.model_utils.config import config
from tests.support.pairs import OPTIONS


@pytest.fixture(scope="module")
def vocdigits(tmp_path_factory) -> Path:
    return demo_voc.build_voc(tmp_path_factory.mktemp("data") / "vocdigits")


def test_it_has_the_folders_lists_and_palette_of_voc(vocdigits):
    assert sorted(path.name for path in vocdigits.iterdir()) == [
        "VOCdevkit",
        "voc_train_lst.txt",
        "voc_val_lst.txt",
    ]
    cfg = config.load(["--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits"])
    for train, split, count in ((True, "train", 480), (False, "val", 120)):
        folder_check.check(cfg, vocdigits, train)
        pairs = seg_lists.pairs(vocdigits, train)
        assert len(set(pairs)) == count
        names = seg_lists.names(vocdigits / seg_lists.VOC / f"ImageSets/Segmentation/{split}.txt")
        assert [Path(pair.image).stem for pair in pairs] == names
    with Image.open(vocdigits / pairs[0].label) as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:33] == voc.palette()[:11].ravel().tolist()


def test_every_class_is_there_and_digits_have_borders(vocdigits):
    for train in (True, False):
        samples = segmentation.open_split(replace(OPTIONS, dataset="vocdigits"), vocdigits, train)
        images, labels = zip(*(samples.pair(i) for i in range(len(samples))))
        with_class = [sum((label == number).any() for label in labels) for number in range(11)]
        assert with_class[0] == len(samples)
        assert min(with_class) >= 0.08 * len(samples)
        share = np.mean([(label > 0).mean() for label in labels])
        assert 0.05 < share < 0.3
        assert len({image.shape for image in images}) >= 5
        assert any(image.shape[0] > image.shape[1] for image in images)
        for label in labels[:40]:
            inside, outside = (label > 0) & (label < 255), label == 0
            touching = inside[1:] & outside[:-1] | inside[:-1] & outside[1:]
            assert not touching.any(), "a border is between a digit and the ground"


def test_digits_are_brighter_than_the_ground(vocdigits):
    samples = segmentation.open_split(OPTIONS, vocdigits, True)
    ink, ground = [], []
    for i in range(40):
        image, label = samples.pair(i)
        ink.append(image[(label > 0) & (label < 255)].mean())
        ground.append(image[label == 0].mean())
    assert np.mean(ink) > np.mean(ground) + 60


def test_training_and_validation_have_no_digit_in_common():
    train, val = digits.split_digits()
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in val.images}
    assert (len(train.images), len(val.images)) == (1440, 357)


def checksum(root: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        found.update(str(path.relative_to(root)).encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def test_several_processes_build_the_same_once(vocdigits, tmp_path):
    root = tmp_path / "new" / "vocdigits"
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        assert pool.map(demo_voc.build_voc, [root, root]) == [root, root]
    assert checksum(root) == checksum(vocdigits)
    assert [path.name for path in root.parent.iterdir()] == ["vocdigits"], "no .part folder left"
    before = root.stat().st_mtime_ns
    demo_voc.build_voc(root)
    assert root.stat().st_mtime_ns == before


def test_no_room_for_it_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't write the embedded data set to .*--data_dir"):
        demo_voc.build_voc(tmp_path / "file" / "vocdigits")
