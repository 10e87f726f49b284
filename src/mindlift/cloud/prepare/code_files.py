"""Which files of a folder are code: all but what ignore files name, other tools' folders, data and checkpoints.

Ignore files count as gitignore(5) has it: those of folders below win over those above, the last matching line of
a file wins, and nothing below a folder that is left out comes back.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mindlift.cloud.errors import JobError
from mindlift.cloud.prepare import secret_files
from mindlift.cloud.prepare.secret_files import spec_of
from mindlift.cloud.show import size

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

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
NAMED = 3  # files of a kind that are left out
MANY_IMAGES = 50  # of a folder: then they are no figures of a README


@dataclass(frozen=True)
class Found:
    """Sizes in bytes by path, and what was left out, in words."""

    files: dict[str, int]
    left_out: tuple[str, ...]


class Level(NamedTuple):
    """The lines of an ignore file, which count below its folder: '' or `name/`."""

    prefix: str
    spec: GitIgnoreSpec

    def decides(self, name: str) -> bool | None:
        """Whether its last line about `name` leaves it out; None where no line is about it. Folders end in /.

        pathspec's expressions match what is below a folder too, and mark the slash between by a group: that is not
        asked here, because the folder itself was decided before. Those of `name/**` have no such group, and are
        about what is below alone.
        """
        path = name[len(self.prefix) :]
        for pattern in reversed(list(self.spec.patterns)):
            found = pattern.match_file(path)
            slash = found.match.groupdict().get("ps_d") if found else None
            if found and (
                found.match.end("ps_d") == len(path) if slash else pattern.match_file(path.rstrip("/"))
            ):
                return pattern.include
        return None


def find(root: Path, exclude: Sequence[str]) -> Found:
    """`exclude` are patterns of .gitignore, which win over all ignore files."""
    return Search(root, exclude).run()


class Search:
    """A walk through a folder; folders that are left out are not opened."""

    def __init__(self, root: Path, exclude: Sequence[str]):
        self.root = root
        self.ignore = IGNORE if (root / IGNORE).is_file() else GIT_IGNORE
        self.last = Level("", spec_of(exclude))
        self.files: dict[str, int] = {}
        self.folders: Counter[str] = Counter()
        self.gone: defaultdict[str, dict[str, int]] = defaultdict(dict)  # sizes by name, by why
        self.wanted: set[str] = set()  # folders that a line with ! brings back

    def run(self) -> Found:
        kinds = [f"*{ending}" for endings in KINDS.values() for ending in endings]
        self.walk("", [Level("", spec_of([*kinds, "*.pyc", *secret_files.NAMES]))])
        for folder in crowded(self.files) - self.wanted:
            inside = [name for name in self.files if os.path.dirname(name) == folder and is_image(name)]
            self.gone["images"].update((name, self.files.pop(name)) for name in inside)
        told = [described(kind, sizes) for kind, sizes in sorted(self.gone.items())]
        return Found(self.files, (*(f"{name}/" for name in sorted(self.folders)), *told))

    def walk(self, prefix: str, above: list[Level]) -> None:
        lines = lines_of(self.root / prefix / self.ignore)
        levels = [*above, Level(prefix, spec_of(lines))] if lines else above
        with os.scandir(self.root / prefix) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir():
                    self.folder(entry, f"{prefix}{entry.name}/", levels)
                else:
                    self.file(entry, prefix + entry.name, levels)

    def folder(self, entry: os.DirEntry[str], name: str, levels: list[Level]) -> None:
        """Those of other tools are named once, wherever they are."""
        decided = self.leaves_out(name, levels)
        if entry.name in TOOLS:
            self.folders[entry.name] += 1
        elif entry.is_symlink() or is_environment(entry.path) or decided:
            self.folders[name[:-1]] += 1
        else:
            if decided is False:
                self.wanted.add(name[:-1])
            self.walk(name, levels)

    def file(self, entry: os.DirEntry[str], name: str, levels: list[Level]) -> None:
        """Links to files of this folder are sent as what they point to; others only where a line brings them back."""
        if not entry.is_file():
            if entry.is_symlink():
                self.gone["broken links"][name] = 0
            return
        count, decided = entry.stat().st_size, self.leaves_out(name, levels)
        if decided:
            self.gone[kind_of(name)][name] = count
        elif decided is None and entry.is_symlink() and not self.is_inside(entry.path):
            self.gone["links out of the folder"][name] = count
        else:
            self.files[name] = count

    def is_inside(self, path: str) -> bool:
        return os.path.realpath(path).startswith(os.path.realpath(self.root) + os.sep)

    def leaves_out(self, name: str, levels: Sequence[Level]) -> bool | None:
        decisions = (level.decides(name) for level in (self.last, *reversed(levels)))
        return next((found for found in decisions if found is not None), None)


def described(kind: str, sizes: Mapping[str, int]) -> str:
    """Files that were left out, the largest by name: one of them may be wanted."""
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:NAMED]
    names = ", ".join(largest) + (", ..." if len(sizes) > NAMED else "")
    return f"{kind} ({len(sizes)} file{'s' if len(sizes) != 1 else ''}, {size(sum(sizes.values()))}: {names})"


def is_environment(path: str) -> bool:
    """A virtual environment, or one of conda."""
    return os.path.exists(f"{path}/pyvenv.cfg") or os.path.isdir(f"{path}/conda-meta")


def is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES)


def lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as err:
        raise JobError(f"{path} can't be read: {err}") from None


def kind_of(name: str) -> str:
    """Of a file that is left out, in a word or two."""
    lower = name.lower()
    kind = next((kind for kind, endings in KINDS.items() if lower.endswith(endings)), "")
    is_secret = spec_of(secret_files.NAMES).match_file(name)
    return kind or ("*.pyc" if lower.endswith(".pyc") else "secrets" if is_secret else "ignored")


def crowded(files: dict[str, int]) -> set[str]:
    """Folders of so many images that they are data."""
    counts = Counter(os.path.dirname(name) for name in files if is_image(name))
    return {folder for folder, count in counts.items() if count >= MANY_IMAGES}
