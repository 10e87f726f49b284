"""What grows with the size of a data set: operations counted in small, where benchmarks/bench_scale.py takes seconds in large.

The expected numbers are those of the work itself: a folder has to be listed once, a batch has so many rows.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Iterator

import pytest
from PIL import Image

from mindlift.data import image_folder, slow_disk
from mindlift.data.classification import pipeline, split
from mindlift.data.order import BatchRange
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import pairs
from mindlift.data.segmentation.lists import Pair
from mindlift.data.workers import AHEAD, Unfilled
from mindlift.training.schedules import Phase, ScheduleOptions, lr_table
from tests.support.batches import FOLDER_OPTIONS
from tests.support.pairs import OPTIONS as PAIRS

LOOKS = ("stat", "lstat", "scandir", "listdir", "readlink")


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often the disk is asked by each of LOOKS."""
    found: Counter[str] = Counter()

    def counting(name: str, whole: Callable) -> Callable:
        def call(*args: object, **kwargs: object) -> object:
            found[name] += 1
            return whole(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in LOOKS:
            patch.setattr(os, name, counting(name, getattr(os, name)))
        yield found


def tree(root: Path, classes: int, images: int) -> Path:
    """Hard links to one image."""
    root.mkdir()
    one = root.parent / "one.jpg"
    Image.new("RGB", (32, 32), (9, 99, 199)).save(one)
    for number in range(classes):
        folder = root / f"class{number}"
        folder.mkdir()
        for image in range(images):
            os.link(one, folder / f"{image:04d}.jpg")
    return root


def test_a_scan_lists_each_folder_once_and_asks_for_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    for images in (2, 200):
        root = tree(tmp_path / str(images), classes=5, images=images)
        with counted(monkeypatch) as found:
            scan = image_folder.scan(root, 5, False)
        assert len(scan.files) == len(scan.labels) == 5 * images
        looks.append(found)
    assert looks[0] == looks[1], "the same of 100 times as many images"
    assert looks[1]["scandir"] == 1 + 5


def test_a_list_is_read_once_and_each_file_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "images", classes=2, images=100)
    names = [f"images/class{number % 2}/{number // 2:04d}.jpg" for number in range(200)]
    seg_lists.write(tmp_path / seg_lists.TRAIN_LIST, [Pair(name, name) for name in names])
    lines, whole = [], seg_lists.lines_of
    monkeypatch.setattr(seg_lists, "lines_of", lambda path: lines.append(path) or whole(path))
    with counted(monkeypatch) as found:
        table = pairs.checked_table(PAIRS, tmp_path, train=True)
    files = pairs.Files.from_arrays(tmp_path, table)
    assert len(lines) == 1
    assert found["stat"] <= 2 * 200 + 10
    assert [os.path.basename(name) for name in files.names] == sorted(
        os.path.basename(name) for name in names
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> split.Samples:
    root = tree(tmp_path_factory.mktemp("data") / "train", classes=3, images=4)
    return split.open_split(FOLDER_OPTIONS, root, train=True)


@pytest.mark.parametrize("steps", [100, 10**9])
def test_the_first_batch_costs_the_same_whatever_the_number_of_epochs(
    samples: split.Samples, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    found = pipeline.train_batches(samples, FOLDER_OPTIONS, BatchRange(0, steps))
    made, whole = [], found.source.batch

    def make(number: int) -> Unfilled:
        made.append(number)
        return whole(number)

    monkeypatch.setattr(found.source, "batch", make)
    assert len(found) == steps
    source = iter(found)
    assert len(next(source)[0]) == FOLDER_OPTIONS.per_batch_size
    source.close()
    assert made == list(range(AHEAD + 1))


@contextmanager
def calls_of_python() -> Iterator[list[int]]:
    found = [0]

    def count(frame: object, kind: str, value: object) -> None:
        found[0] += kind == "call"

    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "kind", ["cosine_annealing", "exponential", "linear", "cos", "exp", "staircase", "phases"]
)
def test_a_table_of_rates_calls_python_no_more_with_more_steps(kind: str) -> None:
    phases = (Phase(6, 0.1, 1, 0.9, 2), Phase(4, 0.01, 0, 0.9, 2)) if kind == "phases" else ()
    options = ScheduleOptions(
        kind, 0.1, max_epoch=10, warmup_epochs=1, milestones=(5,), phases=phases, steps_per_drop=10_000
    )
    counts = []
    for per_epoch in (10, 5_000):
        with calls_of_python() as found:
            rates = lr_table(per_epoch, options)
        assert len(rates) == 10 * per_epoch
        counts.append(found[0])
    assert counts[1] <= counts[0] + 20


def test_many_folders_of_a_slow_disk_are_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path / "train", classes=30, images=2)
    expected, whole = image_folder.scan(root, 30, False), os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: time.sleep(0.03) or whole(path))
    began = time.monotonic()
    found = image_folder.scan(root, 30, False)
    assert time.monotonic() - began < 31 * 0.03
    assert found.files == expected.files
    assert found.labels.tolist() == expected.labels.tolist()


def test_a_slow_disk_is_asked_for_many_files_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(tmp_path / str(number)) for number in range(600)]
    for number, name in enumerate(names[:-1]):
        Path(name).write_bytes(bytes(number))
    now, most, lock, whole = 0, 0, threading.Lock(), os.stat

    def slow(path: object, **more: object) -> os.stat_result:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        try:
            time.sleep(0.001)
            return whole(path, **more)
        finally:
            with lock:
                now -= 1

    expected = [*range(599), slow_disk.NO_FILE]
    assert list(slow_disk.file_sizes(names)) == expected
    monkeypatch.setattr(os, "stat", slow)
    assert list(slow_disk.file_sizes(names)) == expected
    assert most > 8
    assert list(slow_disk.file_sizes([str(tmp_path), "a\0b"])) == [slow_disk.NO_FILE] * 2


def test_of_many_files_in_few_folders_the_folders_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path / "images", classes=3, images=slow_disk.WORTH_LISTING)
    paths = [str(each) for each in sorted(root.glob("*/*.jpg"))]
    with counted(monkeypatch) as found:
        assert list(chain.from_iterable(slow_disk.are_files(paths))) == [True] * len(paths)
    assert (found["scandir"], found["stat"]) == (3, 0)
    odd = [str(root / "class1"), str(root / "class1" / "none.jpg"), str(root / "none" / "0.jpg"), "a\0b", ""]
    (root / "class1" / "folder").mkdir()
    (root / "class1" / "broken").symlink_to("nowhere")
    (root / "class1" / "link").symlink_to("0000.jpg")
    odd += [str(root / "class1" / name) for name in ("folder", "broken", "link")]
    assert list(chain.from_iterable(slow_disk.are_files([*paths, *odd]))) == [True] * len(paths) + [
        False
    ] * 7 + [True]
    assert list(chain.from_iterable(slow_disk.are_files([*odd, *paths]))) == [False] * 7 + [True] * (
        len(paths) + 1
    )


@pytest.mark.parametrize("limit", ["MOST_LISTED", "FOLDERS_KEPT"])
def test_a_folder_of_too_many_files_and_more_folders_than_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    root = tree(tmp_path / "images", classes=3, images=20)
    monkeypatch.setattr(slow_disk, "WORTH_LISTING", 5)
    monkeypatch.setattr(slow_disk, "AT_ONCE", 30)
    monkeypatch.setattr(slow_disk, limit, 1)
    paths = [str(root / f"class{number % 3}" / f"{number // 3:04d}.jpg") for number in range(66)]
    assert list(chain.from_iterable(slow_disk.are_files(paths))) == [True] * 60 + [False] * 6


def test_a_disk_that_takes_long_to_list_a_folder_is_asked_for_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path / "images", classes=3, images=slow_disk.WORTH_LISTING)
    paths = [str(each) for each in sorted(root.glob("*/*.jpg"))]
    monkeypatch.setattr(slow_disk, "LISTED_AT_ONCE", 50)
    clock = iter(range(10**6))
    monkeypatch.setattr(slow_disk.time, "perf_counter", lambda: next(clock) * 1e-9)
    with counted(monkeypatch) as fast:
        assert list(chain.from_iterable(slow_disk.are_files(paths))) == [True] * len(paths)
    monkeypatch.setattr(slow_disk.time, "perf_counter", lambda: float(next(clock)))
    with counted(monkeypatch) as slow:
        assert list(chain.from_iterable(slow_disk.are_files(paths))) == [True] * len(paths)
    assert (fast["scandir"], fast["stat"]) == (3, 0)
    assert slow["scandir"] == 1
    assert slow["stat"] == len(paths) - 50
