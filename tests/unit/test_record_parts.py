"""Rows of MindRecord shards that are fetched one by one: those of the files that they were made from."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.mindrecord import read as record_read
from mindlift.data.mindrecord.parts import RowFinder
from mindlift.errors import DataError
from mindlift.model_utils.streaming import archived, pieces
from mindlift.storage.places import locate

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """Images of two classes, and their shards."""
    root, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(3)
    for number in range(12):
        path = root / f"images/{'ab'[number % 2]}/{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8 + number, 9, 3), np.uint8)).save(path)
    words = ["--data_dir", root / "images", "--out", root / "records", "--num_shards", 2, "--workers", 1]
    command = [sys.executable, "-m", "mindlift", "data", "to_mindrecord", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root / "images", root / "records"


def fetched(records: Path, to: Path) -> dict[str, archived.Found]:
    """As a stream would bring them to `to`; returns the parts."""
    listed, places = pieces.look_through(str(records), to / "control", RowFinder(), print)
    assert [each.key for each in listed] == sorted(each.key for each in listed)
    store, _ = locate(str(records))
    for entry in listed:
        path = to / "data" / entry.key
        path.parent.mkdir(parents=True, exist_ok=True)
        place = places.get(entry.key)
        path.write_bytes(archived.content(store, place) if place else (records / entry.key).read_bytes())
        assert path.stat().st_size == entry.size
    return places


def test_each_row_is_a_file_and_is_read_as_the_image_that_it_was(made, tmp_path):
    images, records = made
    places = fetched(records, tmp_path)
    shards = record_read.Shards(tmp_path / "data", train=True)
    originals = sorted(images.rglob("*.png"))
    assert len(shards) == len(originals) == 12
    for index, original in enumerate(originals):
        assert shards.read(index) == original.read_bytes()
        (path,) = shards.paths_of(index)
        found = places[str(Path(path).relative_to(tmp_path / "data"))]
        assert found.place.crc == zlib.crc32(original.read_bytes())
    assert len(places) == 12 + 2, "rows, and a header of each shard"


def test_rows_in_shards_have_no_files_of_their_own(made):
    assert record_read.Shards(made[1], train=True).paths_of(0) == ()


def test_a_row_is_asked_for_again_as_long_as_its_sum_is_wrong(made, tmp_path):
    _, records = made
    place = next(each for each in fetched(records, tmp_path).values() if each.place.crc >= 0)
    store, _ = locate(str(records))
    good = archived.content(store, place)
    bad = good[:-1] + bytes([good[-1] ^ 1])

    class Flips:
        def __init__(self, *answers: bytes):
            self.answers = list(answers)

        def read(self, *_: object) -> bytes:
            return self.answers.pop(0)

    assert archived.content(Flips(bad, good), place) == good
    assert (
        archived.content(Flips(bad, bad, bad), place) == bad
    ), "it is what the shard holds; its reader says so"


def test_a_row_that_is_damaged_or_cut_is_named(made, tmp_path):
    places = fetched(made[1], tmp_path)
    name = next(name for name, found in places.items() if found.place.crc >= 0)
    file = tmp_path / "data" / name
    shards = record_read.Shards(tmp_path / "data", train=True)
    index = next(index for index in range(12) if shards.paths_of(index) == (str(file),))
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DataError, match="its checksum differs"):
        shards.read(index)
    file.write_bytes(data[:-1])
    with pytest.raises(DataError, match="is cut short"):
        shards.read(index)


def test_what_is_no_shard_is_one_line(made, tmp_path):
    _, records = made
    broken = tmp_path / "records"
    broken.mkdir()
    for path in records.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "all.mindrecord0").write_bytes(b"\xff" * 100)
    with pytest.raises(DataError, match="is not a MindRecord file: its header would have"):
        pieces.look_through(str(broken), tmp_path / "control", RowFinder(), print)
    (broken / "all.mindrecord0").write_bytes(b"")
    with pytest.raises(DataError, match="is not a whole MindRecord file"):
        pieces.look_through(str(broken), tmp_path / "control", RowFinder(), print)
    (broken / "all.mindrecord0").write_bytes((records / "all.mindrecord0").read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"has a row at byte|is not a whole"):
        pieces.look_through(str(broken), tmp_path / "control", RowFinder(), print)
