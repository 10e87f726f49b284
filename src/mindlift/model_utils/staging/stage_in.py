"""Brings a data set to this machine's disk, once, and finds it there again."""

from __future__ import annotations

from pathlib import Path

from mindlift.errors import DataError, StageError
from mindlift.model_utils import image_files, inputs
from mindlift.model_utils.inputs import Source
from mindlift.model_utils.staging import archives, members, unpacked
from mindlift.model_utils.staging.stager import Stager, beside
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import locate
from mindlift.storage.url import is_remote, join, local_path


def stage_in(stager: Stager, source: Source, node: int = 0, nodes: int = 1) -> Path:
    """The folder with a data set: copied; an archive unpacked, without the lone folder around its content.

    A local folder is used in place. With `nodes` above 1, only the shards that `node` reads are copied.
    StageError if there is nothing, DataError for what is neither a folder nor an archive.
    """
    if not is_remote(source.url):
        return local_data(stager, source)
    store, key = locate(source.url)
    entry = store.stat(key)
    if entry is None:
        raise StageError(f"no data at {source.url}: there is no such object or folder; check --data_url")
    target = stager.place("data", source)
    if not entry.is_folder:
        archives.check_kind(source.url)
    with stager.alone(target, source.url):
        if not entry.is_folder:
            return unpacked.of_object(stager, source, entry, target)
        copy_folder(stager, source.url, target, shards(source.url, node, nodes) if nodes > 1 else None)
    return unpacked.of_folder(stager, target)


def local_data(stager: Stager, source: Source) -> Path:
    path = Path(local_path(source.url))
    beside_it = path.with_name(members.stem(path.name))  # a mounted archive that is unpacked already
    for folder in (path, beside_it):
        if folder.is_dir():
            return unpacked.of_folder(stager, folder)
    if not path.is_file():
        raise DataError(
            f"{source.url} does not exist on this machine; a place in a bucket is written obs://bucket/folder/"
        )
    archives.check_kind(str(path))
    target = stager.place("data", source)
    with stager.alone(target, str(path)):
        return unpacked.of_file(stager, path, target)


def copy_folder(stager: Stager, url: str, target: Path, names: list[str] | None) -> None:
    """Copy the files with these names, or all; then those go that are not at `url` any more."""
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
        delete=names is None,
        accepts=accepts,
        say=stager.say,
        show_bar=stager.show_bar,
    )
    if hidden:
        stager.say(f"not copied from {url}: {len(hidden):,} hidden ones, such as {hidden[0]}")
    if not report.expected + report.unchanged:
        raise StageError(f"no data at {url}: the folder is empty; check --data_url")
    stager.note(report)


def shards(url: str, node: int, nodes: int) -> list[str]:
    """Names of the MindRecord files below `url` that a node reads."""
    store, key = locate(join(url, ""))
    names = [entry.key[len(key) :] for entry in store.walk(key) if not entry.is_folder]
    mine = inputs.shards_of(names, node, nodes)
    if len(mine) == len(names):
        raise DataError(
            f"--stage_mode node_shards: {url} has no <name>.mindrecord<number> files to share out between"
            f" {nodes} nodes; use --stage_mode all"
        )
    return mine
