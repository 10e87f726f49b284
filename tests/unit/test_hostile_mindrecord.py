"""MindRecord shards and indexes that were made to take all time or memory, or to lead elsewhere: one line each."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mindlift import limits
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import read as record_read
from mindlift.errors import DataError
from tests.unit.test_mindrecord import convert


def statements(*lines: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with sqlite3.connect(path.with_name(path.name + ".db")) as connection:
            for line in lines:
                connection.execute(line)

    return run


def long_header(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write((1 << 29).to_bytes(8, "little"))


ENDLESS = "WITH RECURSIVE N(I) AS (SELECT 0 UNION ALL SELECT I + 1 FROM N)"
DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a view without end": (
        statements(
            "ALTER TABLE INDEXES RENAME TO OLD",
            f"CREATE VIEW INDEXES AS {ENDLESS} SELECT I AS ROW_ID, I AS index_0, I AS label_0, I AS file_0,"
            " I AS crc_0, 0 AS PAGE_ID_BLOB, 0 AS PAGE_OFFSET_BLOB, 9 AS PAGE_OFFSET_BLOB_END FROM N",
        ),
        "computes its rows",
    ),
    "a view for the shard's name": (
        statements("DROP TABLE SHARD_NAME", f"CREATE VIEW SHARD_NAME AS {ENDLESS} SELECT I AS NAME FROM N"),
        "computes its rows",
    ),
    "a text for a place": (statements("UPDATE INDEXES SET PAGE_ID_BLOB = 'x'"), "for the place of a row"),
    "a row beyond the end": (
        statements("UPDATE INDEXES SET PAGE_OFFSET_BLOB_END = 1 << 40"),
        "the shard has",
    ),
    "a row of negative length": (statements("UPDATE INDEXES SET PAGE_OFFSET_BLOB_END = -9"), "the shard has"),
    "a class that is no number": (statements("UPDATE INDEXES SET label_0 = NULL"), "for an image"),
    "no table": (statements("DROP TABLE INDEXES"), "computes its rows"),
    "a header of 512 MiB": (long_header, "header would have 536,870,912 bytes"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard for each split."""
    root = tmp_path_factory.mktemp("made")
    for number in range(4):
        path = root / "tree" / ("train", "val")[number % 2] / "ab"[number // 2] / f"{number}.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (20, 20), (number, 9, 9)).save(path)
    done = convert(root / "tree", root / "records", "--num_shards", 1, "--num_classes", 2)
    assert done.returncode == 0, done.stderr
    return root / "records"


@pytest.mark.parametrize("case", DAMAGES)
def test_an_index_that_can_not_be_meant(made: Path, tmp_path: Path, case: str) -> None:
    shutil.copytree(made, tmp_path / "records")
    path = next(
        path
        for path in sorted((tmp_path / "records").iterdir())
        if path.with_name(path.name + ".db").exists()
    )
    damage, why = DAMAGES[case]
    damage(path)
    with pytest.raises(DataError, match=why):
        record_read.rows_of(path)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", ".hidden", "a/b", "", 5, "x" * 300, "a\nb"]
)
def test_names_in_an_index_are_no_paths(made: Path, tmp_path: Path, name: object) -> None:
    index = json.loads((made / "index.json").read_text())
    next(iter(index["splits"].values()))["shards"][0]["file"] = name
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"index\.json is damaged"):
        record_index.read(tmp_path)


def test_an_index_that_takes_much_work_is_left(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SQLITE_STEPS_FLOOR", 10)
    monkeypatch.setattr(limits, "SQLITE_STEPS_PER_BYTE", 0)
    path = next(path.with_suffix("") for path in sorted(made.glob("*.db")))
    with pytest.raises(DataError, match="interrupted"):
        record_read.rows_of(path)
