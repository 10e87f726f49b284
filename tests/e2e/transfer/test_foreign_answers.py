"""Answers that no store gives: pages of portals and proxies, and heads without what S3 promises.

What is expected is in Amazon's API reference: the ETag of PutObject, UploadPart and CopyObject, Last-Modified,
Content-Length and ETag of HeadObject and GetObject, an Error document with each 404 but that to a HEAD, the list of
keys of DeleteObjects; and a request id in every answer.
"""

from __future__ import annotations

from functools import partial

import pytest

from mindlift.errors import TransferError
from mindlift.storage.moxing import file
from mindlift.storage.places import set_auth
from tests.support.faults import PAGES, Fault
from tests.support.spoiled import DOWN, SMALL, UP, Spoiled, arguments
from tests.support.transfers import write

no_header = partial(Fault, "header")


def pages(kind: str) -> list[Fault]:
    """Between the store's answers, pages for each kind of request."""
    kinds = ("GET|HEAD|PUT|DELETE|POST", "HEAD", "PUT", "GET", "POST", "DELETE")
    path = "/(p|up|copied)/|prefix=|delete"
    return [Fault(kind, method, path, status=status) for method in kinds for status in (200, 404)]


@pytest.mark.parametrize("kind", PAGES)
def test_downloads_survive_a_portal(spoiled: Spoiled, kind):
    spoiled.bucket.put(DOWN, "p/")
    file.exists(spoiled.bucket.url("p"))  # an answer of the store is known
    for fault in pages(kind):
        spoiled.proxy.add(fault)
    assert spoiled.down() == DOWN
    assert spoiled.is_clean()


@pytest.mark.parametrize("kind", [pytest.param("portal", marks=pytest.mark.heavy), "static_page"])
def test_uploads_and_copies_survive_a_portal(spoiled: Spoiled, kind):
    write(spoiled.folder / "from", UP)
    spoiled.bucket.put(DOWN, "p/")
    file.exists(spoiled.bucket.url("p"))
    for fault in [*pages(kind), *pages(kind)]:
        spoiled.proxy.add(fault)
    assert spoiled.up() == UP
    assert spoiled.across() == DOWN
    assert spoiled.is_clean()


@pytest.mark.parametrize("kind", PAGES)
def test_a_portal_answers_first(spoiled: Spoiled, kind):
    """Nothing of the store is known yet."""
    spoiled.proxy.add(Fault(kind, "PUT", times=2))
    file.write(spoiled.bucket.url("k"), "text")
    assert spoiled.bucket.content() == {"k": b"text"}


def test_pages_among_many_uploads(spoiled: Spoiled):
    files = {f"{number:03}": b"%d" % number for number in range(80)}
    write(spoiled.folder / "from", files)
    for number in range(0, 80, 4):
        spoiled.proxy.add(Fault("portal", "PUT", f"/up/{number:03}"))
    assert spoiled.up() == files


HEADLESS = {
    "PUT without ETag": ("up", [no_header("PUT", "/up/k/small", name="ETag", times=2)]),
    "part without ETag": ("up", [no_header("PUT", "partNumber=2", name="ETag", times=2)]),
    "GET without ETag": ("down", [no_header("GET", "/p/k/", name="ETag", times=2)]),
    "short": ("down", [Fault("short", "GET", "/p/k/small", after=50, times=2)]),
    "short list": ("down", [Fault("short", "GET", "prefix=", after=200, times=2)]),
    "copy with a page": ("across", [Fault("portal", "PUT", "/copied/k/small", times=2)]),
    "HEAD without time": ("across", [no_header("HEAD", "/copied/", name="Last-Modified", times=2)]),
    "HEAD without length": ("across", [no_header("HEAD", "/copied/", name="Content-Length", value="x")]),
}


@pytest.mark.parametrize("name", HEADLESS)
def test_copies_survive_heads_without_what_is_promised(spoiled: Spoiled, name):
    direction, faults = HEADLESS[name]
    write(spoiled.folder / "from", UP)
    spoiled.bucket.put(DOWN, "p/")
    added = [spoiled.proxy.add(Fault(**arguments(fault))) for fault in faults]
    assert getattr(spoiled, direction)() == (UP if direction == "up" else DOWN)
    assert all(fault.used for fault in added)
    assert spoiled.is_clean()


@pytest.mark.parametrize(
    "fault", [*map(partial(Fault, times=2), PAGES), Fault("short", after=9), Fault("flip_bit", after=9)]
)
def test_a_file_that_is_read_is_the_objects(spoiled: Spoiled, fault):
    spoiled.bucket.put({"k": SMALL})
    assert file.exists(spoiled.bucket.url("k"))
    added = spoiled.proxy.add(Fault(**{**arguments(fault), "path": "/k"}))
    assert file.read(spoiled.bucket.url("k"), binary=True) == SMALL
    assert added.used


@pytest.mark.parametrize("kind", [pytest.param("portal", marks=pytest.mark.heavy), "static_page"])
def test_what_a_portal_says_is_gone_is_removed_after_all(spoiled: Spoiled, kind):
    spoiled.bucket.put({"a": b"1", "d/b": b"2", "d/c": b"3"})
    spoiled.proxy.add(Fault(kind, "DELETE", times=2))
    spoiled.proxy.add(Fault(kind, "POST", times=2))
    file.remove(spoiled.bucket.url("a"))
    file.remove(spoiled.bucket.url("d"), recursive=True)
    assert spoiled.bucket.content() == {}


def test_ranges_that_are_read_are_the_objects(spoiled: Spoiled):
    spoiled.bucket.put({"k": SMALL})
    for fault in (
        *map(Fault, PAGES),
        Fault("short", after=9),
        Fault("wrong_content_range", shift=1),
        Fault("header", name="ETag", value='"00000000000000000000000000000000"'),
    ):
        added = spoiled.proxy.add(Fault(**{**arguments(fault), "path": "/k"}))
        with file.File(spoiled.bucket.url("k"), "rb") as stream:
            stream.seek(500)
            assert stream.read(1000) == SMALL[500:1500]
        assert added.used


def test_a_portal_that_stays_is_named(spoiled: Spoiled):
    write(spoiled.folder / "from", {"a": b"1"})
    spoiled.proxy.add(Fault("portal", "PUT", times=None))
    set_auth(retry=2)
    with pytest.raises(
        TransferError, match="PUT .*/up/a: a 200 that is not the store's; a proxy or a portal"
    ):
        spoiled.up()
