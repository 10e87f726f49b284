from __future__ import annotations

from pathlib import Path

import pytest

from mindlift.errors import DataError
from mindlift.model_utils.staging.named_images import Image, find_images
from mindlift.storage.moxing import file


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_files_as_they_are_and_folders_sorted_with_all_below(tmp_path):
    touch(tmp_path, "f/b.png", "f/a/z.JPG", "f/a/notes.txt", "f/.hidden/x.png", "f/._b.png", "odd.dat")
    words = [str(tmp_path / "odd.dat"), str(tmp_path / "f")]
    found = find_images(words, tmp_path / "cache", print)
    assert [image.name for image in found] == [words[0], f"{tmp_path}/f/a/z.JPG", f"{tmp_path}/f/b.png"]
    assert all(image.path.is_file() for image in found)


def test_what_is_not_there_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such image or folder: nowhere.png"):
        find_images(["nowhere.png"], tmp_path, print)
    with pytest.raises(DataError, match=r"no images \(.jpg.*\) in .*empty"):
        find_images([str(tmp_path / "empty")], tmp_path, print)


def test_urls_are_copied_here_and_keep_their_names(tmp_path, url):
    for name in ("set/b.png", "set/a/c.jpg", "set/readme.md", "one.png"):
        file.write(f"{url}/{name}", name)
    said: list[str] = []
    found = find_images([f"{url}/set", f"{url}/one.png"], tmp_path, said.append, show_bar=False)
    assert [image.name for image in found] == [f"{url}/set/a/c.jpg", f"{url}/set/b.png", f"{url}/one.png"]
    assert [image.path.read_text() for image in found] == ["set/a/c.jpg", "set/b.png", "one.png"]
    assert not list(tmp_path.rglob("readme.md")), "only images are copied"
    with pytest.raises(DataError, match=f"no such image or folder: {url}/none"):
        find_images([f"{url}/none"], tmp_path, said.append)
    assert isinstance(found[0], Image)
