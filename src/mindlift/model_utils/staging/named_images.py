"""Which images a command line names: files, folders with all that is below them, and both by URL."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Callable, NamedTuple

from mindlift.errors import DataError
from mindlift.files import expanded
from mindlift.locks import alone
from mindlift.model_utils import image_files
from mindlift.storage.url import is_remote, join

Say = Callable[[str], None]
WAIT_S = 7200.0  # for another program that copies the same


class Image(NamedTuple):
    """An image by the name that the user knows it by, and the local file."""

    name: str
    path: Path


def find_images(words: Iterable[str], cache: Path, say: Say, show_bar: bool | None = None) -> list[Image]:
    """All images, in the order of `words` and by name within a folder. DataError for what is not there.

    A file that is named itself is taken whatever its suffix. What is at a URL is copied below `cache`.
    """
    local = [word for word in words if not is_remote(word)]
    for word in local:  # before anything is copied
        if not Path(expanded(word)).exists():
            raise DataError(f"no such image or folder: {word}")
    found: list[Image] = []
    for word in words:
        if is_remote(word):
            found += remote_images(word, cache / "images", say, show_bar)
        else:
            found += local_images(word, say)
    return found


def local_images(word: str, say: Say) -> list[Image]:
    path = Path(expanded(word))
    if not path.is_dir():
        return [Image(word, path)]
    found = image_files.find(path)
    left_out = image_files.line(path, found.left_out)
    if not found.files:
        raise DataError(
            f"no images ({', '.join(image_files.SUFFIXES)}) in {path}" + (f"; {left_out}" if left_out else "")
        )
    if left_out:
        say(left_out)
    return [Image(file, Path(file)) for file in found.files]


def remote_images(url: str, cache: Path, say: Say, show_bar: bool | None) -> list[Image]:
    """Copies of the images at `url`, a file or a folder, by their URLs."""
    from mindlift.storage.copying import copy as transfer
    from mindlift.storage.places import locate

    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        raise DataError(f"no such image or folder: {url}")
    target = cache / sha256(url.rstrip("/").encode()).hexdigest()[:12]
    lock = alone(target.with_name(f".{target.name}.lock"), f"copy {url}", WAIT_S, say)
    if not entry.is_folder:
        file = target / Path(entry.key).name
        with lock:
            say(transfer.copy_file(url, str(file)).as_line())
        return [Image(url, file)]
    names = sorted(
        each.key[len(entry.key) :]
        for each in store.walk(entry.key)
        if image_files.is_image(each.key[len(entry.key) :])
    )
    if not names:
        raise DataError(f"no images ({', '.join(image_files.SUFFIXES)}) at {url}")
    sync = target.with_name(f".{target.name}.sync")  # what has been copied before stays
    with lock:
        report = transfer.copy_tree(url, str(target), names, manifest=sync, say=say, show_bar=show_bar)
    say(report.as_line())
    return [Image(join(url, name), target / name) for name in names]
