from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from mindlift.errors import DataError
from mindlift.model_utils.named_images import Image, find_images
from mindlift.model_utils.staging.stager import Stager
from mindlift.model_utils.streaming import arrivals
from mindlift.storage.moxing import file


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def found_by(words: list[str], cache: Path, say=print, stage: str = "copy", until: ExitStack | None = None):
    return find_images(words, Stager(cache, say, False, 60), stage, until or ExitStack())


def test_files_as_they_are_and_folders_sorted_with_all_below(tmp_path):
    touch(tmp_path, "f/b.png", "f/a/z.JPG", "f/a/notes.txt", "f/.hidden/x.png", "f/._b.png", "odd.dat")
    words = [str(tmp_path / "odd.dat"), str(tmp_path / "f")]
    found = found_by(words, tmp_path / "cache")
    assert [image.name for image in found] == [words[0], f"{tmp_path}/f/a/z.JPG", f"{tmp_path}/f/b.png"]
    assert all(image.path.is_file() for image in found)


def test_what_is_not_there_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such image or folder: nowhere.png"):
        found_by(["nowhere.png"], tmp_path)
    with pytest.raises(DataError, match=r"no images \(.jpg.*\) in .*empty"):
        found_by([str(tmp_path / "empty")], tmp_path)


def test_urls_are_copied_here_and_keep_their_names(tmp_path, url):
    for name in ("set/b.png", "set/a/c.jpg", "set/readme.md", "one.png"):
        file.write(f"{url}/{name}", name)
    said: list[str] = []
    found = found_by([f"{url}/set", f"{url}/one.png"], tmp_path, said.append)
    assert [image.name for image in found] == [f"{url}/set/a/c.jpg", f"{url}/set/b.png", f"{url}/one.png"]
    assert [image.path.read_text() for image in found] == ["set/a/c.jpg", "set/b.png", "one.png"]
    assert not list(tmp_path.rglob("readme.md")), "only images are copied"
    with pytest.raises(DataError, match=f"no such image or folder: {url}/none"):
        found_by([f"{url}/none"], tmp_path)
    assert isinstance(found[0], Image)


@pytest.mark.parametrize("stage", ["stream", "auto"])
def test_images_at_a_url_arrive_while_they_are_read(tmp_path, url, stage, monkeypatch):
    monkeypatch.setattr(arrivals.ARRIVALS, "folders", [])
    for name in ("set/b.png", "set/a/c.jpg", "set/readme.md", "set/.hidden/d.png", "texts/e.txt"):
        file.write(f"{url}/{name}", name)
    said: list[str] = []
    with ExitStack() as until:
        found = found_by([f"{url}/set"], tmp_path, said.append, stage, until)
        assert [image.name for image in found] == [f"{url}/set/a/c.jpg", f"{url}/set/b.png"]
        assert [arrivals.read_bytes(str(image.path)) for image in found] == [b"set/a/c.jpg", b"set/b.png"]
        with pytest.raises(DataError, match=rf"no images \(.jpg.*\) at {url}/texts"):
            found_by([f"{url}/texts"], tmp_path, stage=stage, until=until)
    assert said[0].startswith(f"2 files of {url}/set, 20 B, are ")
    assert not [*tmp_path.rglob("readme.md"), *tmp_path.rglob("d.png")], "only images are fetched"
