"""Trainings that stream the files in archives: the weights of unpacked ones, and no byte more than needed."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile

import pytest

from tests.support.photo_bucket import IMAGES, Bucket, same


@pytest.fixture
def photos(minio, bucket, fault_proxy, tmp_path) -> Bucket:
    return Bucket(minio, bucket, fault_proxy, tmp_path)


def images(photos: Bucket) -> dict[str, bytes]:
    found = photos.client.list_objects_v2(Bucket=photos.name, Prefix="photos/")["Contents"]
    return {
        each["Key"][len("photos/") :]: photos.client.get_object(Bucket=photos.name, Key=each["Key"])[
            "Body"
        ].read()
        for each in found
    }


def tar_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def packed(photos: Bucket, form: str) -> str:
    """The place of the images in this form."""
    files = images(photos)
    if form == "a tar for each class":
        for name in sorted({key.partition("/")[0] for key in files}):
            own = {key.partition("/")[2]: data for key, data in files.items() if key.startswith(f"{name}/")}
            photos.client.put_object(Bucket=photos.name, Key=f"packed/{name}.tar", Body=tar_of(own))
        photos.client.put_object(Bucket=photos.name, Key="packed/README.md", Body=b"words")
        return f"obs://{photos.name}/packed/"
    name, data = ("all.zip", zip_of(files)) if form == "a zip" else ("all.tar", tar_of(files))
    photos.client.put_object(Bucket=photos.name, Key=name, Body=data)
    return f"obs://{photos.name}/{name}"


@pytest.mark.heavy
@pytest.mark.parametrize("form", ["a tar for each class", "a tar", "a zip"])
def test_the_weights_are_those_of_unpacked_archives(photos, form):
    place = ("--data_url", packed(photos, form))
    photos.train_on_copy(*place)
    before = len(photos.proxy.requests)
    done = photos.train("stream", "streamed", *place)
    assert done.code == 0, done.err + done.out
    beside = form == "a tar for each class"  # README.md
    assert f"{IMAGES + beside} files of {place[1]}, " in done.out
    assert "are fetched while they are read" in done.out
    same(photos.weights("copied"), photos.weights("streamed"))
    asked = [
        each
        for each in photos.proxy.requests[before:]
        if (each.method == "GET" and ".zip" in each.target) or ".tar" in each.target
    ]
    assert len(asked) >= IMAGES
    again = len(photos.proxy.requests)
    done = photos.train("stream", "again", *place)
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("again"))
    late = [
        each.target
        for each in photos.proxy.requests[again:]
        if each.method == "GET" and "list-type" not in each.target
    ]
    assert not [
        target for target in late if target.endswith((".tar", ".zip"))
    ], "neither headers nor files are fetched again"


@pytest.mark.heavy
def test_archives_on_a_small_disk(photos):
    """Sixteen batches of one image fit."""
    place = ("--data_url", packed(photos, "a tar for each class"), "--per_batch_size", 1)
    photos.train_on_copy(*place)
    limit = max(map(len, images(photos).values())) * 17 / 1e9
    done = photos.train("stream", "streamed", *place, "--cache_gb", limit)
    assert done.code == 0, done.err + done.out
    same(photos.weights("copied"), photos.weights("streamed"))


@pytest.mark.heavy
def test_an_archive_that_has_changed_since_its_index_was_written(photos):
    place, index = packed(photos, "a tar"), str(photos.folder / "index.gz")
    words = ("--data_url", place, "--data_index", index)
    done = photos.train("stream", "first", *words)
    assert done.code == 0, done.err + done.out
    assert f"--data_index {index}: written, {IMAGES} files" in done.out
    shutil.rmtree(photos.folder / "cache")
    files = {name: data for name, data in images(photos).items() if not name.endswith("000.png")}
    photos.client.put_object(Bucket=photos.name, Key="all.tar", Body=tar_of(files))
    done = photos.train("stream", "second", *words)
    assert done.code == 0, done.err + done.out
    assert "reading the headers of 1 archives" in done.out
    assert f"{IMAGES - 1} files of {place}, " in done.out


@pytest.mark.heavy
def test_a_compressed_tar_is_copied_and_said(photos):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in images(photos).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    photos.client.put_object(Bucket=photos.name, Key="all.tar.gz", Body=made.getvalue())
    place = ("--data_url", f"obs://{photos.name}/all.tar.gz", "--max_steps", 1)
    done = photos.train("stream", "streamed", *place)
    assert done.code == 0, done.err + done.out
    assert "all.tar.gz is copied, not streamed: all.tar.gz is compressed as a whole" in done.out
