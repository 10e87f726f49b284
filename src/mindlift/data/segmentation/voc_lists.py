"""The lists of VOC 2012 and SBD: python src/data/get_dataset_lst.py --data_root DIR

voc_train_lst.txt, voc_val_lst.txt and, with SBD, vocaug_train_lst.txt, with lines `image label` and paths below DIR.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.lists import AUG_LIST, TRAIN_LIST, VAL_LIST, Pair
from mindlift.errors import DataError

if TYPE_CHECKING:
    from mindlift.runs.log import RunLog

PUBLISHED = {TRAIN_LIST: 1464, VAL_LIST: 1449, AUG_LIST: 10582}  # pairs of the real sets


def augmented(train: list[str], val: list[str], sbd: list[str]) -> list[str]:
    """The names of SBD that are neither in VOC's training nor in its validation set: vocaug is these and `train`."""
    voc = {*train, *val}
    return [name for name in dict.fromkeys(sbd) if name not in voc]


def lists(root: Path) -> dict[str, list[Pair]]:
    """The pairs of each list that can be made from what is below `root`. Raises DataError."""
    folder = seg_lists.voc_folder(root)
    if folder is None:
        raise DataError(f"no ImageSets/Segmentation in {root}, {root / 'VOC2012'} or {root / seg_lists.VOC}")
    sets = folder / "ImageSets/Segmentation"
    train, val = (seg_lists.names(sets / f"{split}.txt") for split in ("train", "val"))
    leaked = sorted({*train} & {*val})
    if leaked:
        raise DataError(
            f"{leaked[0]} is in train.txt and in val.txt of {sets}; an image must be in one of them only"
        )
    if not (train and val):
        raise DataError(f"train.txt or val.txt of {sets} is empty")
    labels = seg_lists.label_folder(folder, train)
    found = {
        name: seg_lists.pairs_of(root, folder, labels, each)
        for name, each in ((TRAIN_LIST, train), (VAL_LIST, val))
    }
    sbd = seg_lists.sbd_folder(root)
    if sbd is not None:
        names = augmented(
            train, val, [n for s in ("train", "val") for n in seg_lists.names(sbd / f"{s}.txt")]
        )
        below = sbd.relative_to(root).as_posix()
        more = [Pair(f"{below}/img/{name}.jpg", f"{below}/cls_png_gray/{name}.png") for name in names]
        found[AUG_LIST] = more + found[TRAIN_LIST]
    for name, pairs in found.items():
        check_files(root, name, pairs)
    return found


def check_files(root: Path, name: str, pairs: list[Pair]) -> None:
    missing = [path for pair in pairs for path in pair if not (root / path).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {2 * len(pairs)} files of {name} are missing below {root}, the first is {missing[0]};"
            " labels are made by this program with --labels true"
        )


def write(root: Path, log: RunLog) -> None:
    for name, pairs in lists(root).items():
        seg_lists.write(root / name, pairs)
        expected = PUBLISHED[name]
        said = "as published" if len(pairs) == expected else f"the published sets have {expected:,}"
        log.info(f"{root / name}: {len(pairs):,} images, {said}")
    if seg_lists.sbd_folder(root) is None:
        log.info(f"no {AUG_LIST}, because SBD's cls and img are not in {root / seg_lists.SBD}")
