"""Files that appear whole, and lines that are written once."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO, TypeVar
from uuid import uuid4

from mindlift.errors import MindLiftError, StorageError
from mindlift.json_text import Record

NOBODY = 65534
PART = ".part"  # how the names of unfinished files end
CACHE_OPTION = "--cache_path"  # what to pass where the cache folder can't be written
File = TypeVar("File", BinaryIO, TextIO)


def home() -> str:
    """The user's folder; for a user without HOME and without an entry in passwd, as in containers, one that may go."""
    found = os.path.expanduser("~")
    return str(private_folder(f"home-{os.getuid()}")) if found.startswith("~") else found


def private_folder(name: str) -> Path:
    """A folder below the temporary one that is this user's alone; StorageError if another user has made one of this name.

    All users write there: whoever comes first could put links and files into it.
    """
    path = Path(tempfile.gettempdir(), name)
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            path.chmod(0o700)
            return path
    except OSError as err:
        raise StorageError(f"can't write to {path}: {err.strerror}; set TMPDIR to another folder") from err
    raise StorageError(
        f"{path} belongs to another user, or is no folder; remove it, or set TMPDIR to another folder"
    )


def is_own(path: Path) -> bool:
    """Whether a file was written by this user, and not by another one of this machine; on NFS root's may be nobody's."""
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        return False
    return owner == os.getuid() or (owner == NOBODY and os.getuid() == 0)


def expanded(path: str | os.PathLike[str]) -> str:
    """`path` with a `~` at its beginning resolved; a file whose name begins with one is that file."""
    text = os.fspath(path)
    if text == "~" or text.startswith("~/"):
        return home() + text[1:]
    return text if not text.startswith("~") or os.path.lexists(text) else os.path.expanduser(text)


def utf8(text: str) -> bytes:
    """UTF-8, with escapes for the bytes of file names that are none: `\\udcb9`, which JSON reads back as the name."""
    return text.encode("utf-8", "backslashreplace")


def printable(name: str) -> str:
    """A file's name as text that any library takes: the bytes that are no UTF-8 as escapes."""
    return utf8(name).decode("utf-8")


def make_folder(folder: Path, option: str = "--ckpt_path") -> None:
    """`mkdir -p` that also tries to write; raises StorageError in one line, with the option that names another one."""
    probe = folder / f".probe-{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise StorageError(
            f"can't write to {folder}: {err.strerror}; pass another folder with {option}"
        ) from err


def remove_file(path: Path) -> None:
    """unlink, where there may be no such file."""
    with suppress(FileNotFoundError):
        path.unlink()


def atomic_file(path: Path, *, durable: bool = True, advice: str = "") -> AbstractContextManager[BinaryIO]:
    """A file to write to, which is at `path` when the block has ended well, and nowhere otherwise.

    A `durable` one is on the disk by then. StorageError `can't write <path>: ...` and `advice` if the disk is full or
    the folder can't be written; other errors of the block pass, and what was at `path` stays.
    """
    return _written(path, lambda part: open(part, "wb"), durable, advice)


def atomic_text(path: Path, *, durable: bool = True, advice: str = "") -> AbstractContextManager[TextIO]:
    """The same for text in UTF-8, whose line ends stay as they are written."""
    return _written(
        path,
        lambda part: open(part, "w", encoding="utf-8", errors="backslashreplace", newline=""),
        durable,
        advice,
    )


@contextmanager
def _written(path: Path, opened: Callable[[Path], File], durable: bool, advice: str) -> Iterator[File]:
    part = path.with_name(path.name + PART)
    with _checked(path, part, f"can't write {path}", advice), renamed(part, path), opened(part) as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextmanager
def atomic_path(path: Path, fails: str = "", advice: str = "") -> Iterator[Path]:
    """Where another library can write a file of the name of `path`; as `atomic_file`, which is durable.

    It is in a hidden folder, because some libraries choose a format by the suffix. The StorageError begins with
    `fails`, where that is given.
    """
    folder = path.with_name(f".{path.name}.{_namespace()}-{os.getpid()}{PART}")
    try:
        with _checked(path, folder, fails or f"can't write {path}", advice):
            folder.mkdir(exist_ok=True)
            with renamed(folder / path.name, path):
                yield folder / path.name
                sync(folder / path.name)
            sync(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_parts(folder: Path, is_proven: bool) -> None:
    """Remove what killed processes have left half-written directly in `folder`.

    All of it where it `is_proven` that nobody writes there; else what names a process that has ended on this machine,
    in this container.
    """
    for path in folder.glob(f"*{PART}") if folder.is_dir() else ():
        place, _, owner = path.name[: -len(PART)].rpartition(".")[2].rpartition("-")
        if is_proven or (place == _namespace() and owner.isdigit() and is_gone(int(owner))):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


class TemporaryFolder:
    """A folder that goes at the end of a `with` block, when it is collected, or when this process ends; not when a fork does."""

    def __init__(self, name: str):
        self.name = name
        self.cleanup = weakref.finalize(self, remove_own, name, os.getpid())

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        self.cleanup()


def remove_own(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder(kind: str, parent: Path | None = None) -> TemporaryFolder:
    """A temporary folder whose name tells whose it is; those of killed processes go before. In `parent` it is hidden."""
    folder = parent or Path(tempfile.gettempdir())
    prefix = ("." if parent else "") + f"mindlift-{kind}-{_namespace()}-"
    sweep_temporary(folder, prefix)
    return TemporaryFolder(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=folder))


def sweep_temporary(folder: Path, prefix: str) -> None:
    """Remove what processes of this machine, and of this container, had made and have not removed."""
    for path in folder.glob(f"{prefix}*"):
        owner = path.name[len(prefix) :].partition("-")[0]
        if owner.isdigit() and is_gone(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def machine() -> str:
    """The boot of this machine in 8 hexadecimal digits; 0 where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return "0"


def _namespace() -> str:
    """Machine and namespace in which the numbers of processes mean something here; 0 where there is none."""
    try:
        return machine() + "".join(filter(str.isdigit, os.readlink("/proc/self/ns/pid")))
    except OSError:
        return machine()


def is_gone(pid: int) -> bool:
    """Whether there is no process of this number here."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


@contextmanager
def renamed(part: Path, path: Path) -> Iterator[None]:
    """`part` gets the name `path` when the block ends well, and is removed otherwise."""
    try:
        yield
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def _checked(path: Path, part: Path, fails: str, advice: str) -> Iterator[None]:
    """An OSError of `path` or `part` in one line. One that names another file is not about them."""
    try:
        yield
    except MindLiftError:
        raise
    except OSError as err:
        if err.filename is not None and not os.fspath(err.filename).startswith((str(path), str(part))):
            raise
        raise unwritable(fails, err, advice) from err


def unwritable(fails: str, err: OSError, advice: str = "") -> StorageError:
    return StorageError(f"{fails}: {err.strerror or str(err).strip()}{advice}")


def write_atomic(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content`, whole or not at all; raises StorageError. See atomic_file."""
    data = utf8(content) if isinstance(content, str) else content
    with atomic_file(path, durable=durable) as file:
        file.write(data)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_json(value: object, indent: int | None = None) -> str:
    """JSON that everybody can read: it has no word for nan and inf, which become null. On one line without `indent`."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def append_line(path: Path, record: Record) -> None:
    """Append one JSON line and fsync; a line cut short by an earlier kill is ended first."""
    try:
        with open(path, "ab+") as file:
            if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                file.write(b"\n")
            file.write(utf8(as_json(record)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise StorageError(f"can't write {path}: {err.strerror}") from err
