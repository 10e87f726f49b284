"""Every path of a run, in one class.

<ckpt_path>/<time>/config.yaml  versions.json  metrics.jsonl  result.json (when it ended well)
                   transfers.jsonl (what was copied from and to a bucket)
                   evaluation.json  evaluation/*.png (of the newest evaluation)  report.html
                   logs/rank_<r>.log
                   checkpoints/manifest.jsonl  <net>-<epoch>_<step>.ckpt
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.model_utils.errors import StorageError


@dataclass(frozen=True)
class RunPaths:
    """The folder `root` of one run, as seen by `rank`."""

    root: Path
    rank: int = 0
    log_folder: Path | None = None
    own_checkpoints: bool = False

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def versions(self) -> Path:
        return self.root / "versions.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"

    @property
    def transfers(self) -> Path:
        return self.root / "transfers.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation.json"

    @property
    def events(self) -> Path:
        """TensorBoard's."""
        return self.root / "events"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def pictures(self) -> Path:
        """What evaluation.json names."""
        return self.root / "evaluation"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def log(self) -> Path:
        return (self.log_folder or self.root / "logs") / f"rank_{self.rank}.log"

    @property
    def checkpoints(self) -> Path:
        """Where this rank's checkpoints go; rank 0's, the ones to resume from, are in checkpoints/ itself."""
        folder = self.root / "checkpoints"
        return folder / f"rank_{self.rank}" if self.own_checkpoints and self.rank else folder

    def create(self) -> RunPaths:
        """Make the folders; raises StorageError that names the one that can't be made."""
        for folder in (self.root, self.log.parent, self.checkpoints):
            make_folder(folder)
        return self


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
