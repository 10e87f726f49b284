"""The code of a job: the tracked files of the checkout, the same bytes for the same commit."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mindlift import __version__, json_text
from mindlift.checkout import IS_CHECKOUT, PACKAGE, ROOT
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import Job
from mindlift.cloud.prepare import secret_files
from mindlift.files import utf8
from mindlift.runs.revision import RELEASE, REVISION_FILE
from mindlift.storage.places import locate
from mindlift.storage.store import Entry, Store
from mindlift.storage.url import as_folder, join

UPLOADS = 16  # at a time
DIGESTS = ".digests.json"  # beside the folder of the code
LEFT_OUT = ("tests/", "benchmarks/", ".ci/")  # a job runs none of it


@dataclass(frozen=True)
class Package:
    """Files by path, with the commit that they are of."""

    revision: str
    is_dirty: bool
    files: dict[str, bytes] = field(repr=False)
    folder: str = "mindlift"  # the name of the folder that a job finds them in
    left_out: tuple[str, ...] = ()  # what was found beside them and is not sent, in words
    untracked: tuple[str, ...] = ()  # which of them git does not know

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))

    def largest(self, count: int) -> list[tuple[str, int]]:
        """The `count` largest files with their sizes in bytes."""
        sizes = sorted(((len(data), name) for name, data in self.files.items()), reverse=True)
        return [(name, size_bytes) for size_bytes, name in sizes[:count]]

    @cached_property
    def sha256(self) -> str:
        """Equal for equal files, whenever and wherever they are packed."""
        return digest_of((name, self.files[name]) for name in sorted(self.files))


def digest_of(files: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256 of files in the order of their names: of these, and of what their bytes are."""
    digest = hashlib.sha256()
    for name, data in files:
        digest.update(utf8(f"{name}\0{len(data)}\0"))
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Sync:
    """What an upload of a package did."""

    sent: int
    sent_bytes: int
    kept: int
    deleted: int


def collect(root: Path, boot_file: str, allow_dirty: bool) -> Package:
    """The tracked files below `root`; with `allow_dirty` as they are on the disk, new ones included.

    Of an installed package its own files, laid out as in a checkout.
    """
    if not IS_CHECKOUT and root == ROOT:
        return from_installation(boot_file)
    changed = (
        git(root, "status", "--porcelain", "-z", "--untracked-files=normal")
        .decode(errors="replace")
        .split("\0")
    )
    changed = [line[3:] for line in changed if line]
    if changed and not allow_dirty:
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise JobError(
            f"uncommitted changes in {root}: {shown}; commit them, so that the job can be told from its revision, "
            "or pass --allow_dirty True"
        )
    revision = git(root, "rev-parse", "HEAD").decode().strip()
    untracked, secrets = new_files(root) if changed else ([], [])
    files = from_disk(root, untracked) if changed else from_commit(root, revision)
    files = {name: data for name, data in files.items() if not name.startswith(LEFT_OUT)}
    if boot_file not in files:
        raise JobError(
            f"{root} holds no {boot_file} to start: run cloud/submit.py from a checkout of MindLift"
        )
    note = {"revision": revision, "dirty": bool(changed)}
    files[REVISION_FILE] = (json.dumps(note, indent=2) + "\n").encode()
    left_out = (f"secrets ({', '.join(secrets)})",) if secrets else ()
    new = tuple(name for name in untracked if name in files)
    return Package(revision, bool(changed), dict(sorted(files.items())), left_out=left_out, untracked=new)


def from_installation(boot_file: str) -> Package:
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files_below(ROOT)}
    inside = (path for path in files_below(PACKAGE) if ROOT not in path.parents)
    files.update(
        (f"src/mindlift/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()) for path in inside
    )
    files = {name: data for name, data in files.items() if not name.startswith(LEFT_OUT)}
    if boot_file not in files:
        raise JobError(f"this installation of mindlift {__version__} holds no {boot_file}")
    note = {"revision": RELEASE, "dirty": False}
    files[REVISION_FILE] = (json.dumps(note, indent=2) + "\n").encode()
    return Package(RELEASE, False, dict(sorted(files.items())))


def files_below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def new_files(root: Path) -> tuple[list[str], list[str]]:
    """The files that git does not know yet: those to send, and those that hold secrets by their name."""
    listed = names_of(git(root, "ls-files", "-z", "--others", "--exclude-standard"))
    if not listed:
        return [], []
    secret = secret_files.spec_of(secret_files.NAMES)
    return [name for name in listed if not secret.match_file(name)], [
        name for name in listed if secret.match_file(name)
    ]


def from_disk(root: Path, untracked: Sequence[str]) -> dict[str, bytes]:
    """The tracked files and these, as they are on the disk; links as git stores them, as the path that they hold."""
    tracked = names_of(git(root, "ls-files", "-z", "--cached"))
    found = {}
    for name in dict.fromkeys([*tracked, *untracked]):
        path = root / name
        if path.is_symlink():
            found[name] = os.fsencode(os.readlink(path))
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def names_of(listed: bytes) -> list[str]:
    return [name for name in listed.decode().split("\0") if name]


def from_commit(root: Path, revision: str) -> dict[str, bytes]:
    """The files of a commit as git stores them, without what attributes and line endings make of them here."""
    listed = git(root, "ls-tree", "-r", "-z", revision).decode().split("\0")
    entries = [line.split("\t", 1) for line in listed if line]
    blobs = [(about.split()[2], name) for about, name in entries if about.split()[1] == "blob"]
    data = git(root, "cat-file", "--batch", feed="".join(f"{blob}\n" for blob, _ in blobs).encode())
    files, at = {}, 0
    for _, name in blobs:  # each one: a line "<blob> blob <size>", the bytes, a line end
        start = data.index(b"\n", at) + 1
        at = start + int(data[at:start].split()[2])
        files[name] = data[start:at]
        at += 1
    return files


def git(root: Path, *arguments: str, feed: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], input=feed, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise JobError("no 'git' on PATH; it says which files belong to the job") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise JobError(f"git {arguments[0]} in {root}: {lines[-1]}")
    return done.stdout


def placed(job: Job, package: Package) -> Job:
    """`job` with the folder that this very code has below its code_url: a job that waits keeps its version."""
    if not job.code_url:
        return job
    return job.replace(code_url=join(job.code_url, package.sha256[:12], package.folder, ""))


def sync(package: Package, url: str) -> Sync:
    """Make `url` hold exactly these files. What is there with the same content is not sent again.

    Where a store encrypts, ETags are no digests of the content: then a note beside the folder, written last,
    says which content each ETag stands for.
    """
    store, prefix = locate(url)
    prefix = as_folder(prefix)
    note = f"{prefix.rstrip('/')}{DIGESTS}"
    there = entries(store, prefix)
    is_odd = any(name in there and not is_same(there[name], data) for name, data in package.files.items())
    known = read_digests(store, note) if is_odd else {}
    wanted = {
        name: data
        for name, data in package.files.items()
        if not is_same(there.get(name), data) and not is_known(there.get(name), data, known.get(name))
    }
    gone = [prefix + name for name in there if name not in package.files]
    with ThreadPoolExecutor(UPLOADS) as pool:
        written = dict(zip(wanted, pool.map(lambda name: store.write(prefix + name, wanted[name]), wanted)))
        list(pool.map(store.remove, gone))
    if wanted:
        write_digests(store, note, {**there, **written}, package)
    return Sync(len(wanted), sum(map(len, wanted.values())), len(package.files) - len(wanted), len(gone))


def entries(store: Store, prefix: str) -> dict[str, Entry]:
    return {entry.key[len(prefix) :]: entry for entry in store.walk(prefix)}


def is_same(entry: Entry | None, data: bytes) -> bool:
    return entry is not None and entry.etag == hashlib.md5(data).hexdigest()


def is_known(entry: Entry | None, data: bytes, digest: object) -> bool:
    """`digest` is [ETag, SHA-256] of the note."""
    return entry is not None and entry.etag != "" and digest == [entry.etag, hashlib.sha256(data).hexdigest()]


def read_digests(store: Store, key: str) -> dict[str, object]:
    """Empty without a note, or with one that is no note."""
    if store.stat(key) is None:
        return {}
    try:
        found = json_text.parse(store.read(key))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write_digests(store: Store, key: str, there: dict[str, Entry], package: Package) -> None:
    """Only where an ETag is no digest."""
    odd = {
        name: [there[name].etag, hashlib.sha256(data).hexdigest()]
        for name, data in package.files.items()
        if there[name].etag and not is_same(there[name], data)
    }
    if odd:
        store.write(key, json.dumps(odd).encode())
