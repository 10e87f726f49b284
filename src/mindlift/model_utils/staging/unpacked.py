"""Archives unpacked in the cache, once: a file beside the folder says which version of the archive it holds."""

from __future__ import annotations

import json
from pathlib import Path

from mindlift import json_text
from mindlift.files import remove_file, write_atomic
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import archives, members, unpack
from mindlift.model_utils.staging.stager import Stager, beside
from mindlift.storage.copying.progress import Progress
from mindlift.storage.store import Entry


def of_object(stager: Stager, source: Source, entry: Entry, target: Path) -> Path:
    """The content of an object, fetched and unpacked unless that has been done; the archive itself is not kept."""
    stamp = [entry.size, entry.etag, entry.modified_ns]
    if read_stamp(target) == stamp and target.is_dir():
        stager.say(f"{source.url} is unpacked in {target} already")
        return archives.content(source.url, target)
    path = target.with_name(f"{target.name}-{Path(entry.key).name}")
    stager.fetch(source.url, path)
    try:
        return unpacked(stager, path, target, stamp)
    finally:
        remove_file(path)


def of_file(stager: Stager, archive: Path, target: Path) -> Path:
    """The content of a local archive, unpacked to `target` unless that has been done."""
    found = archive.stat()
    return unpacked(stager, archive, target, [found.st_size, "", found.st_mtime_ns])


def unpacked(stager: Stager, archive: Path, target: Path, stamp: list) -> Path:
    if read_stamp(target) != stamp or not target.is_dir():
        stager.say(f"unpacking {archive}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Progress(f"unpack {archive.name}", stager.say, show_bar=False) as progress:
            unpack.unpack(archive, target, progress.add)
        write_atomic(beside(target, "unpacked"), json.dumps(stamp) + "\n")
    return archives.content(str(archive), target)


def read_stamp(target: Path) -> list | None:
    try:
        return json_text.read(beside(target, "unpacked"))
    except (FileNotFoundError, ValueError):
        return None


def of_folder(stager: Stager, folder: Path) -> Path:
    """`folder` itself, or what its archives hold: of a lone one that, of several a folder of links, named as they are."""
    inside = archives.inside(folder)
    contents = {name: of_local(stager, folder / name) for name in inside.archives}
    if len(contents) == 1:
        return contents.popitem()[1]
    if not contents:
        return folder
    links = {members.stem(name): target for name, target in contents.items()}
    links.update((name, folder / name) for name in inside.others)
    target = stager.place("data", Source(str(folder / "archives")))
    with stager.alone(target, str(folder)):
        archives.link(target, links)
    return target


def of_local(stager: Stager, path: Path) -> Path:
    """The content of an archive of this machine, in its place in the cache."""
    target = stager.place("data", Source(str(path)))
    with stager.alone(target, str(path)):
        return of_file(stager, path, target)
