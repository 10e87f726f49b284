"""Which images a command line names: files, folders with all that is below them, and both by URL."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mindlift.errors import DataError
from mindlift.files import expanded
from mindlift.model_utils import image_files
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.stager import Stager, beside
from mindlift.model_utils.streaming.arrivals import ARRIVALS, Arriving
from mindlift.model_utils.streaming.start import How, start
from mindlift.model_utils.streaming.streamer import IMAGES
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying.progress import Say
from mindlift.storage.places import locate
from mindlift.storage.url import is_remote, join


class Image(NamedTuple):
    """An image by the name that the user knows it by, and the local file."""

    name: str
    path: Path


def find_images(words: Iterable[str], stager: Stager, stage: str, until: ExitStack) -> list[Image]:
    """All images, in the order of `words` and by name within a folder. DataError for what is not there.

    A file that is named itself is taken whatever its suffix. What is at a URL is copied, or by `stage` streamed: a
    folder's images then arrive while they are read, until `until` closes.
    """
    local = [word for word in words if not is_remote(word)]
    for word in local:  # before anything is copied
        if not Path(expanded(word)).exists():
            raise DataError(f"no such image or folder: {word}")
    found: list[Image] = []
    for word in words:
        if is_remote(word):
            found += remote_images(word, stager, stage, until)
        else:
            found += local_images(word, stager.say)
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


def remote_images(url: str, stager: Stager, stage: str, until: ExitStack) -> list[Image]:
    """The images at `url`, a file or a folder, by their URLs."""
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        raise DataError(f"no such image or folder: {url}")
    if entry.is_folder and stage != "copy":
        return streamed(url, stager, stage == "auto", until)
    target = stager.place("images", Source(url))
    if not entry.is_folder:
        file = target / Path(entry.key).name
        with stager.alone(target, url):
            stager.say(transfer.copy_file(url, str(file)).as_line())
        return [Image(url, file)]
    names = sorted(
        each.key[len(entry.key) :]
        for each in store.walk(entry.key)
        if image_files.is_image(each.key[len(entry.key) :])
    )
    if not names:
        raise DataError(f"no images ({', '.join(image_files.SUFFIXES)}) at {url}")
    with stager.alone(target, url):  # what has been copied before stays
        report = transfer.copy_tree(
            url, str(target), names, manifest=beside(target, "sync"), say=stager.say, show_bar=stager.show_bar
        )
    stager.say(report.as_line())
    return [Image(join(url, name), target / name) for name in names]


def streamed(url: str, stager: Stager, is_auto: bool, until: ExitStack) -> list[Image]:
    streamer, target, control = start(stager, Source(url), How(is_auto, IMAGES))
    until.callback(streamer.close)
    arriving = Arriving(target, control, stager.timeout_s, stager.say)
    ARRIVALS.begin(arriving)
    return [Image(join(url, name), target / name) for name in arriving.names]
