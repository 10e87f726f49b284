"""Indexes of folders in buckets: what is written is read, and what was not written so is one line."""

from __future__ import annotations

import gzip
import json

import pytest

from mindlift.errors import ConfigError, DataError, StageError
from mindlift.model_utils import cloud_adapter
from mindlift.model_utils.config import config
from mindlift.model_utils.inputs import Inputs, Source
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging.stager import Stager
from mindlift.model_utils.streaming import data_index, start
from mindlift.storage.moxing import file
from mindlift.storage.store import Entry

URL = "obs://bucket/photos"
ENTRIES = [
    Entry("a/1.jpg", 5, "e1", 7),
    Entry("a/\udc80.jpg", 0, "", 0),
    Entry("b/", 0, "e3", 1),
    Entry("数.png", 2**40, "x-2", 9),
]


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new/photos.index.gz"
    assert data_index.write(path, URL, ENTRIES) == (3, 5 + 2**40)
    assert list(data_index.read(path, f"{URL}/")) == ENTRIES
    with pytest.raises(
        DataError, match="is the index of bucket/photos/|is the index of obs://bucket/photos/"
    ):
        list(data_index.read(path, "obs://bucket/other"))
    again = tmp_path / "again.gz"
    data_index.write(again, URL, ENTRIES)
    assert path.read_bytes() == again.read_bytes(), "the same data has the same index"


HEAD = {"mindlift_index": 1, "url": f"{URL}/"}
BAD = {
    "empty": b"",
    "no gzip": b"a/1.jpg 5",
    "an empty gzip": gzip.compress(b""),
    "no head": gzip.compress(b'["a", 1, "", 0]\n'),
    "another version": gzip.compress(json.dumps({**HEAD, "mindlift_index": 2}).encode() + b"\n"),
    **{
        what: gzip.compress(json.dumps(HEAD).encode() + b"\n" + json.dumps(row).encode() + b"\n")
        for what, row in {
            "a number as name": [1, 1, "", 0],
            "a negative size": ["a", -1, "", 0],
            "a text as size": ["a", "1", "", 0],
            "three values": ["a", 1, ""],
            "an object": {"a": 1},
            "a size that is true": ["a", True, "", 0],
        }.items()
    },
    "no JSON": gzip.compress(json.dumps(HEAD).encode() + b"\n{]\n"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_index_is_one_line(tmp_path, what):
    path = tmp_path / "x.gz"
    path.write_bytes(BAD[what])
    with pytest.raises(DataError, match="the index .*x.gz is damaged"):
        list(data_index.read(path, URL))


@pytest.mark.parametrize("cut", [1, 9, 40, -9, -1])
def test_an_index_that_was_cut_short_is_one_line(tmp_path, cut):
    path = tmp_path / "x.gz"
    data_index.write(
        path, URL, [Entry(f"{number}.jpg", number, f"{number:032x}", 0) for number in range(1000)]
    )
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="damaged"):
        list(data_index.read(path, URL))


def test_an_index_that_is_not_there_is_written(tmp_path, url):
    for name in ("set/b.png", "set/a/c.jpg"):
        file.write(f"{url}/{name}", name)
    said: list[str] = []
    stager = Stager(tmp_path, said.append, False)
    for place in (f"{url}/set.gz", str(tmp_path / "set.gz")):
        found = [
            list(data_index.read(start.local_index(stager, place, f"{url}/set"), f"{url}/set"))
            for _ in range(2)
        ]
        assert [[entry.key for entry in each] for each in found] == [["a/c.jpg", "b.png"]] * 2
        assert (
            sum(line.startswith(f"--data_index {place}: written, 2 files of {url}/set") for line in said) == 1
        )
    with pytest.raises(StageError, match="the folder is empty; no index has been written"):
        start.local_index(stager, str(tmp_path / "none.gz"), f"{url}/none")
    assert not (tmp_path / "none.gz").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--net", "resnet50", "--dataset", "imagenet"], "an index is for data that is streamed"),
        (["--dataset", "cifar10", "--stage", "stream"], "an index is for data that is streamed"),
    ],
)
def test_an_index_that_nobody_reads_is_refused(words, said, tmp_path):
    cfg = config.load(["--data_index", "x.gz", "--cache_path", str(tmp_path), *words])
    with pytest.raises(ConfigError, match=f"--data_index x.gz: {said}"):
        cloud_adapter.make(cfg, Inputs((Source(URL),), "", ""), Ranks(), "token", None)
