"""Trainings on a disk that is smaller than their data, and several that read the same folder at a time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mindlift.data.order import BatchRange
from tests.support.faults import Fault
from tests.support.photo_bucket import CLASSES, SEED, Bucket, same
from tests.support.programs import ROOT, environment, run_program, wait_for
from tests.unit.test_cache_plan import by_min

IMAGES, BATCH, EPOCHS = 288, 4, 2


@pytest.fixture
def photos(minio, bucket, fault_proxy, tmp_path) -> Bucket:
    return Bucket(minio, bucket, fault_proxy, tmp_path, IMAGES)


class Disk:
    """The most bytes of images that are in a folder at a time, as far as looks show it."""

    def __init__(self, folder: Path):
        self.folder, self.most, self.ends = folder, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        while not self.ends.wait(0.02):
            size = 0
            for path in self.folder.glob("**/class_*/*.png"):
                try:
                    size += path.stat().st_size
                except FileNotFoundError:  # it went at this moment
                    continue
            self.most = max(self.most, size)

    def __enter__(self) -> Disk:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.thread.join()


def size_of(photos: Bucket) -> int:
    pages = photos.client.get_paginator("list_objects_v2").paginate(Bucket=photos.name, Prefix="photos/")
    return sum(each["Size"] for page in pages for each in page["Contents"])


def read_by(ranks: int) -> list[int]:
    """The images in the order in which a training reads them; order.py has tests of its own."""
    orders = [BatchRange(0, 0, rank, ranks).order(IMAGES, BATCH, SEED) for rank in range(ranks)]
    steps = EPOCHS * (IMAGES // (BATCH * ranks))
    return [
        index for step in range(steps) for order in orders for index in order.batch(step, BATCH)[1].tolist()
    ]


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_data_four_times_the_cache(photos, ranks):
    """The weights of a copy, on a quarter of its disk, and no more fetches than the rule makes on what is left to it."""
    photos.train_on_copy(ranks=ranks)
    # the least cache of two ranks is 16 x 2 x 4 images
    share = 4 if ranks == 1 else 2
    limit = size_of(photos) // share
    before = len(photos.asked())
    with Disk(photos.folder / "cache/data") as disk:
        done = photos.train("stream", "streamed", "--cache_gb", limit / 1e9, ranks=ranks)
    assert done.code == 0, done.err + done.out
    assert "are here at a time (--cache_gb)" in done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    assert 0 < disk.most <= limit
    fetched = len(photos.asked()) - before
    kept = int(IMAGES / share - 12 * BATCH * ranks) - 2  # 8 batches are for guests, 4 for what is read
    assert IMAGES < fetched <= by_min(read_by(ranks), kept)


@pytest.mark.heavy
def test_a_training_that_is_killed_keeps_what_is_on_the_disk(photos):
    photos.train_on_copy()
    cache = ("--cache_gb", size_of(photos) / 3 / 1e9)
    with photos.start("stream", "streamed", *cache) as process:
        assert process.stdout
        assert any(line.startswith("epoch 2 of") for line in process.stdout)
        process.kill()
    here = {path.name for path in photos.folder.glob("cache/data/*/*/*.png")}
    assert len(here) > IMAGES / 6
    before = len(photos.asked())
    done = photos.train("stream", "streamed", *cache)
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    step = int(re.search(r"after step (\d+)", done.out)[1])
    order = BatchRange(0, 0).order(IMAGES, BATCH, SEED)
    by_index = sorted(f"class_{number % CLASSES}/{number:03}.png" for number in range(IMAGES))
    soon = {by_index[index] for at in range(step, step + 10) for index in order.batch(at, BATCH)[1].tolist()}
    kept = {name for name in soon if name.rpartition("/")[2] in here}
    assert len(kept) > 30
    assert not kept & {*photos.asked()[before:]}, "what is here and read soon is not asked for"


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_evaluations_while_training_on_a_small_disk(photos, ranks):
    """They are part of what is known ahead: no more is fetched than the rule does for all that is read, in its order."""
    data = (photos.folder / "photo.png").read_bytes()
    trained, evaluated = 160, 100
    for split, count in (("train", trained), ("val", evaluated)):
        for number in range(count):
            photos.put(f"split/{split}/class_{number % CLASSES}/{number:03}.png", data)
    place = ("--data_url", f"obs://{photos.name}/photos/split/", "--run_eval", "true", "--eval_interval", 1)
    photos.train_on_copy(*place, ranks=ranks)
    room = 140
    before = len(photos.asked())
    with Disk(photos.folder / "cache/data") as disk:
        done = photos.train("stream", "streamed", *place, "--cache_gb", len(data) * room / 1e9, ranks=ranks)
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    assert 0 < disk.most <= len(data) * room
    kept = room - 12 * BATCH * ranks
    order = BatchRange(0, 0).order(trained, BATCH, SEED)
    steps = trained // BATCH
    read = []
    for epoch in range(EPOCHS):
        for step in range(epoch * steps, (epoch + 1) * steps):
            read += order.batch(step, BATCH)[1].tolist()
        read += range(trained, trained + evaluated)
    ahead = (
        4 * BATCH * ranks
    )  # of the training that threads ask for before an evaluation ends, at each of two
    fetched = len(photos.asked()) - before
    assert trained + evaluated < fetched <= by_min(read, kept) + EPOCHS * ahead


@pytest.mark.heavy
def test_an_evaluation_of_pairs_asks_ahead(minio, bucket, fault_proxy, tmp_path):
    """Eight batches are under way while the first image does not come."""
    from mindlift.data.embedded import vocdigits

    photos = Bucket(minio, bucket, fault_proxy, tmp_path, 1)
    root = vocdigits.build_voc(tmp_path / "made")
    lines = (root / "voc_val_lst.txt").read_text().splitlines()[:60]
    for name in ("voc_val_lst.txt", "voc_train_lst.txt"):
        (root / name).write_text("\n".join(lines) + "\n")
    names = [word for line in lines for word in line.split()]
    for name in ["voc_train_lst.txt", "voc_val_lst.txt", *names]:
        photos.client.upload_file(str(root / name), bucket, f"voc/{name}")
    words = ["--net", "deeplab_v3_r26_s16", "--dataset", "voc", "--num_classes", 11, "--image_size", 65]
    words += ["--enable_modelarts", "True", "--data_url", f"obs://{bucket}/voc/"]
    more = ["--max_steps", 1, "--per_batch_size", 4, "--run_eval", "false", "--ckpt_path", tmp_path / "run"]
    done = run_program("train.py", *words, *more, **photos.env)
    assert done.code == 0, done.err + done.out
    shutil.rmtree(photos.folder / "cache/data")
    limit = sum((root / name).stat().st_size for name in names) * 0.8 / 1e9
    words += [
        "--per_batch_size",
        1,
        "--pretrained",
        tmp_path / "run",
        "--stage",
        "stream",
        "--cache_gb",
        limit,
    ]
    photos.proxy.requests.clear()
    photos.proxy.add(Fault("stall", path=lines[0].split()[0], seconds=300, times=None))
    process = subprocess.Popen(
        [sys.executable, ROOT / "eval.py", *map(str, words)],
        env=environment(**photos.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: len(pairs_asked(photos)) >= 16, process)
    finally:
        process.kill()
        process.wait()
    first = {f"/{bucket}/voc/{name}" for line in lines[:8] for name in line.split()}
    assert pairs_asked(photos) == first


def pairs_asked(photos: Bucket) -> set[str]:
    """The images and labels that were asked for."""
    targets = (each.target for each in photos.proxy.requests if each.method == "GET")
    return {target for target in targets if target.endswith((".jpg", ".png"))}


@pytest.mark.heavy
def test_a_cache_of_less_than_a_few_batches(photos):
    done = photos.train("stream", "streamed", "--cache_gb", 0.000_001)
    assert done.code == 2, done.err + done.out
    assert "--cache_gb 1e-06: 16 batches of this node's ranks take up to" in done.error


def slow(photos: Bucket) -> None:
    """About 20 images a second come, by 64 at a time."""
    photos.proxy.add(Fault("trickle", path="photos/class", rate=400, times=None))


@pytest.mark.heavy
def test_two_jobs_fetch_each_image_once(photos):
    """The second one reads what the first one fetches, and goes on with it when that ends."""
    photos.train_on_copy()
    before = len(photos.asked())
    slow(photos)
    with photos.start("stream", "first") as first, photos.start("stream", "second") as second:
        outs = [process.communicate(timeout=300) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outs
    assert sum("another job fetches obs://" in out for out, _ in outs) == 1
    same(photos.weights("copied"), photos.weights("first"))
    same(photos.weights("copied"), photos.weights("second"))
    asked = photos.asked()[before:]
    assert len(asked) == len({*asked}) == IMAGES


@pytest.mark.heavy
@pytest.mark.parametrize("cache", [0, 3])
def test_the_second_job_goes_on_where_the_first_was_killed(photos, cache):
    photos.train_on_copy()
    more = ("--cache_gb", size_of(photos) / cache / 1e9) if cache else ()
    slow(photos)
    first = photos.start("stream", "first", *more)
    assert first.stdout
    assert any(" are fetched while they are read" in line for line in first.stdout)
    with photos.start("stream", "second", *more) as second:
        assert second.stdout
        assert any("another job fetches obs://" in line for line in second.stdout)
        time.sleep(2)
        first.kill()
        out, err = second.communicate(timeout=300)
    first.communicate()
    assert second.returncode == 0, err + out
    assert re.search("the job that fetched obs://.* has ended: this one goes on with it", out)
    same(photos.weights("copied"), photos.weights("second"))
