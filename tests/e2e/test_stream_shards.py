"""Trainings that stream the rows of MindRecord shards: the weights of copied shards, each row asked for once, checked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mindlift.data.mindrecord import read as record_read
from mindlift.data.order import reading_order, shuffled
from tests.support.faults import Fault
from tests.support.photo_bucket import IMAGES, SEED, Bucket, same
from tests.support.programs import run_program
from tests.support.records import convert

SHARDS = 2


class Records(Bucket):
    """The same images as rows of MindRecord shards, in `records/`."""

    def __init__(self, *words):
        super().__init__(*words)
        source = self.folder / "photos"
        for each in self.client.list_objects_v2(Bucket=self.name, Prefix="photos/")["Contents"]:
            path = self.folder / each["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(self.name, each["Key"], str(path))
        self.records = self.folder / "records"
        words = ("--dataset", "imagenet", "--data_dir", source, "--out", self.records, "--num_shards", SHARDS)
        convert("to_mindrecord", *words)
        for path in self.records.iterdir():
            self.client.upload_file(str(path), self.name, f"records/{path.name}")

    @property
    def place(self) -> tuple[str, ...]:
        return ("--data_url", f"obs://{self.name}/records/", "--data_format", "mindrecord")

    def copied(self, *more: object) -> dict:
        done = self.train("copy", "copied", *self.place, *more)
        assert done.code == 0, done.err + done.out
        shutil.rmtree(self.folder / "cache/data")
        return self.weights("copied")

    def rows_asked(self, start: int = 0) -> list[str]:
        """What was asked for of the shards from the request of this number on, but for their headers: place, `bytes=...`."""
        asked = [
            f"{each.target} {each.headers.get('range', 'whole')}"
            for each in self.proxy.requests[start:]
            if each.method == "GET" and re.search(r"\.mindrecord\d+$", each.target)
        ]
        return [each for each in asked if "bytes=0-" not in each]

    def row_files(self) -> list[str]:
        """The files of the rows, in the order of the images."""
        shards = record_read.Shards(self.records, train=True)
        places = map(shards.place, range(len(shards)))
        return [f"{shards.paths[shard].name}/{offset}-{length}" for shard, offset, length in places]


@pytest.fixture
def records(minio, bucket, fault_proxy, tmp_path) -> Records:
    return Records(minio, bucket, fault_proxy, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_the_weights_are_those_of_copied_shards(records, ranks):
    """Each row is asked for once, and no shard as a whole; nothing is asked for by the next training."""
    done = records.train("copy", "copied", *records.place, ranks=ranks)
    assert done.code == 0, done.err + done.out
    shutil.rmtree(records.folder / "cache/data")
    start = len(records.proxy.requests)
    done = records.train("stream", "streamed", *records.place, ranks=ranks)
    assert done.code == 0, done.err + done.out
    files = IMAGES + 2 * SHARDS + 1  # headers, .db files, index.json
    assert f"{files} files of obs://{records.name}/records/, " in done.out
    same(records.weights("copied"), records.weights("streamed"))
    asked = records.rows_asked(start)
    assert len(asked) == len({*asked}) == IMAGES
    assert not any("whole" in each for each in asked)
    start = len(records.proxy.requests)
    done = records.train("stream", "again", *records.place, ranks=ranks)
    assert done.code == 0, done.err + done.out
    assert f"0 files of obs://{records.name}/records/, " in done.out
    assert not records.rows_asked(start)
    same(records.weights("copied"), records.weights("again"))


@pytest.mark.heavy
def test_a_killed_training_goes_on_with_the_rows_of_its_next_step(records):
    """It is killed in its second epoch, and its disk is lost; what no step needs yet does not come."""
    weights = records.copied()
    with records.start("stream", "streamed", *records.place) as process:
        assert process.stdout
        assert any(line.startswith("epoch 2 of") for line in process.stdout)
        process.kill()
    shutil.rmtree(records.folder / "cache/members")
    done_steps = IMAGES // 4
    order = reading_order(IMAGES, 4, shuffled(IMAGES, SEED), done_steps * 4).tolist()
    rows = records.row_files()
    start = len(records.proxy.requests)
    done = records.train("stream", "streamed", *records.place)
    assert done.code == 0, done.err + done.out
    assert "after step" in done.out
    same(weights, records.weights("streamed"))
    asked = [re.sub(r".*/(\S+) bytes=(\d+)-.*", r"\1/\2", each) for each in records.rows_asked(start)]
    first = [rows[index].partition("-")[0] for index in order[:4]]
    assert {*first} & {*asked[:68]}, "64 threads had begun before the order was known"
    assert len(asked) == IMAGES


@pytest.mark.heavy
def test_rows_on_a_small_disk(records):
    """Sixteen batches of one image, and the indexes, fit."""
    weights = records.copied("--per_batch_size", 1)
    most = max(int(name.rpartition("-")[2]) for name in records.row_files())
    limit = most * 20 + sum(path.stat().st_size for path in records.records.glob("*.db")) + 20_000
    done = records.train(
        "stream", "streamed", *records.place, "--per_batch_size", 1, "--cache_gb", limit / 1e9
    )
    assert done.code == 0, done.err + done.out
    assert "are here at a time (--cache_gb)" in done.out
    same(weights, records.weights("streamed"))


@pytest.mark.heavy
def test_a_bit_that_the_network_flips_is_noticed(records):
    """By the CRC-32 of the row; it is asked for again."""
    weights = records.copied()
    offset = int(re.search(r"/(\d+)-", records.row_files()[0])[1])
    shard = records.row_files()[0].partition("/")[0]
    fault = Fault("flip_bit", path=rf"records/{shard}$", after=9, times=None)
    seen = []

    def fits(request, pages, before=fault.fits):
        is_row = request.headers.get("range", "").startswith(f"bytes={offset}-")
        seen.append(is_row and before(request, pages))
        return bool(seen[-1]) and sum(map(bool, seen)) == 1

    fault.fits = fits  # type: ignore[method-assign]
    records.proxy.add(fault)
    done = records.train("stream", "streamed", *records.place)
    assert done.code == 0, done.err + done.out
    assert sum(map(bool, seen)) == 2
    same(weights, records.weights("streamed"))


@pytest.mark.heavy
def test_a_row_that_is_damaged_in_the_bucket(records):
    """It is named as that of a copied shard is, and may be replaced likewise."""
    row = records.row_files()[0]
    shard, offset = row.partition("/")[0], int(re.search(r"/(\d+)-", row)[1])
    data = bytearray((records.records / shard).read_bytes())
    data[offset + 20] ^= 1
    records.client.put_object(Bucket=records.name, Key=f"records/{shard}", Body=bytes(data))
    for stage in ("copy", "stream"):
        done = records.train(stage, stage, *records.place)
        assert done.code == 2, done.err + done.out
        assert "its checksum differs" in done.error
        assert shard in done.error
        done = records.train(stage, f"{stage}_skips", *records.place, "--skip_corrupt", "true")
        assert done.code == 0, done.err + done.out
    same(records.weights("copy_skips"), records.weights("stream_skips"))


@pytest.mark.heavy
def test_a_shard_that_is_replaced_while_it_is_read(records):
    row = records.row_files()[reading_order(IMAGES, 4, shuffled(IMAGES, SEED), 0).tolist()[-1]]
    shard = row.partition("/")[0]
    data = (records.records / shard).read_bytes() + bytes(8)

    def replace() -> None:
        records.client.put_object(Bucket=records.name, Key=f"records/{shard}", Body=data)

    offset = re.search(r"/(\d+)-", row)[1]
    fault = Fault("replace", path=rf"records/{shard}$", call=replace)
    fits = fault.fits
    fault.fits = (  # type: ignore[method-assign]
        lambda request, pages: request.headers.get("range", "").startswith(f"bytes={offset}-")
        and fits(request, pages)
    )
    records.proxy.add(fault)
    done = records.train("stream", "streamed", *records.place)
    assert done.code == 1, done.err + done.out
    assert f"{shard} has changed since its headers were read; start again" in done.error


@pytest.mark.heavy
def test_pairs_in_shards(minio, bucket, fault_proxy, tmp_path):
    """Rows of images and labels; the images of the evaluation are files beside the shards."""
    from mindlift.data.embedded import vocdigits

    photos = Bucket(minio, bucket, fault_proxy, tmp_path)
    root = vocdigits.build_voc(tmp_path / "made")
    for name, count in (("voc_train_lst.txt", 12), ("voc_val_lst.txt", 5)):
        lines = (root / name).read_text().splitlines()[:count]
        (root / name).write_text("\n".join(lines) + "\n")
    words = ["--data_root", root, "--data_lst", root / "voc_train_lst.txt", "--dst_path"]
    convert("build_seg_data", *words, root / "rows.mindrecord", "--num_shards", 2, "--num_classes", 11)
    evaluated = ["voc_val_lst.txt", *(root / "voc_val_lst.txt").read_text().split()]
    for path in [*root.glob("rows.mindrecord*"), *(root / name for name in evaluated)]:
        photos.client.upload_file(str(path), bucket, f"voc/{path.relative_to(root)}")
    words = ["train.py", "--net", "deeplab_v3_r26_s16", "--dataset", "voc", "--num_classes", 11]
    words += ["--image_size", 65, "--per_batch_size", 4, "--max_epoch", 2, "--run_eval", "true"]
    words += ["--enable_modelarts", "True", "--data_url", f"obs://{bucket}/voc/"]
    words += ["--data_file", "rows.mindrecord0"]
    for stage in ("copy", "stream"):
        shutil.rmtree(Path(photos.folder, "cache"), ignore_errors=True)
        start = len(photos.proxy.requests)
        done = run_program(*words, "--stage", stage, "--ckpt_path", tmp_path / stage, **photos.env)
        assert done.code == 0, done.err + done.out
        assert ("are fetched while they are read" in done.out) == (stage == "stream")
    same(photos.weights("copy"), photos.weights("stream"))
    whole = [
        each
        for each in photos.proxy.requests[start:]
        if re.search(r"mindrecord\d$", each.target) and each.method == "GET" and "range" not in each.headers
    ]
    assert not whole
