"""Brings data sets and checkpoints to this machine's disk, once, and finds them there again."""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Callable, NamedTuple
from uuid import uuid4

from mindlift import json_text
from mindlift.errors import CheckpointError, DataError, StageError
from mindlift.files import expanded, remove_file, write_atomic
from mindlift.json_text import Record
from mindlift.locks import alone
from mindlift.model_utils import image_files, inputs
from mindlift.model_utils.hub import fetch as hub
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import archived, archives, data_index, members, streamer, unpack
from mindlift.model_utils.staging.cache_place import cache_folder as cache_folder
from mindlift.model_utils.staging.pieces import Finder
from mindlift.model_utils.staging.streamer import Streamer
from mindlift.models.weights.published import is_named
from mindlift.runs.manifest import MANIFEST, WEIGHTS, as_text, best_first
from mindlift.runs.paths import CLASSES
from mindlift.runs.remote import published, run_like
from mindlift.runs.sums import damaged, is_intact, record_of
from mindlift.storage.copying import copy as transfer
from mindlift.storage.copying.progress import Progress, as_bytes
from mindlift.storage.places import locate, names
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import Entry
from mindlift.storage.url import is_remote, join, local_path

Say = Callable[[str], None]
PLACES = {streamer.DATA: "data", streamer.IMAGES: "images", streamer.ALL: "inputs"}  # below the cache


class Begun(NamedTuple):
    """The process that fetches a folder, the folder here, and the one that its readers look into."""

    streamer: Streamer
    target: Path
    control: Path


class Stager:
    """Stages below the folder `cache`. Of several processes that stage the same, one does, and the others wait for it,
    at most `timeout_s`, and find it there."""

    def __init__(self, cache: Path, say: Say, show_bar: bool | None = None, timeout_s: float = 7200.0):
        self.cache, self.say, self.show_bar, self.timeout_s = cache, say, show_bar, timeout_s
        self.staged: list[Record] = []  # records of what was copied, see run_paths.transfers

    def data(self, source: Source, node: int = 0, nodes: int = 1) -> Path:
        """The folder with a data set: copied; an archive unpacked, without the lone folder around its content.

        A local folder is used in place. With `nodes` above 1, only the shards that `node` reads are copied.
        StageError if there is nothing, DataError for what is neither a folder nor an archive.
        """
        if not is_remote(source.url):
            return self.local_data(source)
        store, key = locate(source.url)
        entry = store.stat(key)
        if entry is None:
            raise StageError(f"no data at {source.url}: there is no such object or folder; check --data_url")
        target = self.place("data", source)
        if not entry.is_folder:
            archives.check_kind(source.url)
        with self.alone(target, source.url):
            if not entry.is_folder:
                return self.archive(source, entry, target)
            self.copy_folder(source.url, target, node, nodes)
        return self.opened(target)

    def is_folder(self, source: Source) -> bool:
        """Whether it is a folder of a bucket, which may be streamed."""
        if not is_remote(source.url):
            return False
        store, key = locate(source.url)
        entry = store.stat(key)
        return entry is not None and entry.is_folder

    def can_stream(self, source: Source, finder: Finder | None = None) -> bool:
        """Whether it is in a bucket, and files of it, or parts of them, can be fetched one by one; says why not."""
        if not is_remote(source.url):
            return False
        held = archived.held_at(source.url)
        why = archived.cannot(held) if held else ""
        if why:
            self.say(f"{source.url} is copied, not streamed: {why}; a .zip or a .tar can be streamed")
        elif (held or finder) and not isinstance(locate(source.url)[0], S3Store):
            why = "the platform's moxing copies files as a whole"
            self.say(f"{source.url} is copied, not streamed: {why}")
        elif held and finder:
            why = "shards in an archive can't be read row by row; put them into a folder"
            self.say(f"{source.url} is copied, not streamed: {why}")
        return not why and (held is not None or self.is_folder(source))

    def stream(
        self,
        source: Source,
        is_auto: bool,
        takes: str = streamer.DATA,
        stdout: int | None = None,
        index: str = "",
        cache_bytes: int = 0,
        readers: int = 1,
        finder: Finder | None = None,
        under_way_bytes: float = math.inf,
    ) -> Begun:
        """Begin to fetch a folder of a bucket, of some objects the parts that `finder` finds.

        `is_auto`: it has fetched all, if that takes less than streamer.QUICK_S. Its lines go to `stdout`.
        `index` is the place of the folder's index, which is written if it is not there. Of the files no more are here at a
        time than `cache_bytes`, if given; `readers` are the ranks that then say how far they are.
        """
        held = archived.held_at(source.url) if takes == streamer.DATA else None
        target = self.place("members" if held or finder else PLACES[takes], source)
        control = beside(target, "stream")
        request = streamer.Request(
            source.url,
            target,
            control,
            beside(target, "lock"),
            beside(target, "sync"),
            self.timeout_s,
            takes,
            self.index(index, source.url) if index else None,
            cache_bytes,
            readers,
            held,
            finder,
            under_way_bytes,
            f"read-{uuid4().hex}",
        )
        found = Streamer(request, stdout)
        try:
            coming = found.begun()
            what = f"{coming.files:,} files of {source.url}, {as_bytes(coming.size)},"
            seconds = found.left_s(coming) if is_auto and not coming.is_cached else math.inf
            if coming.is_cached and not coming.is_shared:
                self.say(
                    f"{what} are fetched while they are read; at most {as_bytes(cache_bytes)} are here at a time (--cache_gb)"
                )
            elif seconds < streamer.QUICK_S and not coming.is_shared:
                self.say(f"{what} are copied first, because that takes {seconds:.0f} s")
                found.finish()
            elif is_auto:
                self.say(f"{what} are fetched while they are read, because a copy would take {seconds:.0f} s")
            else:
                self.say(f"{what} are fetched while they are read")
        except BaseException:
            found.close()
            raise
        return Begun(found, target, control)

    def index(self, place: str, url: str) -> Path:
        """The local file of the index of `url` that is at `place`, or is written there now."""
        if not is_remote(place):
            path = Path(expanded(local_path(place)))
            if not path.exists():
                self.write_index(path, place, url)
            return path
        path = self.place("indexes", Source(place))
        store, key = locate(place)
        with self.alone(path, place):
            if store.stat(key) is None:
                self.write_index(path, place, url)
                transfer.copy_file(str(path), place)
            else:
                self.fetch(place, path)
        return path

    def write_index(self, path: Path, place: str, url: str) -> None:
        files, size = data_index.write_listing(path, url, self.say)
        self.say(f"--data_index {place}: written, {files:,} files of {url}, {as_bytes(size)}")

    def alone(self, target: Path, what: str) -> AbstractContextManager[None]:
        """Nobody else fills `target` in the block."""
        return alone(beside(target, "lock"), f"stage {what}", self.timeout_s, self.say)

    def local_data(self, source: Source) -> Path:
        path = Path(local_path(source.url))
        unpacked = path.with_name(members.stem(path.name))  # a mounted archive that is unpacked already
        for folder in (path, unpacked):
            if folder.is_dir():
                return self.opened(folder)
        if not path.is_file():
            raise DataError(
                f"{source.url} does not exist on this machine; a place in a bucket is written obs://bucket/folder/"
            )
        archives.check_kind(str(path))
        target = self.place("data", source)
        with self.alone(target, str(path)):
            return self.unpacked(path, target, fact(path))

    def copy_folder(self, url: str, target: Path, node: int, nodes: int) -> None:
        names = self.shards(url, node, nodes) if nodes > 1 else None
        hidden: list[str] = []

        def accepts(name: str) -> bool:
            if not image_files.is_data_path(name):
                hidden.append(name)
            return image_files.is_data_path(name)

        report = transfer.copy_tree(
            url,
            str(target),
            names,
            manifest=beside(target, "sync"),
            delete=nodes == 1,
            accepts=accepts,
            say=self.say,
            show_bar=self.show_bar,
        )
        if hidden:
            self.say(f"not copied from {url}: {len(hidden):,} hidden ones, such as {hidden[0]}")
        if not report.expected + report.unchanged:
            raise StageError(f"no data at {url}: the folder is empty; check --data_url")
        self.note(report)

    def shards(self, url: str, node: int, nodes: int) -> list[str]:
        store, key = locate(join(url, ""))
        names = [entry.key[len(key) :] for entry in store.walk(key) if not entry.is_folder]
        mine = inputs.shards_of(names, node, nodes)
        if len(mine) == len(names):
            raise DataError(
                f"--stage_mode node_shards: {url} has no <name>.mindrecord<number> files to share out between"
                f" {nodes} nodes; use --stage_mode all"
            )
        return mine

    def opened(self, folder: Path) -> Path:
        """`folder` itself, or what its archives hold: of a lone one that, of several a folder of links, named as they are."""
        inside = archives.inside(folder)
        unpacked = {name: self.beside_others(folder / name) for name in inside.archives}
        if len(unpacked) == 1:
            return unpacked.popitem()[1]
        if not unpacked:
            return folder
        links = {members.stem(name): target for name, target in unpacked.items()}
        links.update((name, folder / name) for name in inside.others)
        target = self.place("data", Source(str(folder / "archives")))
        with self.alone(target, str(folder)):
            archives.link(target, links)
        return target

    def beside_others(self, path: Path) -> Path:
        target = self.place("data", Source(str(path)))
        with self.alone(target, str(path)):
            return self.unpacked(path, target, fact(path))

    def archive(self, source: Source, entry: Entry, target: Path) -> Path:
        """Fetch and unpack an object, unless that has been done; the archive itself is not kept."""
        stamp = [entry.size, entry.etag, entry.modified_ns]
        if read_stamp(target) == stamp and target.is_dir():
            self.say(f"{source.url} is unpacked in {target} already")
            return archives.content(source.url, target)
        path = target.with_name(f"{target.name}-{Path(entry.key).name}")
        self.fetch(source.url, path)
        try:
            return self.unpacked(path, target, stamp)
        finally:
            remove_file(path)

    def unpacked(self, archive: Path, target: Path, stamp: list) -> Path:
        if read_stamp(target) != stamp or not target.is_dir():
            self.say(f"unpacking {archive}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with Progress(f"unpack {archive.name}", self.say, show_bar=False) as progress:
                unpack.unpack(archive, target, progress.add)
            write_atomic(beside(target, "unpacked"), json.dumps(stamp) + "\n")
        return archives.content(str(archive), target)

    def place(self, kind: str, source: Source) -> Path:
        """A folder for one source, the same for the same URL."""
        name = source.name or Path(source.url.rstrip("/")).name or "data"
        return (
            self.cache
            / kind
            / f"{name.split('.')[0]}-{sha256(source.url.rstrip('/').encode()).hexdigest()[:8]}"
        )

    def weights(self, url: str, every: bool = False) -> list[Path]:
        """The checkpoint `url`, or the newest of the run or folder that it names, or every one, newest first; local paths
        stay. Published weights are fetched by their names.

        Kept by the hash of its ETag, which is any text that the store likes: what is here already is not fetched again. CheckpointError if there is none.
        """
        if is_named(url):
            return [hub.get(url, self.cache, self.say, self.show_bar, self.timeout_s)]
        if not is_remote(url):
            return [Path(local_path(url))]
        found = checkpoints_at(url)
        if len(found) > 1 and not every:
            folder = found[0].rpartition("/")[0]
            scored = best_first(published(folder))
            taken = join(folder, scored[0].file) if scored else found[0]
            which = "the best by its evaluations" if scored else "the newest"
            self.say(f"{url} has {len(found)} checkpoints: {taken}, {which}, is taken")
            found = [taken]
        return [self.checkpoint(each) for each in (found if every else found[:1])]

    def checkpoint(self, url: str) -> Path:
        store, key = locate(url)
        entry = store.stat(key)
        if entry is None or entry.is_folder:
            raise CheckpointError(f"no checkpoint at {url}")
        version = sha256(f"{entry.etag or entry.modified_ns}".encode()).hexdigest()[:32]
        path = self.cache / "checkpoints" / version / Path(key).name
        with self.alone(path.parent, url):
            if not path.is_file() or path.stat().st_size != entry.size:
                self.fetch(url, path)
            self.sum_of(url, path)
            self.class_names(url, path)
        return path

    def sum_of(self, url: str, path: Path) -> None:
        """Beside the checkpoint, what its run's manifest says of it; a copy here that was damaged is fetched again.

        CheckpointError if it is damaged there.
        """
        folder = url.rpartition("/")[0]
        saved = record_of(folder, path.name)
        if saved is None:
            return
        if not is_intact(path, saved):
            self.fetch(url, path)
            if not is_intact(path, saved):
                raise damaged(url, folder)
        write_atomic(path.with_name(MANIFEST), as_text([saved]))

    def class_names(self, url: str, path: Path) -> None:
        """Beside the checkpoint, the names of the classes that its run has, if there are any."""
        folder, _, name = url.rpartition("/checkpoints/")
        target = path.with_name(CLASSES)
        if not folder or target.is_file():
            return
        store, key = locate(join(folder, CLASSES))
        if store.stat(key) is not None:
            self.fetch(join(folder, CLASSES), target)

    def fetch(self, url: str, path: Path) -> None:
        report = transfer.copy_file(url, str(path))
        self.say(report.as_line())
        self.note(report)

    def note(self, report: transfer.Report) -> None:
        self.staged.append(transferred("staged", report.source, report.done_bytes, report.seconds))


def transferred(event: str, what: str, size_bytes: int, seconds: float) -> Record:
    """A line of a run's transfers.jsonl: `event` is staged or published, `time` is when it was done."""
    return {
        "time": round(time.time(), 3),
        "event": event,
        "what": what,
        "bytes": size_bytes,
        "seconds": round(seconds, 3),
    }


def beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def fact(path: Path) -> list:
    found = path.stat()
    return [found.st_size, "", found.st_mtime_ns]


def read_stamp(target: Path) -> list | None:
    try:
        return json_text.read(beside(target, "unpacked"))
    except (FileNotFoundError, ValueError):
        return None


def checkpoints_at(url: str) -> list[str]:
    """The URLs of the checkpoints of a file, a run, a folder of runs, or a folder; newest first."""
    store, key = locate(url)
    entry = store.stat(key)
    if entry is None:
        raise CheckpointError(f"no checkpoint at {url}: there is no such object or folder")
    if not entry.is_folder:
        return [url]
    runs = [join(url, name, "checkpoints") for name in run_like(url)]
    for folder in (join(url, "checkpoints"), url, *runs):
        found = published(folder)
        if found:
            return [join(folder, saved.file) for saved in reversed(found)]
    files = [name for name in names(url) if name.endswith(WEIGHTS)]
    if not files:
        raise CheckpointError(
            f"no checkpoint at {url}: neither a {MANIFEST} nor a {', '.join(WEIGHTS)} file is there"
        )
    return [join(url, name) for name in sorted(files, key=natural, reverse=True)]


def natural(name: str) -> list:
    """A sort key that puts net-9_1 before net-10_1."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
