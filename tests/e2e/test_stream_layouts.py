"""Trainings that stream what is no folder of class folders: the weights of copied data."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mindlift.data.classification import cifar10
from tests.support.faults import Fault
from tests.support.photo_bucket import CLASSES, IMAGES, Bucket, same
from tests.support.programs import ROOT, run_program
from tests.support.records import convert

RECORDS = 40  # of a file of CIFAR
RECIPE = ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
CIFAR = ["--config_path", RECIPE, "--dataset", "cifar10", "--num_classes", 10, "--image_size", 32]
TRAINED = ["train.py", *CIFAR, "--per_batch_size", 8, "--max_epoch", 1, "--run_eval", "true"]


@pytest.fixture
def photos(minio, bucket, fault_proxy, tmp_path) -> Bucket:
    return Bucket(minio, bucket, fault_proxy, tmp_path)


def put_cifar(photos: Bucket) -> str:
    rng = np.random.default_rng(27)
    for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        images = rng.integers(0, 256, (RECORDS, 32, 32, 3), np.uint8)
        cifar10.write_batch(photos.folder / name, images, np.arange(RECORDS) % 10)
        photos.client.upload_file(
            str(photos.folder / name), photos.name, f"cifar/cifar-10-batches-bin/{name}"
        )
    return f"obs://{photos.name}/cifar/"


def train(photos: Bucket, words: list, place: str, stage: str, *more: object):
    where = ["--enable_modelarts", "True", "--data_url", place, "--ckpt_path", photos.folder / stage]
    return run_program(*words, *where, "--stage", stage, *more, **photos.env)


@pytest.mark.heavy
def test_cifar_arrives_file_by_file(photos):
    """An evaluation needs only its own."""
    place = put_cifar(photos)
    done = train(photos, TRAINED, place, "copy")
    assert done.code == 0, done.err + done.out
    shutil.rmtree(photos.folder / "cache/data")
    done = train(photos, TRAINED, place, "stream")
    assert done.code == 0, done.err + done.out
    assert f"3 files of {place}, " in done.out
    assert "are fetched while they are read" in done.out
    same(photos.weights("copy"), photos.weights("stream"))
    words = ["eval.py", *CIFAR, "--pretrained", photos.folder / "copy"]
    shutil.rmtree(photos.folder / "cache/data")
    photos.proxy.clear()
    photos.proxy.add(Fault("stall", path="data_batch", seconds=300, times=None))
    where = ("--enable_modelarts", "True", "--data_url", place, "--stage", "stream")
    done = run_program(*words, *where, **photos.env)
    assert done.code == 0, "an evaluation does not need the files of the training\n" + done.err + done.out
    assert f"of {RECORDS})" in done.out


@pytest.mark.heavy
def test_cifar_in_shards_arrives_as_whole_shards(photos):
    put_cifar(photos)
    records = photos.folder / "records"
    words = ["--dataset", "cifar10", "--data_dir", photos.folder, "--out", records, "--num_shards", 2]
    convert("to_mindrecord", *words)
    for path in records.iterdir():
        photos.client.upload_file(str(path), photos.name, f"records/{path.name}")
    place = f"obs://{photos.name}/records/"
    for stage in ("copy", "stream"):
        done = train(photos, TRAINED, place, stage, "--data_format", "mindrecord")
        assert done.code == 0, done.err + done.out
        shutil.rmtree(photos.folder / "cache/data")
    assert f"{len(list(records.iterdir()))} files of {place}, " in done.out
    same(photos.weights("copy"), photos.weights("stream"))


@pytest.mark.heavy
def test_a_cifar_file_that_is_cut_short_is_one_line(photos):
    place = put_cifar(photos)
    data = (photos.folder / "data_batch_2.bin").read_bytes()[:-1]
    photos.client.put_object(Bucket=photos.name, Key="cifar/cifar-10-batches-bin/data_batch_2.bin", Body=data)
    done = train(photos, TRAINED, place, "stream")
    assert done.code == 2, done.err + done.out
    assert "data_batch_2.bin: 122919 bytes is not a whole number of 3073-byte records" in done.error


@pytest.mark.heavy
def test_options_that_such_data_has_no_use_for(photos):
    place = put_cifar(photos)
    done = train(photos, TRAINED, place, "stream", "--cache_gb", 1)
    assert done.code == 2
    assert "--cache_gb 1: a disk that holds a part of the data" in done.error


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_images_with_several_labels(photos, ranks):
    """The file of labels comes before the images, whose names here are those that people give."""
    lines = ["image,cat,dog"]
    names = [
        f"a photo+{number:03} 100% 猫.JPG" if number % 2 else f"{number:03}.png" for number in range(IMAGES)
    ]
    data = (photos.folder / "photo.png").read_bytes()
    for number, name in enumerate(names):
        photos.client.put_object(Bucket=photos.name, Key=f"several/{name}", Body=data)
        lines.append(f"{name},{number % 2},{number // 2 % 2}")
    text = ("\n".join(lines) + "\n").encode()
    photos.client.put_object(Bucket=photos.name, Key="several/labels.csv", Body=text)
    words = ["--dataset", "multilabel", "--num_classes", 2, "--data_url", f"obs://{photos.name}/several/"]
    photos.train_on_copy(*words, ranks=ranks)
    done = photos.train("stream", "streamed", *words, ranks=ranks)
    assert done.code == 0, done.err + done.out
    assert f"{IMAGES + 1} files of obs://{photos.name}/several/, " in done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_names_that_people_give(photos):
    """Spaces, `%`, `+`, letters of other scripts, folders in class folders, suffixes in capitals, an empty text file."""
    data = (photos.folder / "photo.png").read_bytes()
    for number in range(12):
        folder = ("cats & dogs", "100% 猫", "a+b")[number % CLASSES]
        name = ("in here/Ünï 1+1=2.PNG", "%41%2F.Jpeg", "b c.jpg", "#1?x=y&z.png")[number // CLASSES]
        photos.client.put_object(Bucket=photos.name, Key=f"named/{folder}/{name}", Body=data)
    photos.client.put_object(Bucket=photos.name, Key="named/a+b/notes.txt", Body=b"")
    place = ("--data_url", f"obs://{photos.name}/named/")
    photos.train_on_copy(*place)
    done = photos.train("stream", "streamed", *place)
    assert done.code == 0, done.err + done.out
    assert f"13 files of obs://{photos.name}/named/, " in done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_an_empty_image_is_named(photos):
    photos.put("class_1/007.png", b"")
    for stage in ("copy", "stream"):
        done = photos.train(stage, stage)
        assert done.code == 2, done.err + done.out
        assert "class_1/007.png" in done.error
        done = photos.train(stage, f"{stage}_skips", "--skip_corrupt", "true")
        assert done.code == 0, done.err + done.out
    same(photos.weights("copy_skips"), photos.weights("stream_skips"))
