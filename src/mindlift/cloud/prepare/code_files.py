"""Which files of a folder are code: all but what ignore files name, other tools' folders, data and checkpoints."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from mindlift.cloud.errors import JobError
from mindlift.cloud.show import size

IGNORE, GIT_IGNORE = ".mindliftignore", ".gitignore"
TOOLS = {
    ".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", "node_modules", ".idea", ".vscode",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".eggs", "__MACOSX",
}  # fmt: off
KINDS = {
    "checkpoints": (
        ".ckpt", ".pth", ".pt", ".safetensors", ".mindir", ".air", ".om", ".onnx", ".h5", ".pdparams",
    ),
    "data": (
        ".mindrecord", ".mindrecord.db", ".tfrecord", ".tfrecords", ".lmdb", ".rec", ".npy", ".npz", ".hdf5", ".parquet",
        ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar",
    ),
}  # fmt: off
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MANY_IMAGES = 50  # of a folder: then they are no figures of a README


@dataclass(frozen=True)
class Found:
    """Sizes in bytes by path, and what was left out, in words."""

    files: dict[str, int]
    left_out: tuple[str, ...]


def find(root: Path, exclude: Sequence[str]) -> Found:
    """`exclude` are patterns of .gitignore, which count after those of the folder's own ignore file."""
    chosen = spec(root, exclude)
    files: dict[str, int] = {}
    gone: defaultdict[str, list[int]] = defaultdict(list)
    folders: Counter[str] = Counter()
    for name, entry in walk(root, "", folders):
        count = entry.stat().st_size
        reason = reason_for(name, chosen)
        if reason:
            gone[reason].append(count)
        else:
            files[name] = count
    for folder in crowded(files):
        inside = [name for name in files if os.path.dirname(name) == folder and name.lower().endswith(IMAGES)]
        if chosen.check_file(folder + "/").include is not False:
            gone["images"] += [files.pop(name) for name in inside]
    told = [f"{kind} ({counted(len(sizes))}, {size(sum(sizes))})" for kind, sizes in sorted(gone.items())]
    return Found(files, (*(f"{name}/" for name in sorted(folders)), *told))


def counted(files: int) -> str:
    return f"{files} file" + ("s" if files != 1 else "")


def walk(folder: Path, prefix: str, left_out: Counter[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All regular files, links to such among them; folders of other tools and links to folders are left out."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = prefix + entry.name
            if entry.is_dir():
                if entry.name in TOOLS or entry.is_symlink() or os.path.exists(f"{entry.path}/pyvenv.cfg"):
                    left_out[entry.name if entry.name in TOOLS else name] += 1
                else:
                    yield from walk(Path(entry.path), f"{name}/", left_out)
            elif entry.is_file():
                yield name, entry


def spec(root: Path, exclude: Sequence[str]) -> GitIgnoreSpec:
    """Kinds of files first, so that `!name` in an ignore file brings one back."""
    lines = [f"*{ending}" for endings in KINDS.values() for ending in endings] + ["*.pyc"]
    lines += lines_of(root / (IGNORE if (root / IGNORE).is_file() else GIT_IGNORE))
    return GitIgnoreSpec.from_lines([*lines, *exclude])


def lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as err:
        raise JobError(f"{path} can't be read: {err}") from None


def reason_for(name: str, chosen: GitIgnoreSpec) -> str:
    """Why a file is left out, in a word or two; '' for one that is sent."""
    if not chosen.match_file(name):
        return ""
    lower = name.lower()
    kind = next((kind for kind, endings in KINDS.items() if lower.endswith(endings)), "")
    return kind or ("*.pyc" if lower.endswith(".pyc") else "ignored")


def crowded(files: dict[str, int]) -> list[str]:
    """Folders of so many images that they are data."""
    counts = Counter(os.path.dirname(name) for name in files if name.lower().endswith(IMAGES))
    return [folder for folder, count in counts.items() if count >= MANY_IMAGES]
