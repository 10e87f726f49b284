"""Under `shift`, each function does with a URL what it does on a disk: the disk, without shift, says what is expected."""

from __future__ import annotations

import builtins
import csv
import errno
import glob
import io
import os
import shutil
import sys
from pathlib import Path

import pytest

from mindlift.errors import MindLiftError
from mindlift.storage import places
from tests.support.shifted import FEW, Call, content, fill, outcome, shifted

NAMES = ("f.txt", "f.txt/", "d", "d/", "d/e", "empty", "nothing", "nothing/", "d/nothing", "data", "dat", "")


def texts(entries) -> list:
    return sorted((entry.name, entry.is_dir(), entry.is_file(), entry.is_symlink()) for entry in entries)


def scanned(place: str, name: str) -> list:
    with os.scandir(f"{place}/{name}") as entries:
        found = list(entries)
    assert all(
        os.fspath(entry) == entry.path == os.path.join(f"{place}/{name}", entry.name) for entry in found
    )
    return texts(found)


def read(place: str, name: str, **options) -> object:
    with open(file=f"{place}/{name}", **options) as opened:
        return opened.read()


def read_by(module, url: str) -> object:
    with module.open(url) as opened:
        return opened.read()


def errors_of_walk(place: str, name: str) -> list:
    found: list = []
    assert list(os.walk(f"{place}/{name}", onerror=found.append)) == []
    return [err.errno for err in found]


LOOKS = {
    "isfile": lambda url: os.path.isfile(url),
    "isdir": lambda url: os.path.isdir(url),
    "exists": lambda url: os.path.exists(url),
    "lexists": lambda url: os.path.lexists(url),
    "islink": lambda url: os.path.islink(url),
    "isabs": lambda url: os.path.isabs(url),
    "getsize": lambda url: os.path.isdir(url) or os.path.getsize(url),
    "getmtime": lambda url: os.path.getmtime(url) > 0 or os.path.isdir(url),
    "stat": lambda url: (os.stat(url).st_mode & 0o170000, os.path.isdir(url) or os.stat(url).st_size),
    "lstat": lambda url: os.lstat(url).st_mode & 0o170000,
    "listdir": lambda url: sorted(os.listdir(url)),
    "access": lambda url: os.access(url, os.F_OK),
    "Path.is_file": lambda url: Path(url).is_file(),
    "Path.is_dir": lambda url: Path(url).is_dir(),
    "Path.exists": lambda url: Path(url).exists(),
    "Path.iterdir": lambda url: sorted(path.name for path in Path(url).iterdir()),
    "Path.read_text": lambda url: Path(url).read_text(),
    "open": lambda url: read_by(builtins, url),
    "io.open": lambda url: read_by(io, url),
    "samefile": lambda url: os.path.samefile(url, url),
}


@pytest.fixture
def twins(store, tmp_path) -> tuple[str, str]:
    """A folder of the disk and one of a bucket with the same content."""
    found = (str(tmp_path / "disk"), f"{store}/disk")
    for place in found:
        fill(place)
    return found


def same(call: Call, twins: tuple[str, str]) -> object:
    """What the call gives on the disk, after the bucket has given the same."""
    expected = outcome(call, twins[0])
    with shifted():
        found = outcome(call, twins[1])
    assert found == expected
    assert content(twins[1]) == content(twins[0])
    return expected


def test_looks(twins):
    """Each function, on a file, a folder, an empty one, and what is missing."""
    different = {}
    for what, call in LOOKS.items():
        for name in NAMES:
            place = f"/{name}" if name else ""
            expected = outcome(lambda url, call=call, place=place: call(url + place), twins[0])
            with shifted():
                found = outcome(lambda url, call=call, place=place: call(url + place), twins[1])
            if found != expected:
                different[what, name] = (expected, found)
    assert not different


PATTERNS = [
    *(
        "*",
        "*/",
        "*.txt",
        "*/*",
        "*/*/",
        "d/*",
        "d/*/",
        "[df]*",
        "d/[!a]*",
        "d/.*",
        ".*",
        ".*/*",
        "nothing/*",
    ),
    *(
        "**",
        "**/",
        "**/*",
        "**/*.txt",
        "**/*/",
        "d/**",
        "d/**/",
        "**/c.txt",
        "*/e/*.txt",
        "*/a.txt",
        "*/e/",
        "*/nothing",
    ),
    *(
        "f.txt",
        "f.txt/",
        "d",
        "d/",
        "nothing",
        "f.txt/*",
        "d/*/c.txt",
        "**/e/**",
        "data?/z",
        "d**",
        "?",
        "d/e/**/",
    ),
]


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("since", [(3, 7), (3, 10), (3, 11)])
def test_globs(twins, recursive, since):
    """`root_dir` came with Python 3.10, `include_hidden` with 3.11."""
    if sys.version_info < since:
        pytest.skip("this Python has it not")
    more: dict = {"recursive": recursive, **({"include_hidden": True} if since == (3, 11) else {})}
    different = {}
    for pattern in PATTERNS:
        for find in ("glob", "iglob"):

            def call(url: str, pattern: str = pattern, find: str = find) -> list:
                if since == (3, 10):
                    return sorted(set(getattr(glob, find)(pattern, root_dir=url, **more)))
                return sorted(set(getattr(glob, find)(f"{url}/{pattern}", **more)))

            expected = outcome(call, twins[0])
            with shifted():
                found = outcome(call, twins[1])
            if found != expected:
                different[pattern] = (expected, found)
    assert not different


def test_pathlibs_globs(twins):
    for pattern in ("*", "*.txt", "d/*", "**/*.txt", "*/e"):
        same(lambda url, pattern=pattern: sorted(map(str, Path(url).glob(pattern))), twins)
    same(lambda url: sorted(map(str, Path(url).rglob("*.txt"))), twins)


def walked(url: str, **options) -> list:
    return [(folder, sorted(folders), sorted(names)) for folder, folders, names in os.walk(url, **options)]


def pruned(url: str) -> list:
    found = []
    for folder, folders, _ in os.walk(url):
        folders[:] = sorted(name for name in folders if name != "e")
        found.append(folder)
    return found


def test_walks(twins):
    assert same(lambda url: list(os.walk(f"{url}/nothing")), twins) == []
    assert same(lambda url: list(os.walk(f"{url}/f.txt")), twins) == []
    assert same(lambda url: errors_of_walk(url, "nothing"), twins) == [errno.ENOENT]
    assert same(lambda url: errors_of_walk(url, "f.txt"), twins) == [errno.ENOTDIR]
    same(lambda url: sorted(walked(url)), twins)
    same(lambda url: sorted(walked(f"{url}/d/")), twins)
    same(lambda url: sorted(walked(f"{url}/d", topdown=False)), twins)
    same(lambda url: walked(f"{url}/d", topdown=False)[-1], twins)
    same(lambda url: sorted(walked(Path(url) / "d")), twins)
    same(pruned, twins)


@pytest.mark.parametrize("name", ["", "d", "d/", "empty", "f.txt", "f.txt/", "nothing"])
def test_scandir_is_a_context_manager(twins, name):
    same(lambda url: scanned(url, name), twins)


def test_scandir_entries(twins):
    def sizes(url: str) -> list:
        return sorted(
            (entry.name, entry.stat().st_size, entry.stat(follow_symlinks=False).st_mtime > 0)
            for entry in os.scandir(url)
            if entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False)
        )

    same(sizes, twins)
    same(lambda url: next(os.scandir(f"{url}/empty"), None), twins)


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
    """Each on a tree of its own; what is there afterwards is the same too."""
    different = {}
    for number, (what, call) in enumerate(CHANGES.items()):
        disk, url = str(tmp_path / f"{number}" / "p"), f"{store}/{number}/p"
        fill(disk, FEW)
        fill(url, FEW)
        expected = outcome(call, disk)
        with shifted():
            found = outcome(call, url)
        if found != expected:
            different[what] = (expected, found)
        elif content(url) != content(disk):
            different[what] = (content(disk), content(url))
    assert not different


def test_between_a_disk_and_a_bucket(twins, tmp_path):
    local = tmp_path / "local"
    with shifted():
        shutil.copy(f"{twins[1]}/f.txt", local)
        assert local.read_text() == "hello"
        assert shutil.move(local, f"{twins[1]}/d") == f"{twins[1]}/d/local"
        assert not local.exists()
        shutil.copytree(f"{twins[1]}", tmp_path / "tree", ignore=shutil.ignore_patterns("d"))
        shutil.copytree(tmp_path / "tree", f"{twins[1]}/tree")
    assert sorted(os.listdir(tmp_path / "tree")) == [".hidden", "data2", "empty", "f.txt"]
    assert content(f"{twins[1]}/tree") == content(str(tmp_path / "tree"))


def test_the_name_of_a_url_is_absolute(twins):
    url = twins[1]
    with shifted():
        assert os.path.abspath(url) == os.path.realpath(url) == url
        assert Path(url).resolve() == Path(url).absolute() == Path(url)
        assert os.path.relpath(f"{url}/d/a.txt", url) == "d/a.txt"
        assert not os.path.samefile(f"{url}/f.txt", f"{url}/d/a.txt")
    assert os.path.abspath(url) != url


def test_errors_have_number_and_name(twins):
    """For `except OSError as err: if err.errno != errno.EEXIST: raise`, and for what catches moxing's own."""
    from mindlift.storage.moxing.file import MoxFileNotExistsException

    with shifted():
        with pytest.raises(MoxFileNotExistsException) as caught:
            os.stat(f"{twins[1]}/nothing")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, f"{twins[1]}/nothing")
        assert str(caught.value) == f"[Errno 2] No such file or directory: '{twins[1]}/nothing'"


def test_a_bucket_that_is_not_there(store):
    url = "obs://no-such-bucket-of-a-test"
    with shifted():
        assert not os.path.exists(url)
        assert not os.path.isdir(f"{url}/d")
        with pytest.raises(OSError, match="NoSuchBucket"):
            os.makedirs(f"{url}/d")
        with pytest.raises(OSError, match="NoSuchBucket"):
            Path(f"{url}/d").mkdir(parents=True)
    assert not Path("obs:").exists()


@pytest.mark.parametrize(
    "look",
    [
        os.path.exists,
        os.path.isfile,
        os.path.isdir,
        lambda url: list(os.walk(url)),
        lambda url: glob.glob(f"{url}/*"),
    ],
)
def test_a_store_that_does_not_answer_is_no_missing_file(monkeypatch, look):
    """A disk's own functions would say False, and a program would start anew over what is there."""
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("ACCESS_KEY_ID", "a")
    monkeypatch.setenv("SECRET_ACCESS_KEY", "b")
    places.SERVICES.forget()
    places.set_auth(retry=1)
    name = getattr(look, "__name__", "")
    with shifted(), pytest.raises(MindLiftError, match="nothing listens"):
        getattr(os.path, name, look)("obs://bucket/k")
    places.SERVICES.forget()
