"""Trainings that begin while their images arrive: the same weights as after a copy, whatever happens to the process or the store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindlift.data.order import reading_order, shuffled
from tests.support.faults import Fault
from tests.support.photo_bucket import CLASSES, IMAGES, SEED, Bucket, same
from tests.support.programs import ROOT, environment, run_program, wait_for


@pytest.fixture
def bucket_of_photos(minio, bucket, fault_proxy, tmp_path) -> Bucket:
    return Bucket(minio, bucket, fault_proxy, tmp_path)


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_the_weights_are_those_of_a_copy(bucket_of_photos, ranks):
    """Each image is asked for once."""
    photos = bucket_of_photos
    photos.train_on_copy(ranks=ranks)
    before = len(photos.asked())
    done = photos.train("stream", "streamed", ranks=ranks)
    assert done.code == 0, done.err + done.out
    assert f"{IMAGES} files of obs://{photos.name}/photos/, " in done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    asked = photos.asked()[before:]
    assert sorted(asked) == sorted({*asked})
    assert len(asked) == IMAGES


@pytest.mark.heavy
def test_an_evaluation_asks_for_what_it_evaluates_first(bucket_of_photos):
    photos = bucket_of_photos
    assert photos.train("copy", "copied").code == 0
    for number in range(12):
        data = (photos.folder / "photo.png").read_bytes()
        photos.put(f"split/train/class_{number % CLASSES}/{number:03}.png", data)
        photos.put(f"split/val/class_{number % CLASSES}/{number:03}.png", data)
    photos.proxy.clear()
    photos.proxy.add(Fault("stall", path="photos/split/train", seconds=300, times=None))
    words = ["--net", "densenet22", "--dataset", "imagenet", "--num_classes", CLASSES, "--image_size", 16]
    place = [
        "--enable_modelarts",
        "True",
        "--data_url",
        f"obs://{photos.name}/photos/split/",
        "--stage",
        "stream",
    ]
    done = run_program("eval.py", *words, *place, "--pretrained", photos.folder / "copied", **photos.env)
    assert done.code == 0, done.err + done.out
    assert "of 12)" in done.out
    assert {name for name in photos.asked() if "/val/" in name} == {
        f"split/val/class_{number % CLASSES}/{number:03}.png" for number in range(12)
    }


def lists(photos: Bucket) -> int:
    """Lists but for questions whether a folder is there, and what is directly in it: folders, or archives."""
    targets = [request.target for request in photos.proxy.requests if "list-type=2" in request.target]
    return sum(re.search(r"max-keys=1(&|$)|delimiter=", target) is None for target in targets)


def test_an_index_takes_the_place_of_the_listing(bucket_of_photos):
    photos = bucket_of_photos
    place = f"obs://{photos.name}/photos.index.gz"
    words = ["data", "index", f"obs://{photos.name}/photos/", "--out", place]
    made = subprocess.run(
        [sys.executable, "-m", "mindlift", *words],
        env=environment(**photos.env, PYTHONPATH=str(ROOT / "src")),
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{IMAGES} files, ")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(photos.folder / "black.png")
    photos.put("class_1/007.png", (photos.folder / "black.png").read_bytes())
    photos.put("class_1/new.png", b"not seen")
    before = lists(photos)
    done = photos.train("stream", "streamed", "--data_index", place)
    assert done.code == 0, done.err + done.out
    assert lists(photos) == before
    assert "photos/class_1/007.png has changed since it was listed" in done.out
    assert not list(photos.folder.glob("cache/**/new.png"))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("rate", "said"), [(10**9, "are copied first, because that takes"), (60, "a copy would take")]
)
def test_auto_decides_by_the_network(bucket_of_photos, rate, said):
    photos = bucket_of_photos
    photos.proxy.add(Fault("trickle", path="photos/class", rate=rate, times=None))
    with photos.start("auto") as process:
        assert process.stdout
        assert any(said in line for line in process.stdout)
        process.kill()


@pytest.mark.heavy
def test_what_is_here_is_not_asked_for(bucket_of_photos):
    photos = bucket_of_photos
    assert photos.train("copy", "copied").code == 0
    done = photos.train("stream", "streamed")
    assert done.code == 0, done.err + done.out
    assert "0 files of obs://" in done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    assert len(photos.asked()) == IMAGES


def in_order(done: int) -> list[str]:
    """The images as 4 at a time are read after `done` steps; order.py has tests of its own."""
    names = sorted(f"class_{number % CLASSES}/{number:03}.png" for number in range(IMAGES))
    return [names[index] for index in reading_order(IMAGES, 4, shuffled(IMAGES, SEED), done * 4)]


def killed_at(photos: Bucket, line: str) -> None:
    """Kill a training when it has printed its first line of an epoch."""
    with photos.start() as process:
        end = threading.Timer(150, process.kill)
        end.start()
        assert process.stdout
        assert any(each.startswith(line) for each in process.stdout)
        process.kill()
        end.cancel()


@pytest.mark.heavy
def test_a_killed_training_goes_on_where_it_was(bucket_of_photos):
    photos = bucket_of_photos
    photos.train_on_copy()
    late = "|".join(in_order(0)[IMAGES // 2 :])
    photos.proxy.add(Fault("stall", path=f"photos/({late})", seconds=300, times=None))
    killed_at(photos, "epoch 1 of")  # the first step needs nothing of what does not come
    assert len(list(photos.folder.glob("cache/data/*/*/*.png"))) == IMAGES // 2
    photos.proxy.clear()
    done = photos.train("stream", "streamed")
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    assert sorted(photos.asked()) == sorted(in_order(0)[IMAGES // 2 :])


@pytest.mark.heavy
def test_a_training_that_continues_asks_for_its_next_images_first(bucket_of_photos):
    photos = bucket_of_photos
    assert photos.train("copy", "copied").code == 0
    killed_at(photos, "epoch 2 of")
    shutil.rmtree(photos.folder / "cache/data")
    late = "|".join(in_order(IMAGES // 4)[4:])
    photos.proxy.add(Fault("stall", path=f"photos/({late})", seconds=300, times=None))
    killed_at(photos, "epoch 2 of")  # its first step needs nothing of what does not come
    photos.proxy.clear()
    done = photos.train("stream", "streamed")
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_an_image_that_is_gone_is_named(bucket_of_photos):
    photos = bucket_of_photos
    photos.proxy.add(Fault("status", path="class_1/007.png", status=404, code="NoSuchKey", times=None))
    done = photos.train("stream", "streamed", "--stage_timeout", 20)
    assert done.code == 1, done.err + done.out
    assert "class_1/007.png did not arrive" in done.error


@pytest.mark.heavy
def test_a_signal_ends_a_wait(bucket_of_photos):
    photos = bucket_of_photos
    photos.train_on_copy()
    steps = IMAGES // 8
    late = in_order(0)[steps * 4 + 1]
    photos.proxy.add(Fault("stall", path=late, seconds=300, times=None))
    rarely = ["--ckpt_interval", 100]
    process = subprocess.Popen(
        [sys.executable, *photos.words("stream", "streamed", *rarely)],
        cwd=ROOT,
        env=environment(**photos.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line.startswith("waiting for ") for line in process.stdout)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, out + err
    assert time.monotonic() - began < 15, "what ModelArts gives"
    assert f"stopped by SIGTERM after step {steps}; the same command continues" in err
    photos.proxy.clear()
    done = photos.train("stream", "streamed", *rarely)
    assert done.code == 0, done.err + done.out
    assert f"after step {steps}" in done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_an_image_that_does_not_come_ends_a_training_that_saves_its_last_step(bucket_of_photos):
    photos = bucket_of_photos
    photos.train_on_copy()
    steps = IMAGES // 8  # no end of an epoch saves it
    late = in_order(0)[steps * 4 + 1]
    photos.proxy.add(Fault("stall", path=late, seconds=300, times=None))
    rarely = ["--ckpt_interval", 100]  # the last step of an epoch is saved, too
    done = photos.train("stream", "streamed", "--stage_timeout", 60, *rarely)
    assert done.code == 1, done.err + done.out
    assert f"{late} did not arrive within --stage_timeout, 60 s" in done.error
    (saved,) = photos.folder.glob("streamed/*/checkpoints/*.ckpt")
    assert saved.stem.rpartition("_")[2] == str(steps)
    photos.proxy.clear()
    done = photos.train("stream", "streamed", *rarely)
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_a_store_that_is_away_is_waited_for(bucket_of_photos):
    photos = bucket_of_photos
    photos.proxy.add(Fault("trickle", path="photos/class", rate=4000, times=None))
    process = photos.start()
    wait_for(lambda: len(photos.asked()) > 10, process)
    photos.proxy.down(15)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err + out
    assert "files are here" in out


@pytest.mark.heavy
def test_a_training_says_that_nobody_fetches_any_more(bucket_of_photos):
    photos = bucket_of_photos
    late = "|".join(in_order(0)[IMAGES // 2 :])
    photos.proxy.add(Fault("stall", path=f"photos/({late})", seconds=300, times=None))
    with photos.start() as process:
        assert process.stdout
        assert any(
            line.startswith("waiting for class_") and "24 of 48 files are here" in line
            for line in process.stdout
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        fetching = [
            pid for pid in children if b"streaming.stream" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert len(fetching) == 1
        os.kill(int(fetching[0]), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "did not arrive: the process that fetches files has ended" in last


def test_what_is_not_streamed_is_said(bucket_of_photos):
    photos = bucket_of_photos
    photos.put("more.zip", b"PK")
    done = photos.train("stream", "streamed")
    assert done.code == 1
    assert "more.zip, beside other data: use --stage copy" in done.error


def test_predictions_are_those_of_a_copy(bucket_of_photos):
    """Nothing is trained: weights that were drawn do."""
    photos = bucket_of_photos
    exported = photos.train("copy", "copied", "--max_steps", 1)
    assert exported.code == 0, exported.err + exported.out
    found = []
    for stage in ("copy", "stream"):
        words = [f"obs://{photos.name}/photos/", "--ckpt_path", photos.folder / "copied", "--stage", stage]
        names = {"cache_path": photos.folder / stage, "output_json": photos.folder / f"{stage}.json"}
        more = [word for name, value in names.items() for word in (f"--{name}", value)]
        done = run_program("predict.py", *words, *more, **photos.env)
        assert done.code == 0, done.err + done.out
        found.append(json.loads((photos.folder / f"{stage}.json").read_text())["images"])
    assert len(found[0]) == IMAGES
    assert found[0] == found[1]


@pytest.mark.heavy
def test_pairs_to_segment_arrive_as_well(minio, bucket, fault_proxy, tmp_path):
    """The lists come first, and the rest of what no step needs yet may be missing."""
    from mindlift.data.embedded import vocdigits

    photos = Bucket(minio, bucket, fault_proxy, tmp_path)
    root = vocdigits.build_voc(tmp_path / "made")
    lines = (root / "voc_train_lst.txt").read_text().splitlines()[:12]
    (root / "voc_train_lst.txt").write_text("\n".join(lines) + "\n")
    for name in ["voc_train_lst.txt", *(word for line in lines for word in line.split())]:
        photos.client.put_object(Bucket=bucket, Key=f"voc/{name}", Body=(root / name).read_bytes())
    words = ["train.py", "--net", "deeplab_v3_r26_s16", "--dataset", "voc", "--num_classes", 11]
    words += ["--image_size", 65, "--per_batch_size", 4, "--max_epoch", 2, "--run_eval", "false"]
    words += ["--enable_modelarts", "True", "--data_url", f"obs://{bucket}/voc/"]
    for stage in ("copy", "stream"):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        done = run_program(*words, "--stage", stage, "--ckpt_path", tmp_path / stage, **photos.env)
        assert done.code == 0, done.err + done.out
        assert ("are fetched while they are read" in done.out) == (stage == "stream")
    same(photos.weights("copy"), photos.weights("stream"))
