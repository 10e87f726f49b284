"""Under `shift`, what writes, copies, moves and removes: on a disk without shift and on a bucket the same."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

from tests.support.shifted import FEW, Call, content, fill, outcome, shifted


def read(place: str, name: str, **options) -> object:
    with open(file=f"{place}/{name}", **options) as opened:
        return opened.read()


def ignoring(url: str) -> object:
    return shutil.copytree(f"{url}/d", f"{url}/new", ignore=shutil.ignore_patterns("*.log", "e"))


def asked_of_ignore(url: str) -> list:
    asked = []

    def ignore(folder: str, names: list[str]) -> list[str]:
        asked.append((folder, sorted(names)))
        return ["e"] if os.path.basename(folder) == "d" else []

    shutil.copytree(url, f"{url}-copy", ignore=ignore)
    return sorted(asked)


def own_copies(url: str) -> list:
    copied = []
    shutil.copytree(f"{url}/d", f"{url}/new", copy_function=lambda *names: copied.append(names))
    return sorted(copied)


def removed_with(handler: str):
    def call(url: str) -> list:
        found: list = []
        shutil.rmtree(
            f"{url}/nothing", **{handler: lambda func, path, info: found.append((path, info[1].errno))}
        )
        return found

    return call


def write(url: str, mode: str = "w", text: str = "new", **options) -> object:
    with open(url, mode, **options) as opened:
        return opened.write(text)


def rows(url: str) -> object:
    with open(f"{url}/t.csv", "w", newline="") as opened:
        csv.writer(opened).writerows([["a", "b"], ["c\nd", ""]])
    with open(f"{url}/t.csv", newline="") as opened:
        raw = opened.read()
    with open(f"{url}/t.csv") as opened:
        return raw, opened.read()


def odd_bytes(url: str) -> object:
    write(f"{url}/b", "wb", b"a\xff")
    with open(f"{url}/b", errors="replace", encoding="utf-8") as opened:
        return opened.read()


CHANGES: dict[str, Call] = {
    "copy": lambda url: shutil.copy(f"{url}/f.txt", f"{url}/g.txt"),
    "copy over": lambda url: shutil.copy(f"{url}/f.txt", f"{url}/d/a.txt"),
    "copy into": lambda url: shutil.copy(f"{url}/f.txt", f"{url}/d"),
    "copy into/": lambda url: shutil.copy(f"{url}/f.txt", f"{url}/d/"),
    "copy path": lambda url: shutil.copy(Path(url) / "f.txt", Path(url) / "d"),
    "copy2": lambda url: shutil.copy2(f"{url}/f.txt", f"{url}/empty"),
    "copy2 keywords": lambda url: shutil.copy2(src=f"{url}/f.txt", dst=f"{url}/g", follow_symlinks=False),
    "copy folder": lambda url: shutil.copy(f"{url}/d", f"{url}/new"),
    "copy nothing": lambda url: shutil.copy(f"{url}/nothing", f"{url}/new"),
    "copy itself": lambda url: shutil.copy(f"{url}/f.txt", f"{url}/f.txt"),
    "copy into its folder": lambda url: shutil.copy(f"{url}/d/a.txt", f"{url}/d"),
    "copyfile": lambda url: shutil.copyfile(f"{url}/f.txt", f"{url}/g.txt"),
    "copyfile into": lambda url: shutil.copyfile(f"{url}/f.txt", f"{url}/d"),
    "copyfile folder": lambda url: shutil.copyfile(f"{url}/d", f"{url}/new"),
    "copyfile itself": lambda url: shutil.copyfile(f"{url}/f.txt", f"{url}//f.txt"),
    "copyfile nothing": lambda url: shutil.copyfile(f"{url}/nothing", f"{url}/g.txt"),
    "copytree": lambda url: shutil.copytree(f"{url}/d", f"{url}/new"),
    "copytree whole": lambda url: shutil.copytree(url, f"{url}-2") and content(f"{url}-2"),
    "copytree empty": lambda url: shutil.copytree(f"{url}/empty", f"{url}/new"),
    "copytree over": lambda url: shutil.copytree(f"{url}/d", f"{url}/empty"),
    "copytree over it": lambda url: shutil.copytree(f"{url}/d", f"{url}/empty", dirs_exist_ok=True),
    "copytree on file": lambda url: shutil.copytree(f"{url}/d", f"{url}/f.txt", dirs_exist_ok=True),
    "copytree of file": lambda url: shutil.copytree(f"{url}/f.txt", f"{url}/new"),
    "copytree of nothing": lambda url: shutil.copytree(f"{url}/nothing", f"{url}/new"),
    "copytree ignore": ignoring,
    "copytree ignore asked": asked_of_ignore,
    "copytree own copies": own_copies,
    "move": lambda url: shutil.move(f"{url}/f.txt", f"{url}/g.txt"),
    "move over": lambda url: shutil.move(f"{url}/f.txt", f"{url}/d/a.txt"),
    "move into": lambda url: shutil.move(f"{url}/f.txt", f"{url}/d"),
    "move into one that has it": lambda url: write(f"{url}/d/f.txt")
    and shutil.move(f"{url}/f.txt", f"{url}/d"),
    "move folder": lambda url: shutil.move(f"{url}/d", f"{url}/new"),
    "move folder into": lambda url: shutil.move(f"{url}/d", f"{url}/empty"),
    "move folder/ into": lambda url: shutil.move(f"{url}/d/", f"{url}/empty/"),
    "move into itself": lambda url: shutil.move(f"{url}/d", f"{url}/d/e"),
    "move folder on file": lambda url: shutil.move(f"{url}/d", f"{url}/f.txt"),
    "move nothing": lambda url: shutil.move(f"{url}/nothing", f"{url}/new"),
    "rmtree": lambda url: shutil.rmtree(f"{url}/d"),
    "rmtree file": lambda url: shutil.rmtree(f"{url}/f.txt"),
    "rmtree nothing": lambda url: shutil.rmtree(f"{url}/nothing"),
    "rmtree ignore": lambda url: shutil.rmtree(f"{url}/nothing", ignore_errors=True),
    "rmtree file ignore": lambda url: shutil.rmtree(f"{url}/f.txt", True),
    "rmtree onerror": removed_with("onerror"),
    "makedirs": lambda url: os.makedirs(f"{url}/x/y/z"),
    "makedirs there": lambda url: os.makedirs(f"{url}/d"),
    "makedirs there/": lambda url: os.makedirs(f"{url}/d/", exist_ok=False),
    "makedirs ok": lambda url: os.makedirs(f"{url}/d", exist_ok=True),
    "makedirs positional": lambda url: os.makedirs(f"{url}/d", 0o777, True),
    "makedirs on file": lambda url: os.makedirs(f"{url}/f.txt", exist_ok=True),
    "makedirs below file": lambda url: os.makedirs(f"{url}/f.txt/x", exist_ok=True),
    "mkdir": lambda url: os.mkdir(f"{url}/x"),
    "mkdir there": lambda url: os.mkdir(f"{url}/d"),
    "mkdir on file": lambda url: os.mkdir(f"{url}/f.txt"),
    "mkdir below nothing": lambda url: os.mkdir(f"{url}/x/y"),
    "mkdir below file": lambda url: os.mkdir(f"{url}/f.txt/y"),
    "Path.mkdir": lambda url: Path(url, "x/y").mkdir(parents=True),
    "Path.mkdir ok": lambda url: Path(url, "d").mkdir(exist_ok=True),
    "Path.mkdir there": lambda url: Path(url, "d").mkdir(),
    "remove": lambda url: os.remove(f"{url}/f.txt"),
    "remove nothing": lambda url: os.remove(f"{url}/nothing"),
    "remove folder": lambda url: os.remove(f"{url}/d"),
    "remove file/": lambda url: os.remove(f"{url}/f.txt/"),
    "unlink": lambda url: os.unlink(f"{url}/f.txt"),
    "Path.unlink": lambda url: Path(url, "f.txt").unlink(),
    "Path.unlink ok": lambda url: Path(url, "nothing").unlink(missing_ok=True),
    "rmdir": lambda url: os.rmdir(f"{url}/empty"),
    "rmdir full": lambda url: os.rmdir(f"{url}/d"),
    "rmdir file": lambda url: os.rmdir(f"{url}/f.txt"),
    "rmdir nothing": lambda url: os.rmdir(f"{url}/nothing"),
    "rename": lambda url: os.rename(f"{url}/f.txt", f"{url}/g.txt"),
    "rename over": lambda url: os.rename(f"{url}/f.txt", f"{url}/d/a.txt"),
    "rename itself": lambda url: os.rename(f"{url}/f.txt", f"{url}/f.txt"),
    "rename folder": lambda url: os.rename(f"{url}/d", f"{url}/new"),
    "rename folder on empty": lambda url: os.rename(f"{url}/d", f"{url}/empty"),
    "rename folder on full": lambda url: os.rename(f"{url}/empty", f"{url}/d"),
    "rename folder on file": lambda url: os.rename(f"{url}/d", f"{url}/f.txt"),
    "rename file on folder": lambda url: os.rename(f"{url}/f.txt", f"{url}/d"),
    "rename into itself": lambda url: os.rename(f"{url}/d", f"{url}/d/e/new"),
    "rename nothing": lambda url: os.rename(f"{url}/nothing", f"{url}/new"),
    "replace": lambda url: os.replace(f"{url}/f.txt", f"{url}/d/a.txt"),
    "Path.rename": lambda url: Path(url, "f.txt").rename(Path(url, "g.txt")),
    "Path.touch": lambda url: Path(url, "new").touch(),
    "Path.touch there": lambda url: Path(url, "f.txt").touch(),
    "Path.touch not ok": lambda url: Path(url, "f.txt").touch(exist_ok=False),
    "Path.write_text": lambda url: Path(url, "new").write_text("x"),
    "open(file=)": lambda url: read(url, "f.txt"),
    "open file= mode=": lambda url: read(url, "f.txt", mode="rb"),
    "open w": lambda url: write(f"{url}/new"),
    "open a": lambda url: write(f"{url}/f.txt", "a"),
    "open x": lambda url: write(f"{url}/new", "x"),
    "open x there": lambda url: write(f"{url}/f.txt", "x"),
    "open x folder": lambda url: write(f"{url}/d", "x"),
    "open w folder": lambda url: write(f"{url}/d"),
    "open w folder/": lambda url: write(f"{url}/new/"),
    "open rw": lambda url: write(f"{url}/new", "rw"),
    "open unbuffered text": lambda url: read(url, "f.txt", buffering=0),
    "open binary encoding": lambda url: read(url, "f.txt", mode="rb", encoding="utf-8"),
    "open newline": rows,
    "open errors": odd_bytes,
}


def test_changes(store, tmp_path):
    """Each on a tree as it was at first; what is there afterwards is the same too."""
    different, disk, url, before = {}, "", "", {}
    for number, (what, call) in enumerate(CHANGES.items()):
        if not disk or content(disk) != before:
            disk, url = str(tmp_path / f"{number}" / "p"), f"{store}/{number}/p"
            fill(disk, FEW)
            fill(url, FEW)
            before = content(disk)
        expected = outcome(call, disk)
        with shifted():
            found = outcome(call, url)
        if found != expected:
            different[what] = (expected, found)
        elif content(url) != content(disk):
            different[what] = (content(disk), content(url))
    assert not different
