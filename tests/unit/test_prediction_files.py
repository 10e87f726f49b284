from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.errors import StorageError
from mindlift.runs.log import RunLog
from mindlift.tasks import drawing
from mindlift.tasks.classification import contact_sheet
from mindlift.tasks.classification import predict as predict_classes
from mindlift.tasks.classification.contact_sheet import ContactSheet
from mindlift.tasks.prediction_files import Class, CsvFile, JsonFile, Prediction, Printed, shortened

GOOD = Prediction("f/a, b.png", Path("f/a, b.png"), [Class(2, 'the "cat"', 0.75), Class(0, "狗", 0.2)])
BAD = Prediction("f/bad.png", Path("f/bad.png"), [], "cut short")


def test_json(tmp_path):
    for predictions in ([], [GOOD], [GOOD, BAD]):
        with JsonFile(tmp_path / "x.json", {"net": "n"}) as file:
            for each in predictions:
                file.add(each)
        found = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
        assert found["net"] == "n"
        assert [image["file"] for image in found["images"]] == [each.name for each in predictions]
    assert found["images"][0]["classes"][1] == {"class": 0, "name": "狗", "probability": 0.2}
    assert found["images"][1]["error"] == "cut short"


def test_csv(tmp_path):
    with CsvFile(tmp_path / "x.csv") as file:
        file.add(GOOD)
        file.add(BAD)
    rows = list(csv.DictReader((tmp_path / "x.csv").open(encoding="utf-8", newline="")))
    assert [(row["file"], row["rank"], row["class"], row["name"]) for row in rows] == [
        ("f/a, b.png", "1", "2", 'the "cat"'),
        ("f/a, b.png", "2", "0", "狗"),
        ("f/bad.png", "", "", ""),
    ]
    assert [row["error"] for row in rows] == ["", "", "cut short"]


@pytest.mark.parametrize("kind", [CsvFile, lambda path: JsonFile(path, {})])
def test_after_an_error_the_older_file_stays(tmp_path, kind):
    (tmp_path / "x").write_text("older")

    def fail() -> None:
        with kind(tmp_path / "x") as file:
            file.add(GOOD)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "older"


def test_a_file_that_can_not_be_written_is_one_line(tmp_path):
    with (
        pytest.raises(StorageError, match="can't write .*gone/x.csv: No such file"),
        CsvFile(tmp_path / "gone/x.csv"),
    ):
        pass


@pytest.mark.parametrize("is_table", [True, False])
def test_lines_and_tables(capsys, is_table):
    with RunLog(None, 0, False) as log, Printed(log, 10, is_table) as printed:
        printed.add(GOOD)
        printed.add(BAD)
    lines = capsys.readouterr().out.splitlines()
    if is_table:
        assert lines[0].split() == ["file", "probability", "class"]
        assert lines[1] == 'f/a, b.png      75.00 %  the "cat"'
        assert lines[2] == "                20.00 %  狗"
        assert lines[0].index("class") == lines[1].index("the")
    else:
        assert lines[0] == 'f/a, b.png: the "cat" 75.00 %, 狗 20.00 %'
    assert lines[-1] == "f/bad.png: can't be read: cut short"


def test_long_names_keep_their_end():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "…cdefg"


def test_ranking_is_that_of_the_evaluation():
    names = list("abcd")
    top = predict_classes.ranked(np.array([1.0, 3.0, 3.0, 2.0], np.float32), 3, names)
    assert [each.name for each in top] == ["b", "c", "d"], "of equal ones the first"
    assert sum(each.share for each in predict_classes.ranked(np.arange(4.0), 4, names)) == pytest.approx(1)
    assert predict_classes.ranked(np.array([1e4, 0.0], np.float32), 1, names)[0].share == 1


# --- the sheet


@pytest.fixture
def red(tmp_path) -> Path:
    Image.new("RGB", (30, 20), (250, 0, 0)).save(tmp_path / "red.png")
    return tmp_path / "red.png"


def sheet_of(path: Path, predictions: list[Prediction], names: list[str]) -> np.ndarray:
    with RunLog(None, 0, False) as log, ContactSheet(path, len(predictions), names, log) as sheet:
        for each in predictions:
            sheet.add(each)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count(pixels: np.ndarray, colour: str) -> int:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(-1) < 8).sum())


def test_the_bars_are_as_long_as_the_probabilities(tmp_path, red):
    lengths = []
    for share in (0.25, 0.5, 1.0):
        pixels = sheet_of(tmp_path / "x.png", [Prediction("r", red, [Class(0, "red", share)])], ["red"])
        assert pixels.shape == (contact_sheet.HEIGHT, contact_sheet.WIDTH, 3)
        assert count(pixels, "#fa0000") > 20000, "the thumbnail"
        lengths.append(count(pixels, contact_sheet.FIRST))
    assert lengths[2] / lengths[0] == pytest.approx(4, rel=0.15)
    assert lengths[2] / lengths[1] == pytest.approx(2, rel=0.15)


def test_a_sheet_may_be_a_jpeg(tmp_path, red):
    one = [Prediction("r", red, [Class(0, "red", 0.5)])]
    difference = np.abs(
        sheet_of(tmp_path / "x.jpg", one, ["red"]) - sheet_of(tmp_path / "x.png", one, ["red"])
    )
    assert Image.open(tmp_path / "x.jpg").format == "JPEG"
    assert difference.mean() < 2


def test_unreadable_images_have_their_place(tmp_path, red):
    good = Prediction("r", red, [Class(0, "red", 1.0)])
    pixels = sheet_of(tmp_path / "x.png", [good, BAD, good], ["red"])
    cells = np.split(pixels, 3, axis=1)
    assert [count(cell, "#fa0000") > 20000 for cell in cells] == [True, False, True]
    assert [count(cell, contact_sheet.BAD) > 20 for cell in cells] == [False, True, False]


def test_a_sheet_has_an_end(tmp_path, red, capsys):
    good = Prediction("r", red, [Class(0, "red", 1.0)])
    pixels = sheet_of(tmp_path / "x.png", [good] * 130, ["red"])
    assert pixels.shape[0] == contact_sheet.HEIGHT * 20
    assert "shows the first 120 of 130 images" in capsys.readouterr().out


def test_names_that_no_font_has_become_numbers(tmp_path, red, capsys, monkeypatch):
    face = drawing.open_font("", 12)
    assert drawing.has_letters(face, "great white shark")
    assert not drawing.has_letters(face, "七")
    assert drawing.font_for("great white shark") == ""
    monkeypatch.setenv("PATH", str(tmp_path))  # no fontconfig
    sheet_of(tmp_path / "x.png", [Prediction("r", red, [Class(0, "七", 1.0)])], ["七"])
    assert "shows numbers" in capsys.readouterr().out


def test_words_are_cut_to_their_place():
    face = drawing.open_font("", 12)
    for keep_end in (False, True):
        cut = drawing.fitted("a rather long name of a class", face, 80, keep_end)
        assert face.getlength(cut) <= 80
        assert "…" in cut
    assert drawing.fitted("short", face, 80, False) == "short"


def test_wide_letters_take_two_columns(capsys):
    """As terminals show them: Unicode's UAX 11, East Asian Width."""
    found = Prediction("红花/很长的名字.png", Path("x.png"), [Class(0, "狗", 0.75)])
    with RunLog(None, 0, False) as log, Printed(log, 10, True) as printed:
        printed.add(found)
    heads, row = capsys.readouterr().out.splitlines()
    before = row[: row.index(" %")]
    wide = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in before)
    assert wide + len(" %") == heads.index("probability") + len("probability")
    assert before.startswith("…")
