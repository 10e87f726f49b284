"""Whether a checkpoint is what the manifest beside it says, looked at before its values are used."""

from __future__ import annotations

from pathlib import Path

from mindlift.errors import CheckpointError
from mindlift.runs.manifest import MANIFEST, Saved, file_sha256
from mindlift.runs.remote import published


def check_sum(path: Path) -> None:
    """CheckpointError if a manifest knows `path` with another size or SHA-256; what none knows passes."""
    for place in dict.fromkeys((path, path.resolve())):
        saved = record_of(place.parent, place.name)
        if saved is not None and not is_intact(path, saved):
            raise damaged(path, place.parent)


def damaged(file: Path | str, folder: Path | str) -> CheckpointError:
    """What is raised for a file, by path or URL, that is not what the manifest of `folder` says."""
    return CheckpointError(
        f"{file} is not what {folder}/{MANIFEST} says (size or SHA-256): it is damaged, or was changed"
        " after it was saved; take an earlier checkpoint, or copy it to another folder to use it as it is"
    )


def record_of(folder: Path | str, name: str) -> Saved | None:
    """What the manifest of a folder, which may be a URL, says of a file."""
    return next((saved for saved in published(folder) if saved.file == name), None)


def is_intact(path: Path, saved: Saved) -> bool:
    """Whether the content is what was saved."""
    return path.stat().st_size == saved.size_bytes and file_sha256(path) == saved.sha256
