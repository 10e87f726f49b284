"""Which data can be streamed, and how that begins: the folder in the cache, the index, the process that fetches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from mindlift.files import expanded
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging.stager import Stager, beside
from mindlift.model_utils.streaming import archived, data_index, streamer
from mindlift.model_utils.streaming.pieces import Finder
from mindlift.model_utils.streaming.streamer import Coming, Streamer
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying.progress import as_bytes
from mindlift.storage.places import locate
from mindlift.storage.s3.store import S3Store
from mindlift.storage.url import is_remote, local_path

PLACES = {streamer.DATA: "data", streamer.IMAGES: "images", streamer.ALL: "inputs"}  # below the cache


class How(NamedTuple):
    """How a folder is streamed."""

    is_auto: bool = False  # it has been fetched when it begins, if that takes less than streamer.QUICK_S
    takes: str = streamer.DATA
    index_place: str = ""  # of the folder's index, which is written if it is not there
    cache_bytes: int = 0  # no more of its files are here at a time; 0: no limit
    readers: int = 1  # ranks that say how far they are, where there is such a limit
    finder: Finder | None = None  # of objects that are fetched in parts
    under_way_bytes: float = math.inf


class Begun(NamedTuple):
    """The process that fetches a folder, the folder here, and the one that its readers look into."""

    streamer: Streamer
    target: Path
    control: Path


def is_folder(source: Source) -> bool:
    """Whether it is a folder of a bucket."""
    if not is_remote(source.url):
        return False
    store, key = locate(source.url)
    entry = store.stat(key)
    return entry is not None and entry.is_folder


def can_stream(stager: Stager, source: Source, finder: Finder | None = None) -> bool:
    """Whether it is in a bucket, and files of it, or parts of them, can be fetched one by one; says why not."""
    if not is_remote(source.url):
        return False
    held = archived.held_at(source.url)
    why = archived.cannot(held) if held else ""
    if why:
        stager.say(f"{source.url} is copied, not streamed: {why}; a .zip or a .tar can be streamed")
    elif (held or finder) and not isinstance(locate(source.url)[0], S3Store):
        why = "the platform's moxing copies files as a whole"
        stager.say(f"{source.url} is copied, not streamed: {why}")
    elif held and finder:
        why = "shards in an archive can't be read row by row; put them into a folder"
        stager.say(f"{source.url} is copied, not streamed: {why}")
    return not why and (held is not None or is_folder(source))


def start(stager: Stager, source: Source, how: How, stdout: int | None = None) -> Begun:
    """Begin to fetch a folder of a bucket, of some objects the parts that a finder finds. Its lines go to `stdout`."""
    held = archived.held_at(source.url) if how.takes == streamer.DATA else None
    target = stager.place("members" if held or how.finder else PLACES[how.takes], source)
    control = beside(target, "stream")
    request = streamer.Request(
        source.url,
        target,
        control,
        beside(target, "lock"),
        beside(target, "sync"),
        stager.timeout_s,
        how.takes,
        local_index(stager, how.index_place, source.url) if how.index_place else None,
        how.cache_bytes,
        how.readers,
        held,
        how.finder,
        how.under_way_bytes,
        f"read-{uuid4().hex}",
    )
    process = Streamer(request, stdout)
    try:
        wait_or_say(stager, process, process.begun(), how)
    except BaseException:
        process.close()
        raise
    return Begun(process, target, control)


def wait_or_say(stager: Stager, process: Streamer, coming: Coming, how: How) -> None:
    """Wait for all of it if that is quick, else say that it arrives while it is read."""
    what = f"{coming.files:,} files of {process.request.url}, {as_bytes(coming.size)},"
    seconds = process.left_s(coming) if how.is_auto and not coming.is_cached else math.inf
    if coming.is_cached and not coming.is_shared:
        stager.say(
            f"{what} are fetched while they are read; at most {as_bytes(how.cache_bytes)} are here at a time (--cache_gb)"
        )
    elif seconds < streamer.QUICK_S and not coming.is_shared:
        stager.say(f"{what} are copied first, because that takes {seconds:.0f} s")
        process.finish()
    elif how.is_auto:
        stager.say(f"{what} are fetched while they are read, because a copy would take {seconds:.0f} s")
    else:
        stager.say(f"{what} are fetched while they are read")


def local_index(stager: Stager, place: str, url: str) -> Path:
    """The local file of the index of `url` that is at `place`, or is written there now."""
    if not is_remote(place):
        path = Path(expanded(local_path(place)))
        if not path.exists():
            write_index(stager, path, place, url)
        return path
    path = stager.place("indexes", Source(place))
    store, key = locate(place)
    with stager.alone(path, place):
        if store.stat(key) is None:
            write_index(stager, path, place, url)
            transfer.copy_file(str(path), place)
        else:
            stager.fetch(place, path)
    return path


def write_index(stager: Stager, path: Path, place: str, url: str) -> None:
    files, size = data_index.write_listing(path, url, stager.say)
    stager.say(f"--data_index {place}: written, {files:,} files of {url}, {as_bytes(size)}")
