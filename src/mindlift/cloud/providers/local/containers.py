"""Fills a node's folder as the platform fills a container: code, inputs, credentials."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.container import Transfer
from mindlift.cloud.prepare.package import digest_of
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.cloud.providers.local.node import CREDENTIALS, Node, clear
from mindlift.storage.copying import copy as transfer
from mindlift.storage.places import locate
from mindlift.storage.url import as_folder


def make(
    node: Node, code_url: str, store: StoreAccess, say: Callable[[str], None], code_sha256: str = ""
) -> None:
    """A new container: nothing of an earlier one is left. JobError if its code is not what `code_sha256` is of."""
    clear(node.root)
    container = node.container
    for path in (*container.folders, container.workspace, container.logs, container.home):
        node.path(path).mkdir(parents=True, exist_ok=True)
    for item in (Transfer(code_url, container.code), *container.inputs):
        say(f"copy {item.url} to {item.path}")
        bring(item, node.path(item.path))
    if code_sha256:
        check_code(node.path(container.code), code_url, code_sha256)
    for path in () if node.is_isolated else container.read_only:
        protect(node.path(path))
    write_profile(node, store)


def check_code(folder: Path, url: str, sha256: str) -> None:
    """Before anything of it runs: somebody else may write to the bucket."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if digest_of((name, (folder / name).read_bytes()) for name in names) != sha256:
        raise JobError(
            f"the code at {url} is not what was sent (SHA-256), so none of it was started; submit it again"
        )


def bring(item: Transfer, path: Path) -> None:
    store, key = locate(item.url)
    entry = store.stat(key)
    if entry is None:
        raise FileNotFoundError(f"there is nothing at {item.url}")
    if entry.is_folder:
        transfer.copy_tree(as_folder(item.url), str(path))
    else:
        transfer.copy_file(item.url, str(path))


def results(folder: Path, root: Path) -> tuple[list[str], list[str]]:
    """The files below an output folder by their names relative to it, and its links that lead out of the container `root`.

    A program must not get files of this computer into a bucket by a link; what a link in the container means is
    looked for here, where the container's own paths are others.
    """
    found: list[str] = []
    out: list[str] = []
    real_root = os.path.realpath(root)

    def look(place: str, above: tuple[str, ...]) -> None:
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
            real, name = os.path.realpath(entry.path), os.path.relpath(entry.path, folder)
            if not real.startswith(real_root + os.sep):
                out.append(name)
            elif not entry.is_dir():
                found.append(name)
            elif real not in above:
                look(entry.path, (*above, real))

    look(str(folder), (os.path.realpath(folder),))
    return found, out


def protect(folder: Path) -> None:
    """Mounted folders can't be written to; where nothing is mounted, permissions say so."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)


def write_profile(node: Node, store: StoreAccess) -> None:
    """The job's temporary credentials, in a file as on ModelArts."""
    path = node.path(f"{node.container.home}/{CREDENTIALS}")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"[default]\naccess_key_id = {store.access_key}\nsecret_access_key = {store.secret_key}\n")
