"""The contract of storage.store.Store, on every store.

A folder of this machine, a mock of S3, a real MinIO (with lists V2 and V1), and a MinIO as a platform's own moxing
shows it, whose part is played by ours.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mindlift.errors import TransferError
from mindlift.storage.access import Access
from mindlift.storage.copying.copy import copy_tree
from mindlift.storage.copying.engine import Threads
from mindlift.storage.copying.job import Job
from mindlift.storage.copying.progress import Progress
from mindlift.storage.moxing import file
from mindlift.storage.places import SERVICES, set_auth
from mindlift.storage.platform_store import PlatformStore
from mindlift.storage.s3 import list_all
from mindlift.storage.s3.service import Service
from mindlift.storage.s3.store import S3Store
from mindlift.storage.store import LocalStore, Store

NAMES = [
    "plain.txt",
    "数据 集.bin",
    "a b",
    " lead",
    "trail ",
    "a+b",
    "%41",
    "a%2Fb",
    "a&b=c",
    "a?b",
    "a#b",
    'it\'s "q"',
    "<x>",
    "caf\u00e9",
    "cafe\u0301",
    "~tilde",
    "a;b,c",
    "=",
    "[x]*",
    "$(x)`",
    "\U0001f600",
    "x" * 200,
]


def s3_store(request: pytest.FixtureRequest, kind: str, **given) -> S3Store:
    """An empty bucket of moto or MinIO."""
    server = request.getfixturevalue(kind)
    auth = {"server": server.endpoint, "ak": server.access_key, "sk": server.secret_key, "retry_wait": 0.01}
    service = Service(Access({**auth, **given}))
    if kind == "minio":
        return S3Store(request.getfixturevalue("bucket"), service)
    store = S3Store(f"c-{uuid.uuid4().hex[:12]}", service)
    service.http.send("PUT", store.bucket, "")
    return store


def platform_store(request: pytest.FixtureRequest) -> PlatformStore:
    server, bucket = request.getfixturevalue("minio"), request.getfixturevalue("bucket")
    set_auth(server=server.endpoint, ak=server.access_key, sk=server.secret_key)
    request.addfinalizer(SERVICES.forget)
    return PlatformStore(bucket, file)


@pytest.fixture(params=["local", "moto", "minio", "minio lists V1", "minio pages of 7", "platform"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return LocalStore(tmp_path)
    if request.param == "platform":
        return platform_store(request)
    if request.param.endswith("V1"):
        monkeypatch.setattr(S3Store, "is_v1", True)
    return s3_store(
        request, request.param.split()[0], **({"list_max_keys": 7} if "7" in request.param else {})
    )


@pytest.fixture(params=["moto", "minio"])
def s3(request: pytest.FixtureRequest) -> S3Store:
    return s3_store(request, request.param)


@pytest.fixture
def hostile(request: pytest.FixtureRequest, moto) -> Iterator[S3Store]:
    """A bucket of moto, which takes any key; URLs lead to it."""
    set_auth(server=moto.endpoint, ak=moto.access_key, sk=moto.secret_key)
    yield s3_store(request, "moto")
    SERVICES.forget()


def fill(store: Store, *keys: str) -> None:
    for key in keys:
        if key.endswith("/"):
            store.make_folder(key)
        else:
            store.write(key, key.encode())


def scan(store: Store, folder: str) -> list[str]:
    return [entry.key for entry in store.scan(folder)]


def walk(store: Store, folder: str) -> list[str]:
    """The files below a folder; markers of folders are there on some stores and not on others."""
    return [entry.key for entry in store.walk(folder) if not entry.is_folder]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000], ids=len)
def test_what_is_written_is_read(store, data):
    written = store.write("d/f", data)
    found = store.stat("d/f")
    assert store.read("d/f") == data
    assert (written.key, written.size) == (found.key, found.size) == ("d/f", len(data))
    assert found.modified_ns > 0
    assert not found.is_folder
    assert written.etag == found.etag


def test_a_write_replaces_the_whole(store):
    store.write("f", b"a long one")
    store.write("f", b"short")
    assert store.read("f") == b"short"
    assert walk(store, "") == ["f"]


def test_a_write_on_a_condition(store):
    """RFC 9110, 13.1: If-None-Match: * and If-Match."""
    assert store.write_if("d/f", b"one", None)
    assert store.write_if("d/f", b"two", None) is None
    first = store.stat("d/f")
    time.sleep(0.002)  # a platform's moxing tells nothing but size and time
    assert store.write_if("d/f", b"three", first)
    assert store.write_if("d/f", b"four", first) is None
    assert store.read("d/f") == b"three"
    assert walk(store, "") == ["d/f"]
    gone = store.stat("d/f")
    store.remove("d/f")
    assert store.write_if("d/f", b"five", gone) is None
    assert store.stat("d/f") is None


def test_of_writers_at_one_moment_one_wins(request):
    """The condition is the store's, so it holds between machines."""
    s3 = s3_store(request, "minio")
    for was in (None, s3.write("g", b"before")):
        key = "g" if was else "f"
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n, key=key, was=was: s3.write_if(key, b"%d" % n, was), range(8)))
        winners = [number for number, entry in enumerate(found) if entry]
        assert len(winners) == 1
        assert s3.read(key) == b"%d" % winners[0]


def test_how_old_a_file_is(store):
    assert store.age_s("f") is None
    store.write("f", b"")
    assert store.age_s("f") is None if isinstance(store, PlatformStore) else -1 <= store.age_s("f") < 60


@pytest.mark.parametrize(
    ("start", "length", "found"),
    [
        (0, None, b"0123456789"),
        (0, 4, b"0123"),
        (3, 4, b"3456"),
        (8, 9, b"89"),
        (9, 1, b"9"),
        (4, None, b"456789"),
        (10, None, b""),
        (10, 5, b""),
        (99, 5, b""),
        (2, 0, b""),
    ],
)
def test_ranges(store, start, length, found):
    store.write("f", b"0123456789")
    assert store.read("f", start, length) == found


@pytest.mark.parametrize(("start", "length"), [(0, 5), (0, None), (1, None), (3, 3)])
def test_nothing_of_an_empty_file(store, start, length):
    store.write("f", b"")
    assert store.read("f", start, length) == b""


@pytest.mark.parametrize("key", ["no", "no/such", "d/no", "f/below"])
def test_a_missing_key(store, key):
    fill(store, "d/x")
    assert store.stat(key) is None
    assert store.stat(f"{key}/") is None
    assert scan(store, key) == walk(store, key) == []
    with pytest.raises(FileNotFoundError):
        store.read(key)
    with pytest.raises(FileNotFoundError):
        store.read(key, 2, 5)
    with pytest.raises(FileNotFoundError):
        store.copy(key, "target")
    store.remove(key)
    store.remove_folder(key)
    assert walk(store, "") == ["d/x"]


def test_a_file_is_no_folder_and_a_folder_no_file(store):
    fill(store, "d/f")
    assert store.stat("d").key == store.stat("d/").key == "d/"
    assert store.stat("d").is_folder
    assert store.stat("d/f/") is None
    assert store.stat("").key == ""
    assert scan(store, "d/f") == []


ORDER = ["a-b", "a-b2/x", "a.txt", "a/", "a/b/c", "a/b0", "a/é", "a/中", "aa", "b"]


def test_order_of_keys(store):
    fill(store, *ORDER)
    assert scan(store, "") == ["a-b", "a-b2/", "a.txt", "a/", "aa", "b"]
    assert scan(store, "a") == scan(store, "a/") == ["a/b/", "a/b0", "a/é", "a/中"]
    assert walk(store, "") == [key for key in ORDER if key != "a/"]
    assert walk(store, "a") == ["a/b/c", "a/b0", "a/é", "a/中"]
    every = [entry.key for entry in store.walk("")]
    assert every == sorted(every)
    assert "a/" in every, "the marker of a folder"


def test_a_prefix_that_is_not_a_folder_has_nothing_in_it(store):
    fill(store, "data1/x", "data10/x", "data1.txt")
    assert walk(store, "data1") == ["data1/x"]
    store.remove_folder("data1")
    assert walk(store, "") == ["data1.txt", "data10/x"]


def test_names_of_every_kind(store):
    for name in NAMES:
        store.write(f"数 据/{name}", name.encode())
    assert [entry.key for entry in store.scan("数 据")] == sorted(f"数 据/{name}" for name in NAMES)
    for name in NAMES:
        assert store.read(f"数 据/{name}") == name.encode()
        assert store.stat(f"数 据/{name}").size == len(name.encode())
        store.copy(f"数 据/{name}", f"copies/{name}")
        assert store.read(f"copies/{name}") == name.encode()
        store.remove(f"copies/{name}")
    assert walk(store, "copies") == []
    store.remove_folder("数 据")
    assert walk(store, "") == []


def test_pages_with_folders_among_the_files(store):
    """More keys than fit on one of the pages of 7, and on their edges folders with more than one key."""
    folders = [f"d{number:02}" for number in range(20)]
    fill(
        store,
        *(f"{folder}/{name}" for folder in folders for name in "ab"),
        *(f"{folder}.txt" for folder in folders),
    )
    expected = sorted([f"{folder}/" for folder in folders] + [f"{folder}.txt" for folder in folders])
    assert scan(store, "") == expected
    assert len(walk(store, "")) == 60
    assert scan(store, "d07") == ["d07/a", "d07/b"]


def test_more_keys_than_a_page_of_any_store_holds(request):
    s3 = s3_store(request, "minio")
    keys = [f"d/{number:05}" for number in range(1005)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: s3.write(key, b""), keys))
    assert walk(s3, "d") == scan(s3, "d") == keys
    s3.remove_folder("d")
    assert walk(s3, "") == []


def test_folders(store):
    store.make_folder("a/b/")
    store.make_folder("a/b/")
    assert store.stat("a/b").is_folder
    assert store.stat("a").is_folder
    assert scan(store, "a/b") == []
    store.write("a/b/f", b"x")
    store.make_folder("a/b/")
    assert store.read("a/b/f") == b"x"
    store.remove("a/b/")
    assert store.read("a/b/f") == b"x", "only the marker goes"
    store.remove("a/b/f")
    store.remove_folder("a")
    assert store.stat("a") is None


def test_an_empty_store_is_a_folder(store):
    assert (store.stat("").key, scan(store, ""), walk(store, "")) == ("", [], [])


def test_a_folder_has_a_time(store):
    """But for a platform's moxing, of which no document says that it tells the time of a folder."""
    fill(store, "d/f")
    assert (store.stat("d").modified_ns > 0) is not isinstance(store, PlatformStore)


def test_copy_within_a_store(store):
    store.write("a", b"content")
    store.write("d/b", b"old")
    copied = store.copy("a", "d/b")
    assert (copied.key, copied.size, copied.etag) == ("d/b", 7, store.stat("d/b").etag)
    assert store.read("d/b") == store.read("a") == b"content"


def test_a_failed_write_changes_nothing(store):
    store.write("d/f", b"good")
    with pytest.raises((TypeError, AttributeError)):
        store.write("d/f", None)  # type: ignore[arg-type]
    assert store.read("d/f") == b"good"
    assert walk(store, "") == ["d/f"]


def test_a_read_is_of_the_object_that_was_listed(s3):
    etag = s3.write("f", b"first").etag
    assert s3.read("f", 0, 3, etag) == b"fir"
    s3.write("f", b"other")
    for start, length in ((0, None), (0, 3), (2, None)):
        with pytest.raises(TransferError, match=f"GET {s3.bucket}/f.*replaced"):
            s3.read("f", start, length, etag)


def test_objects_become_files(s3, tmp_path):
    contents = {**{name: name.encode() for name in NAMES}, "empty": b""}
    entries = [s3.write(f"数 据/{name}", data) for name, data in contents.items()]
    job = Job(s3, "", LocalStore(), str(tmp_path))
    outcomes = list(Threads(job, 2, Progress("", show_bar=False)).run(entries))
    assert {outcome.source.key for outcome in outcomes} == {entry.key for entry in entries}
    for name, data in contents.items():
        assert (tmp_path / "数 据" / name).read_bytes() == data


def test_many_folders_are_listed_as_one(s3, monkeypatch):
    monkeypatch.setattr(list_all, "CHUNK", 7)
    keys = [f"d/{folder}/{number:02}" for folder in ("a", "a-b", "数", "z") for number in range(10)]
    keys += [f"d/{name}" for name in ("a!", "a.txt", "b c", "z/marker/", "zz")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.write(key, b""), [*keys, "e/other"]))
    assert [entry.key for entry in s3.walk("d")] == sorted(keys)
    assert [entry.key for entry in s3.walk("")] == [*sorted(keys), "e/other"]


def test_links_of_a_local_folder(tmp_path):
    store = LocalStore(tmp_path / "root")
    fill(store, "d/f")
    (tmp_path / "root/link").symlink_to("d")
    assert walk(store, "") == ["d/f", "link/f"]
    (tmp_path / "root/dead").symlink_to("nothing")
    assert "dead" in walk(store, ""), "or else a copy would leave it out silently"
    (tmp_path / "root/d/up").symlink_to("..")
    with pytest.raises(TransferError, match="d/up is a link to a folder that it is in"):
        walk(store, "")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a//b", "/abs", "a\\b", "a/./b"])
def test_hostile_keys_are_listed_and_refused(hostile, tmp_path, key):
    hostile.service.client().put_object(Bucket=hostile.bucket, Key=f"p/{key}", Body=b"x")
    hostile.write("p/good", b"x")
    assert sorted(walk(hostile, "p")) == sorted(["p/good", f"p/{key}"])
    for source in (f"s3://{hostile.bucket}/p", f"s3://{hostile.bucket}/"):
        with pytest.raises(TransferError, match="refused to copy.*nothing has been copied") as caught:
            copy_tree(source, str(tmp_path / "target/deep"))
        assert repr(key)[1:-1] in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_object_and_a_folder_of_one_name_are_refused(hostile, tmp_path):
    """MinIO can't have both."""
    fill(hostile, "p/a", "p/a/b")
    assert hostile.stat("p/a").size == 3
    with pytest.raises(TransferError, match="'a' is a file and, because of 'a/b', a folder"):
        copy_tree(f"s3://{hostile.bucket}/p", str(tmp_path / "target"))
    assert not list(tmp_path.iterdir())


def test_a_batch_delete_that_fails_in_part_says_what_stays(s3, monkeypatch):
    fill(s3, "d/a", "d/b")
    answer = {"Errors": [{"Key": "d/b", "Message": "locked"}]}
    monkeypatch.setattr(s3.service, "call", lambda *_, **__: answer)
    with pytest.raises(TransferError, match="1 objects stay, first d/b: locked"):
        s3.remove_folder("d")
