"""MindRecord shards of pairs: ours and those of the original program, read as the files that they were made from."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.cli import build_seg_data
from mindlift.data.mindrecord import file as record_file
from mindlift.data.mindrecord import pairs as seg_records
from mindlift.data.mindrecord import segmentation as seg_convert
from mindlift.data.mindrecord import shards as convert_run
from mindlift.data.order import BatchRange
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import pairs as segmentation
from mindlift.data.segmentation import voc
from mindlift.data.segmentation.options import SegmentationOptions
from mindlift.errors import DataError
from tests.support.pairs import OPTIONS, noise, rows

ROOT = Path(__file__).resolve().parents[2]
COUNT, SHARDS = 14, 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A list of pairs whose order is not that of their names; labels with palette and without."""
    root = tmp_path_factory.mktemp("tree")
    (root / "a b").mkdir()
    pairs = []
    for i in range(COUNT):
        image, label = noise((40 + 3 * i, 80 - 2 * i), i)
        pairs.append(seg_lists.Pair(f"a b/{i * 5 % COUNT:02d}ü.jpg", f"{i}.png"))
        Image.fromarray(image).save(root / pairs[-1].image, quality=90)
        (root / pairs[-1].label).write_bytes(voc.as_png(label, coloured=i % 2 == 0))
    (root / "list").write_text("".join(f"{pair.image}\t{pair.label}\n" for pair in pairs), encoding="utf-8")
    return root


def command(tree: Path, dst: Path, *more: object) -> list[str]:
    words = (
        "src/data/build_seg_data.py",
        f"--data_root={tree}",
        f"--data_lst={tree / 'list'}",
        f"--dst_path={dst}",
    )
    return [sys.executable, *map(str, (*words, "--workers", 1, "--num_classes", 11, *more))]


def build(tree: Path, dst: Path, *more: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(tree, dst, *more), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def ours(tree, tmp_path_factory) -> Path:
    """The first shard that the program makes."""
    dst = tmp_path_factory.mktemp("ours") / "new" / "voc.mindrecord"
    done = build(tree, dst, f"--num_shards={SHARDS}", "--shuffle=True")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} images in {SHARDS} shards" in done.stdout
    return Path(f"{dst}0")


@pytest.fixture(scope="module")
def originals(tree, tmp_path_factory) -> Path:
    """The first shard as the original program writes it: one writer, no index named, palettes as they are."""
    from mindspore.mindrecord import FileWriter

    first = tmp_path_factory.mktemp("originals") / "voc.mindrecord"
    writer = FileWriter(str(first), SHARDS)
    writer.add_schema(
        {"file_name": {"type": "string"}, "label": {"type": "bytes"}, "data": {"type": "bytes"}}, "seg_schema"
    )
    found = [
        {
            "file_name": pair.image.split("/")[-1],
            "data": (tree / pair.image).read_bytes(),
            "label": (tree / pair.label).read_bytes(),
        }
        for pair in seg_lists.read(tree / "list")
    ]
    for start in (0, 10):
        writer.write_raw_data(found[start : start + 10])
    writer.commit()
    return Path(f"{first}0")


@pytest.fixture
def copy(ours, tmp_path) -> Path:
    return Path(shutil.copytree(ours.parent, tmp_path / "records")) / ours.name


def opened(options, path: Path = Path()) -> segmentation.Samples:
    return segmentation.open_split(options, path, train=True)


def records(first: Path) -> SegmentationOptions:
    return replace(OPTIONS, data_file=str(first))


FILES = replace(OPTIONS, data_lst="list")


@pytest.mark.parametrize("whose", ["ours", "originals"])
def test_shards_are_the_files_in_the_same_batches(whose, tree, request):
    first = request.getfixturevalue(whose)
    files, shards = opened(FILES, tree), opened(records(first))
    assert [Path(name).name for name in files.names] == shards.names == sorted(shards.names)
    assert len(shards) == COUNT
    for i in range(COUNT):
        assert shards.source.image_bytes(i) == files.source.image_bytes(i)
        np.testing.assert_array_equal(shards.label(i), files.label(i))
    part = BatchRange(0, 3, rank=1, size=2)
    for one, two in zip(rows(files, FILES, part), rows(shards, records(first), part)):
        np.testing.assert_array_equal(one, two)


def test_our_shards_serve_the_originals_reader(ours, tree):
    """It names the first shard only, and decodes labels as grey images."""
    import cv2
    import mindspore.dataset as ds

    dataset = ds.MindDataset(str(ours), ["data", "label", "file_name"], shuffle=False)
    found = {
        str(row["file_name"]): row for row in dataset.create_dict_iterator(num_epochs=1, output_numpy=True)
    }
    assert len(found) == COUNT
    assert list(found) != sorted(found), "shuffled"
    for i, pair in enumerate(seg_lists.read(tree / "list")):
        row = found[Path(pair.image).name]
        assert row["data"].tobytes() == (tree / pair.image).read_bytes()
        label = cv2.imdecode(np.frombuffer(row["label"].tobytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(label, noise((40 + 3 * i, 80 - 2 * i), i)[1])


def test_shards_are_named_as_the_originals(ours, tree, tmp_path):
    names = [f"voc.mindrecord{i}{end}" for i in range(SHARDS) for end in ("", ".db")]
    assert sorted(path.name for path in ours.parent.iterdir()) == ["voc.mindrecord.json", *sorted(names)]
    assert seg_convert.shard_names("x", 1) == ["x"]
    assert seg_convert.shard_names("x", 12)[:2] == ["x00", "x01"]
    assert [path.name for path in seg_records.shards_of(str(ours)[:-1])] == names[::2], "--dst_path will do"


def test_without_an_index_of_names_rows_have_numbers(copy):
    import sqlite3

    for i in range(SHARDS):
        with sqlite3.connect(f"{str(copy)[:-1]}{i}.db") as connection:
            connection.execute('ALTER TABLE INDEXES RENAME COLUMN "file_name_0" TO "other_0"')
        connection.close()
        text = copy.with_name(f"voc.mindrecord{i}")
        data = text.read_bytes()
        text.write_bytes(data.replace(b'"index_field":"file_name"', b'"index_field":"something"', 1))
    samples = opened(records(copy))
    assert samples.names[0] == "voc.mindrecord0 row 000000"
    assert len({samples.source.image_bytes(i) for i in range(COUNT)}) == COUNT


def test_a_killed_conversion_goes_on(ours, tree, tmp_path, capsys):
    dst = tmp_path / "voc.mindrecord"
    process = subprocess.Popen(
        command(tree, dst, "--num_shards", SHARDS),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "(1 of 3 shards)" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = (tmp_path / "voc.mindrecord0").stat().st_mtime_ns
    done = build(tree, dst, "--num_shards", SHARDS)
    assert done.returncode == 0, done.stderr
    assert "of 3 shards are whole already" in done.stdout
    assert (tmp_path / "voc.mindrecord0").stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in ours.parent.iterdir()
    )
    two, one = opened(records(tmp_path / "voc.mindrecord0")), opened(records(ours))
    assert [two.source.fields(i) for i in range(COUNT)] == [one.source.fields(i) for i in range(COUNT)]
    assert build_seg_data.main([*command(tree, dst, "--num_shards", SHARDS + 1)[2:]]) == 2
    error = capsys.readouterr().err
    assert "voc.mindrecord* holds shards of other images or options" in error
    assert error.count("\n") == 1


def harmed(tree: Path, tmp_path: Path, harm: str) -> Path:
    source = Path(shutil.copytree(tree, tmp_path / "tree"))
    if harm == "image":
        (source / "a b/06ü.jpg").write_bytes((source / "a b/06ü.jpg").read_bytes()[:500])
    elif harm == "gone":
        (source / "4.png").unlink()
    else:
        size = (7, 7) if harm == "size" else (52, 72)
        label = np.full(size, 200 if harm == "value" else 0, np.uint8)
        (source / "4.png").write_bytes(voc.as_png(label, True))
        if harm == "colours":
            Image.fromarray(voc.palette()[label]).save(source / "4.png")
    return source


@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("value", r"/4\.png: value 200 is neither a class \(0 - 10\) nor --ignore_label 255"),
        ("size", r"/4\.png has 7 x 7 pixels"),
        ("colours", r"/4\.png is PNG of mode RGB"),
        ("gone", r"can't read .*/4\.png: No such file"),
    ],
)
def test_a_wrong_label_is_named_and_never_skipped(tree, tmp_path, harm, message, skip_corrupt):
    settings = seg_convert.Settings(1, False, 1, 11, 255, skip_corrupt)
    root = harmed(tree, tmp_path, harm)
    with pytest.raises(DataError, match=message) as caught:
        list(seg_convert.make_plan(root, "list", tmp_path / "v", settings).tasks()[0].contents([]))
    assert "\n" not in str(caught.value)


def test_a_corrupt_image_stops_or_is_left_out(tree, tmp_path):
    """The second command is the first one with the option that its message names."""
    source, dst = harmed(tree, tmp_path, "image"), tmp_path / "out/v"
    done = build(source, dst, "--num_shards", 2)
    assert done.returncode == 2
    assert re.search(r"error: corrupt image .*/06ü\.jpg: .*--skip_corrupt true", done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert not dst.with_name("v.json").exists()
    lenient = build(source, dst, "--num_shards", 2, "--skip_corrupt", "true")
    assert "corrupt image left out: a b/06ü.jpg" in lenient.stdout
    assert "13 images in 2 shards, 1 corrupt ones left out" in lenient.stdout
    assert len(opened(records(tmp_path / "out/v"))) == 13


def place_of(first: Path, index: int) -> tuple[Path, int, int]:
    source = seg_records.Shards(str(first))
    return source.paths[source.shards[index]], int(source.offsets[index]), int(source.lengths[index])


def test_damage_is_found_and_named(copy):
    path, offset, _ = place_of(copy, 4)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\0\0\0\0\0\1\0\0")
    samples = opened(records(copy))
    with pytest.raises(DataError, match=rf"{path.name}: {samples.names[4]}: its row is damaged"):
        rows(samples, records(copy), BatchRange(0, 3))
    path, offset, length = place_of(copy, 7)
    os.truncate(path, offset + length // 2)
    with pytest.raises(DataError, match=rf"{path.name}: {samples.names[7]}: the shard is cut short"):
        samples.pair(7)


def test_missing_and_foreign_shards_are_refused(copy, tmp_path):
    second = copy.with_name("voc.mindrecord1")
    cases = [
        (lambda: os.rename(f"{second}.db", tmp_path / "db"), r"voc\.mindrecord1\.db is missing"),
        (lambda: os.rename(tmp_path / "db", f"{second}.db"), None),
        (lambda: os.rename(copy, copy.with_name("x0")), r"x0 was written as one of voc\.mindrecord0, voc"),
        (lambda: copy.with_name("x0").write_bytes(b"\x10" + bytes(200)), "x0 is not a whole MindRecord file"),
        (lambda: copy.with_name("x0").unlink(), "no such file: .*--data_file"),
    ]
    for harm, message in cases:
        harm()
        name = copy if copy.exists() else copy.with_name("x0")
        if message is None:
            assert len(seg_records.shards_of(str(name))) == SHARDS
            continue
        with pytest.raises(DataError, match=message) as caught:
            seg_records.shards_of(str(name))
        assert "\n" not in str(caught.value)


def test_shards_of_classes_are_refused(copy):
    data = copy.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    head["schema"][0]["schema"] = {"image": {"type": "bytes"}, "label": {"type": "int32"}}
    text = json.dumps(head).encode()
    copy.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + len(text) :])
    with pytest.raises(
        DataError, match="has rows of image, label, but a segmentation needs file_name, label, data"
    ):
        seg_records.shards_of(str(copy))


def test_names_that_do_not_fit_a_header_are_refused(copy):
    with pytest.raises(DataError, match="the names of 9000 shards don't fit"):
        record_file.join(copy, [f"voc.mindrecord-of-a-long-name{i}" for i in range(9000)], 0)


@pytest.mark.parametrize(("text", "value"), [("True", True), ("False", False), ("0", False), ("true", True)])
def test_switches_have_two_values(text, value, tree, tmp_path):
    args = build_seg_data.parser().parse_args([*command(tree, tmp_path / "v")[2:], f"--shuffle={text}"])
    assert args.shuffle is value
    settings = seg_convert.Settings(2, args.shuffle, 1, 11, 255, False)
    plan = seg_convert.make_plan(tree, "list", tmp_path / "v", settings)
    assert ([pair for task in plan.tasks() for pair in task.rows] == plan.pairs) is not value


def test_shards_may_go_to_the_current_folder(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = seg_convert.Settings(2, True, 1, 11, 255, False)
    convert_run.prepare(seg_convert.make_plan(tree, "list", Path("v"), settings)).close()
    assert [path.name for path in tmp_path.iterdir()] == [".v.convert"]


def test_the_script_takes_places_or_flags(tree, tmp_path):
    """bash scripts/build_data.sh, as the original's, with what was written into the original's file."""
    script = ["bash", str(ROOT / "scripts/build_data.sh")]
    flags = [
        f"--data_root={tree}",
        f"--data_lst={tmp_path / 'none'}",
        f"--dst_path={tmp_path / 'v'}",
        "--num_shards=2",
    ]
    for arguments in (flags, [str(tree), str(tmp_path / "none"), str(tmp_path / "v"), "--num_shards", "2"]):
        env = {**os.environ, "PYTHON": sys.executable}
        done = subprocess.run(
            [*script, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: no list {tmp_path / 'none'}, also not in {tree}")
    done = subprocess.run([*script, "a", "b"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected DATA_ROOT DATA_LST DST_PATH, found 2" in done.stderr
