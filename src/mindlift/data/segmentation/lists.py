"""Which images and labels a split to segment has: lists of pairs, and the folders of Pascal VOC.

A list has a line `image label` for each pair, with paths below the data folder; the lists of the model zoo's
get_dataset_lst.py are read as they are. Needs neither numpy nor mindspore.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mindlift.data.slow_disk import are_files, joined
from mindlift.errors import DataError
from mindlift.files import expanded, write_atomic
from mindlift.model_utils.streaming import arrivals

TRAIN_LIST, VAL_LIST, AUG_LIST = "voc_train_lst.txt", "voc_val_lst.txt", "vocaug_train_lst.txt"
VOC, SBD = "VOCdevkit/VOC2012", "benchmark_RELEASE/dataset"
LABEL_FOLDERS = ("SegmentationClassGray", "SegmentationClass")
MAKE = "mindlift data get_dataset_lst --data_root"
FIRST_LOOK = 10_000  # pairs


class Pair(NamedTuple):
    """Paths of an image and its label, below the data folder or absolute."""

    image: str
    label: str


def pairs(root: Path, train: bool, data_lst: str = "") -> list[Pair]:
    """See `each_pair`."""
    return list(each_pair(root, train, data_lst))


def each_pair(root: Path, train: bool, data_lst: str = "") -> Iterable[Pair]:
    """The pairs of a split: of the list `data_lst`, else of the split's own list in `root`, else of VOC's folders.

    The training split's own list is vocaug_train_lst.txt where there is one, else voc_train_lst.txt. Raises DataError, also
    while it is iterated over.
    """
    if data_lst:
        return read_each(list_file(root, data_lst))
    if not root.is_dir():
        raise DataError(f"no such folder: {root}; --data_dir must hold VOC's folders, or lists of {MAKE}")
    for name in (AUG_LIST, TRAIN_LIST) if train else (VAL_LIST,):
        if arrivals.is_file(root / name):
            return read_each(root / name)
    return voc_pairs(root, "train" if train else "val")


def list_file(root: Path, name: str) -> Path:
    """The list that `name` means, see `find`."""
    found = find(root, name)
    if found is None:
        raise DataError(
            f"no list {name}, also not in {root}; name another with --data_lst, or run {MAKE} {root}"
        )
    return found


def find(root: Path, name: str, ends: tuple[str, ...] = ("",)) -> Path | None:
    """The file that `name`, with one of `ends` behind it, means: a path as it is, or below `root`, also if its first folders have other names there.

    So /cache/data/voc/list.txt, which the documents write for jobs, is found wherever the job's data was copied to.
    """
    path = Path(expanded(name))
    parts = path.parts[1:] if path.is_absolute() else path.parts
    below = [root.joinpath(*parts[i:]) for i in range(len(parts))]
    found = (each.with_name(each.name + end) for each in (path, *below) for end in ends)
    return next((each for each in found if arrivals.is_file(each)), None)


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a list, in which names that are not UTF-8 are those of files, as Python has them."""
    try:
        arrivals.await_file(str(path))
        with open(path, "rb") as file:
            mark = file.read(len(codecs.BOM_UTF16_LE))
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"can't read the list {path}: it is in utf-16; save it as utf-8")
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as text:
            yield from text
    except OSError as err:
        raise DataError(f"can't read the list {path}: {err.strerror}") from err


def read(path: Path) -> list[Pair]:
    """The pairs of a list; DataError that names the line that is none, or says that there are none."""
    return list(read_each(path))


def read_each(path: Path) -> Iterator[Pair]:
    """The same one by one: lists may have millions."""
    is_empty = True
    for number, line in enumerate(lines_of(path), 1):
        words = line.split()
        if words:
            is_empty = False
            yield Pair(*words) if len(words) == 2 else pair_of(line, path, number)
    if is_empty:
        raise DataError(f"{path} is empty; expected lines 'image label', as {MAKE} writes them")


def pair_of(line: str, path: Path, number: int) -> Pair:
    """Split at tabs where there are some, so that names may have spaces, else at spaces."""
    words = [word.strip() for word in line.split("\t") if word.strip()] if "\t" in line else line.split()
    if len(words) == 1 and "\t" in line:
        words = line.split()
    if len(words) != 2:
        raise DataError(
            f"{path} line {number}: expected 'image label', found {len(words)} names: {line.strip()[:100]!r}; put a tab between the"
            " two if names have spaces"
        )
    return Pair(*words)


def write(path: Path, found: list[Pair]) -> None:
    """Write a list that `read` reads, whole or not at all."""
    write_atomic(path, "".join(f"{pair.image} {pair.label}\n" for pair in found))


def names(path: Path) -> list[str]:
    """The image names of a file of ImageSets, one a line, without ends of lines and without double ones."""
    return list(dict.fromkeys(line.split()[0] for line in lines_of(path) if line.strip()))


def voc_folder(root: Path) -> Path | None:
    """The folder of `root`, or itself, that has VOC's ImageSets/Segmentation."""
    for found in (root, root / "VOC2012", root / VOC):
        if (found / "ImageSets/Segmentation").is_dir():
            return found
    return None


def sbd_folder(root: Path) -> Path | None:
    """The folder of `root`, or itself, that has SBD's images and labels."""
    for found in (root / SBD, root / "dataset", root):
        if (found / "cls").is_dir() and (found / "img").is_dir():
            return found
    return None


def voc_pairs(root: Path, split: str) -> list[Pair]:
    folder = voc_folder(root)
    if folder is None:
        raise DataError(
            f"{root} has neither {VAL_LIST if split == 'val' else TRAIN_LIST} nor ImageSets/Segmentation/{split}.txt (nor has"
            f" {VOC} in it); name a list with --data_lst, or VOC's folder with --data_dir"
        )
    source = folder / f"ImageSets/Segmentation/{split}.txt"
    found = names(source)
    if not found:
        raise DataError(f"{source} is empty; expected a name of an image on each line")
    return pairs_of(root, folder, label_folder(folder, found), found)


def pairs_of(root: Path, folder: Path, labels: Path, found: list[str]) -> list[Pair]:
    below, labels_below = (path.relative_to(root) for path in (folder, labels))
    return [
        Pair((below / "JPEGImages" / f"{name}.jpg").as_posix(), (labels_below / f"{name}.png").as_posix())
        for name in found
    ]


def label_folder(folder: Path, found: list[str]) -> Path:
    """The first of LABEL_FOLDERS with the labels of the first and the last image; DataError if there is none."""
    for name in LABEL_FOLDERS:
        if all(arrivals.is_file(folder / name / f"{image}.png") for image in (found[0], found[-1])):
            return folder / name
    raise DataError(f"no label {found[0]}.png in {' or '.join(LABEL_FOLDERS)} of {folder}")


def check(root: Path, train: bool, data_lst: str = "", may_lack: bool = False) -> None:
    """Raise DataError for what is wrong with lists and folders, and if a file of the first FIRST_LOOK pairs is missing, see
    `check_there`: `open_split` looks for all, once on each node.
    """
    found = itertools.islice(each_pair(root, train, data_lst), FIRST_LOOK)
    check_there(root, list(itertools.chain.from_iterable(found)), train, may_lack)


def check_there(root: Path, files: Iterable[str], train: bool, may_lack: bool) -> None:
    """DataError if any of the files that pairs name is missing; all of them if pairs that can't be read are skipped anyway.

    `files` are iterated over twice if there is one missing.
    """
    lacking = there = 0
    for found in are_files(joined(root, files)):
        lacking, there = lacking + found.count(False), there + found.count(True)
    if not lacking or (may_lack and there):
        return
    names = dict.fromkeys(files)
    are_there = itertools.chain.from_iterable(are_files(joined(root, names)))
    missing = [
        name for name, is_there in zip(names, are_there) if not is_there and not arrivals.is_file(root / name)
    ]
    if not missing:
        return  # they have come meanwhile
    more = f", and so are {len(missing) - 1:,} of the {len(names):,} files" if len(missing) > 1 else ""
    raise DataError(
        f"{root / missing[0]} is missing, which the list of the {'training' if train else 'validation'} images names"
        f"{more}; paths in a list are below --data_dir"
    )
