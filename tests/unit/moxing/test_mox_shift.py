"""Under `shift`, each function does with a URL what it does on a disk: the disk, without shift, says what is expected."""

from __future__ import annotations

import builtins
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
from tests.support.shifted import Call, content, fill, outcome, shifted

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


def test_one_request_for_each_folder_that_has_something(twins, monkeypatch):
    """A data set of a thousand classes is a thousand lists, and nothing beside them."""
    plane, asked = places.SERVICES.get().http, []
    send = plane.send
    monkeypatch.setattr(plane, "send", lambda *what, **more: asked.append(what) or send(*what, **more))
    with shifted():
        assert len(list(os.walk(f"{twins[1]}/d"))) == 2
        assert len(asked) == 2
        assert len(glob.glob(f"{twins[1]}/*/*.txt")) == 1
        assert len(asked) == 2 + 1 + 3, "the folder, and d, data2 and empty in it"
        assert len(glob.glob(f"{twins[1]}/**/*.txt", recursive=True)) == 3
        assert len(asked) == 7


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
