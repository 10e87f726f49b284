"""Lists of many folders at the same time give what one list gives: every key once, in the order of keys.

What a list has is S3's ("ListObjectsV2": keys in UTF-8 binary order, CommonPrefixes by delimiter, StartAfter), here by a
few lines over a sorted list of keys, and in test_stores.py by moto and MinIO.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from mindlift.storage.s3 import list_all as module
from mindlift.storage.s3.list_all import list_all
from mindlift.storage.store import Entry


class Bucket:
    def __init__(self, keys: list[str]):
        self.keys, self.asked, self.most = sorted(set(keys)), 0, 0

    def pages(self, prefix: str, delimiter: str, after: str = "") -> Iterator[Entry]:
        self.asked += 1
        last = ""
        for key in self.keys:
            if not key.startswith(prefix) or key <= after:
                continue
            folder, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            name = f"{prefix}{folder}/" if found else key
            if name != last:
                last = name
                yield Entry(name)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 5)
    monkeypatch.setattr(module, "LISTS", 3)


SHAPES = {
    "nothing": [],
    "fewer than a chunk": ["a", "b/c", "b/d"],
    "a chunk": [f"{number}" for number in range(5)],
    "flat": [f"{number:03}" for number in range(50)],
    "class folders": [f"{folder}/{number}" for folder in "abcdefgh" for number in range(4)],
    "large class folders": [f"{folder}/{number:02}" for folder in "abcdefgh" for number in range(23)],
    "splits of classes": [
        f"{split}/{name}/{number:02}" for split in ("train", "val") for name in "abcd" for number in range(12)
    ],
    "one folder in another": ["a/" * depth + "f" for depth in range(1, 30)],
    "files among folders": [
        f"d{number:02}{end}" for number in range(20) for end in ("", "/x", "/y", ".txt", "/")
    ],
    "markers": [f"{folder}/" for folder in "abcdefghij"] + ["a/b/", "a/b/c"],
    "names around a slash": [f"a{letter}{end}" for letter in "!-./0~é数" for end in ("", "/1", "/2", "!")],
}


@pytest.mark.parametrize("prefix", ["", "a/", "d", "train/"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_key_once_and_in_order(shape, prefix):
    bucket = Bucket(SHAPES[shape])
    expected = [key for key in bucket.keys if key.startswith(prefix)]
    assert [entry.key for entry in list_all(bucket, prefix)] == expected


@pytest.mark.parametrize("seed", range(200))
def test_trees_by_chance(seed):
    rng = random.Random(seed)
    letters = "ab/.-é"
    keys = [
        "".join(rng.choice(letters) for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(1, 120))
    ]
    bucket = Bucket([key for key in keys if not key.startswith("/") and "//" not in key])
    assert [entry.key for entry in list_all(bucket, "")] == bucket.keys


def test_a_bucket_that_is_left_half_read():
    found = list_all(Bucket(SHAPES["large class folders"]), "")
    assert [next(found).key for _ in range(30)][-1] == "b/06"
    found.close()


def test_lists_that_are_asked_for():
    """One more for each folder, and none for a small bucket."""
    small, large = Bucket(SHAPES["fewer than a chunk"]), Bucket(SHAPES["class folders"])
    list(list_all(small, ""))
    list(list_all(large, ""))
    assert (small.asked, large.asked) == (1, 2 + 7)
