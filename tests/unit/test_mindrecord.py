"""MindRecord shards: made by real processes, read as the files that they were made from."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import pipeline, split
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import read as record_read
from mindlift.data.order import BatchRange
from mindlift.errors import DataError
from tests.support.batches import FOLDER_OPTIONS, OPTIONS, collect

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 3


def command(data: Path, out: Path, *more: object) -> list[str]:
    words = (
        "-m",
        "mindlift",
        "data",
        "to_mindrecord",
        "--data_dir",
        data,
        "--out",
        out,
        "--workers",
        1,
        *more,
    )
    return [sys.executable, *map(str, words)]


def convert(data: Path, out: Path, *more: object, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(data, out, *more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **kwargs,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """train (23 images) and val (8) of two classes: JPEG and PNG, colour and grey, all sizes differ."""
    root = tmp_path_factory.mktemp("tree")
    rng = np.random.default_rng(3)
    for part, label, count in (("train", "a'b", 12), ("train", "ü", 11), ("val", "a'b", 5), ("val", "ü", 3)):
        (root / part / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (30 + 3 * i, 61 - 2 * i, 3), np.uint8)
            image = Image.fromarray(pixels).convert("L" if i % 5 == 1 else "RGB")
            image.save(root / part / label / f"{i}.{'png' if i % 3 else 'jpg'}")
    return root


@pytest.fixture(scope="module")
def shards(tree, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "records"
    done = convert(tree, out, "--num_shards", SHARDS, "--num_classes", 2)
    assert done.returncode == 0, done.stderr
    assert "train: 23 images of 2 classes in 3 shards" in done.stdout
    return out


@pytest.fixture
def copy(shards, tmp_path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "records"))


FILES = replace(FOLDER_OPTIONS, num_classes=2)
RECORDS = replace(FILES, data_format="mindrecord")


def opened(folder: Path, options=RECORDS, train=True) -> split.Samples:
    return split.open_split(options, folder, train)


def test_the_index_says_what_there_is(shards, tree):
    index = json.loads((shards / "index.json").read_text(encoding="utf-8"))
    assert index["classes"] == ["a'b", "ü"]
    assert index["splits"]["val"]["per_class"] == {"a'b": 5, "ü": 3}
    assert sorted(path.name for path in shards.iterdir()) == sorted(
        ["index.json"]
        + [
            f"{split}.mindrecord{i}{end}"
            for split in ("train", "val")
            for i in range(3)
            for end in ("", ".db")
        ]
    )
    for shard in index["splits"]["train"]["shards"]:
        path = shards / shard["file"]
        assert subprocess.check_output(["sha256sum", path], text=True).split()[0] == shard["sha256"]
        assert path.stat().st_mode & 0o044, "readable for others"


def test_every_image_is_the_bytes_of_its_file(shards, tree):
    for train, part in ((True, "train"), (False, "val")):
        files = sorted((tree / part).rglob("*.*"))
        records = opened(shards, train=train)
        assert len(records) == len(files)
        for i, file in enumerate(files):
            assert records.encoded_bytes(i) == file.read_bytes()
            assert str(file.relative_to(tree / part)) in records.files[i]


def test_mindspores_own_reader_finds_the_same_rows(shards, tree):
    import mindspore.dataset as ds

    paths = [str(shards / f"train.mindrecord{i}") for i in range(SHARDS)]
    rows = list(ds.MindDataset(paths, shuffle=False).create_dict_iterator(num_epochs=1, output_numpy=True))
    assert sorted(int(row["index"]) for row in rows) == list(range(23))
    for row in rows:
        assert row["image"].tobytes() == (tree / "train" / str(row["file"])).read_bytes()
    assert [int(row["index"]) for row in rows] != list(range(23)), "shuffled"


@pytest.mark.parametrize("size", [1, 2])
def test_batches_are_those_of_the_files(shards, tree, size):
    for rank in range(size):
        for train in (True, False):
            found = []
            for options, folder in ((FILES, tree), (RECORDS, shards)):
                samples = opened(folder, options, train)
                batches = (
                    pipeline.train_batches(samples, options, BatchRange(1, 7, rank, size))
                    if train
                    else pipeline.eval_batches(samples, options, rank, size)
                )
                found.append(collect(batches))
            for one, two in zip(*found):
                np.testing.assert_array_equal(one, two)
            assert len(found[0][0]) >= 4


def wait_for(process: subprocess.Popen, text: str) -> str:
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    return seen


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_conversion_goes_on(shards, tree, tmp_path, number):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(tree, out, "--num_shards", SHARDS),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, "(2 of 6 shards)")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGTERM:
        assert "the same command goes on from there" in output
        assert errors.strip().splitlines()[-1] == "error: interrupted"
    with pytest.raises(DataError, match="not a whole MindRecord data set"):
        opened(out)
    (out / ".convert" / "train.mindrecord2.99.part").mkdir()
    before = {name: (out / name).stat().st_mtime_ns for name in ("train.mindrecord0", "train.mindrecord0.db")}
    (out / "train.mindrecord1").write_bytes(b"cut")  # as a disk may leave it
    done = convert(tree, out, "--num_shards", SHARDS)
    assert done.returncode == 0, done.stderr
    assert "of 6 shards are whole already" in done.stdout
    assert "train.mindrecord1: 8 images" in done.stdout
    assert before == {name: (out / name).stat().st_mtime_ns for name in before}
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in shards.iterdir())
    for i in range(23):
        assert opened(out).encoded_bytes(i) == opened(shards).encoded_bytes(i)


def test_a_worker_ends_when_the_conversion_is_killed(tree, tmp_path):
    process = subprocess.Popen(
        command(tree, tmp_path / "out", "--num_shards", 8), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    wait_for(process, "(1 of 16 shards)")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert children
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(alive(int(child)) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_repeated_conversion_does_nothing_and_another_one_is_refused(copy, tree):
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir()}
    done = convert(tree, copy, "--num_shards", SHARDS)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    other = convert(tree, copy, "--num_shards", SHARDS + 1)
    assert other.returncode == 2
    assert "other images or options" in other.stderr
    assert len(other.stderr.splitlines()) == 1


def test_a_flipped_byte_is_found_and_named(copy):
    row = record_read.rows_of(copy / "train.mindrecord1")[2]
    with open(copy / "train.mindrecord1", "r+b") as file:
        file.seek(row.offset + row.length // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))
    samples = opened(copy)
    with pytest.raises(DataError, match=f"corrupt image .*train.mindrecord1: {row.file}"):
        list(pipeline.train_batches(samples, RECORDS, BatchRange(0, 6)))
    lenient = replace(RECORDS, skip_corrupt=True)
    samples = opened(copy, lenient)
    list(pipeline.train_batches(samples, lenient, BatchRange(0, 5)))
    assert samples.decode(row.index) is None


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("train.mindrecord1", remove, "train.mindrecord1 is missing"),
        ("train.mindrecord1.db", remove, "train.mindrecord1.db is missing"),
        ("train.mindrecord0", shorten, "cut short"),
        ("index.json", remove, "no index.json"),
        ("index.json", shorten, None),
        ("index.json", lambda path: os.truncate(path, 99), "index.json is damaged"),
    ],
)
def test_missing_and_short_files_are_found_without_reading_images(copy, file, harm, message):
    harm(copy / file)
    if message is None:  # only the last newline is gone
        return record_index.check("imagenet", copy, True, 2, False)
    with pytest.raises(DataError, match=message):
        record_index.check("imagenet", copy, True, 2, False)
    return None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(RECORDS, num_classes=1), "has 2 classes, but num_classes is 1"),
        (replace(RECORDS, num_classes=3), "--allow_unused_classes"),
        (replace(OPTIONS, data_format="mindrecord"), "made from --dataset imagenet"),
    ],
)
def test_options_that_do_not_fit_the_shards(shards, options, message):
    with pytest.raises(DataError, match=message):
        opened(shards, options)


def test_a_db_of_another_shard_is_refused(copy):
    for name in ("train.mindrecord0.db", "train.mindrecord2.db"):
        os.rename(copy / name, copy / f"{name}.old")
    os.rename(copy / "train.mindrecord2.db.old", copy / "train.mindrecord0.db")
    with pytest.raises(DataError, match=r"belongs to train.mindrecord2"):
        record_read.rows_of(copy / "train.mindrecord0")
    (copy / "train.mindrecord0.db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(DataError, match="can't be read"):
        record_read.rows_of(copy / "train.mindrecord0")


def test_corrupt_images_are_named_or_left_out(tree, tmp_path):
    source = Path(shutil.copytree(tree / "train", tmp_path / "source"))
    broken = source / "a'b" / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    stopped = convert(source, tmp_path / "out", "--num_shards", 2)
    assert stopped.returncode == 2
    assert str(broken) in stopped.stderr
    assert "--skip_corrupt true" in stopped.stderr
    assert len(stopped.stderr.splitlines()) == 1
    done = convert(source, tmp_path / "without", "--num_shards", 2, "--skip_corrupt", "true")
    assert done.returncode == 0, done.stderr
    assert "corrupt image left out: a'b/3.jpg" in done.stdout
    assert "all: 22 images of 2 classes in 2 shards, 1 corrupt ones left out" in done.stdout
    broken.unlink()
    files, records = opened(source, FILES), opened(tmp_path / "without")
    assert [records.encoded_bytes(i) for i in range(22)] == [files.encoded_bytes(i) for i in range(22)]
    np.testing.assert_array_equal(records.labels, files.labels)


def test_a_full_disk_is_one_line(tree, tmp_path):
    done = convert(
        tree, tmp_path / "out", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: can't write train.mindrecord0")
    assert "MB free there" in last
    assert "Traceback" not in done.stderr


def test_help_needs_no_mindspore():
    code = "import sys; from mindlift.cli import to_mindrecord as t; t.parser().format_help(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "mindspore" not in done.stdout
    assert "numpy" not in done.stdout
