"""Files that appear whole, and lines that are written once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mindlift.errors import StorageError


def make_folder(folder: Path) -> None:
    """`mkdir -p` that also tries to write; raises StorageError in one line."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise StorageError(
            f"can't write to {folder}: {err.strerror}; pass another folder with --ckpt_path"
        ) from err


def part_of(path: Path) -> Path:
    """Where a file is written until it is whole."""
    return path.with_name(path.name + ".part")


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8), whole or not at all; raises StorageError."""
    part = part_of(path)
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as err:
        part.unlink(missing_ok=True)
        raise StorageError(f"can't write {path}: {err.strerror}") from err


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line and fsync; a line cut short by an earlier kill is ended first."""
    try:
        with open(path, "ab+") as file:
            if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                file.write(b"\n")
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise StorageError(f"can't write {path}: {err.strerror}") from err


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file, without a last one that a kill cut short; [] if there is no file."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records
