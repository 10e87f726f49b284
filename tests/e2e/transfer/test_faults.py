"""Every fault of the proxy against whole copies: bytes are exact, or the key is named and no file visible."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial

import pytest

from mindlift import limits
from mindlift.errors import MindLiftError, TransferError
from mindlift.storage.copying.copy import copy_tree
from mindlift.storage.places import set_auth
from tests.support.faults import Fault
from tests.support.servers import MB
from tests.support.spoiled import DOWN, LARGE, UP, Spoiled, arguments
from tests.support.transfers import parts, write

OTHER = '"00000000000000000000000000000000"'
get, get_small, get_large = (
    partial(Fault, method="GET", path=path) for path in ("/p/k/", "/p/k/small", "/p/k/large")
)
listing = partial(Fault, method="GET", path="[?&]prefix=")

# What passes when it is asked again.
PASSING_DOWN = {
    "reset at once": [get("reset", before=True, times=3)],
    "reset in the head of a small body": [get_small("reset", after=0)],
    "reset in a small body": [get_small("reset", after=70_000, times=2)],
    "reset in a range": [get_large("reset", after=500_000, times=3)],
    "truncated small": [get_small("truncate", after=99_999, times=2)],
    "truncated range": [get_large("truncate", after=MB - 1, times=2)],
    "truncated list": [listing("truncate", after=100, times=2)],
    "reset list": [listing("reset", after=100, times=2)],
    "503 with Retry-After": [get("status", status=503, retry_after=0, times=4)],
    "429 burst": [get("status", status=429, times=4)],
    "500 to a list": [listing("status", status=500, times=2)],
    "200 to a range": [get_large("full_for_range", body=LARGE, times=2)],
    "wrong Content-Range": [get_large("wrong_content_range", shift=MB, times=2)],
    "no Content-Range": [get_large("no_content_range", times=2)],
    "a bit of a small object": [get_small("flip_bit", after=5, times=2)],
    "a bit of a large object": [get_large("flip_bit", after=5, times=2)],
    "a short 200 for a small object": [get_small("short", after=5, times=2)],
    "a short 206 for a range": [get_large("short", after=5, times=2)],
    "another ETag of a small object": [get_small("header", name="ETag", value=OTHER, times=2)],
    "another ETag of a range": [get_large("header", name="ETag", value=OTHER, times=2)],
    "no such version": [get("status", status=412, code="PreconditionFailed", times=3)],
    "an error in a 200 for a small object": [get_small("error_in_200", times=2)],
    "an error in a 200 for a range": [get_large("error_in_200", times=2)],
    "an error in a 200 for a list": [listing("error_in_200", times=2)],
    "expired for a moment": [get("expired_token")],
    "lost answers": [get("lost_response", times=3)],
    "everything at once": [
        get_small("reset", after=9),
        get_small("status", status=503),
        get_large("truncate", after=7),
        listing("reset", before=True),
    ],
}


@pytest.mark.parametrize("name", PASSING_DOWN)
def test_downloads_survive(spoiled, name):
    spoiled.bucket.put(DOWN, "p/")
    faults = [spoiled.proxy.add(Fault(**arguments(fault))) for fault in PASSING_DOWN[name]]
    assert spoiled.down() == DOWN
    assert all(fault.used for fault in faults), "the fault has struck"
    assert spoiled.is_clean()


put, put_part = partial(Fault, method="PUT", path="/up/k/"), partial(Fault, method="PUT", path="partNumber=")
post = partial(Fault, method="POST", path="/up/k/parts")
PASSING_UP = {
    "reset at once": [put("reset", before=True, times=3)],
    "reset in a small body": [put("reset_upload", after=50_000, times=2)],
    "reset in a part": [put_part("reset_upload", after=MB, times=2)],
    "503 with Retry-After": [put("status", status=503, retry_after=0, times=3)],
    "429 burst": [put("status", status=429, times=3)],
    "a bit of a small body": [Fault("flip_upload_bit", "PUT", "/up/k/small", after=77, times=2)],
    "a bit of a part": [put_part("flip_upload_bit", after=MB, times=2)],
    "a lost answer to a PUT": [Fault("lost_response", "PUT", "/up/k/small", times=2)],
    "a lost answer to a part": [put_part("lost_response", times=2)],
    "a lost answer to the completion": [Fault("lost_response", "POST", "uploadId=")],
    "an error in a 200 for the completion": [Fault("error_in_200", "POST", "uploadId=")],
    "500 to the beginning": [Fault("status", "POST", "uploads", status=500, times=2)],
    "expired for a moment": [put("expired_token"), post("expired_token")],
}


@pytest.mark.parametrize("name", PASSING_UP)
def test_uploads_survive(spoiled, name):
    write(spoiled.folder / "from", UP)
    faults = [spoiled.proxy.add(Fault(**arguments(fault))) for fault in PASSING_UP[name]]
    assert spoiled.up() == UP
    assert all(fault.used for fault in faults)
    assert spoiled.is_clean()


PASSING_ACROSS = {
    "an error in a 200": [Fault("error_in_200", "PUT", "/copied/", times=2)],
    "a lost answer": [Fault("lost_response", "PUT", "/copied/")],
    "503": [Fault("status", "PUT", "/copied/", status=503, times=2)],
    "expired for a moment": [Fault("expired_token", "PUT", "/copied/")],
}


@pytest.mark.parametrize("name", PASSING_ACROSS)
def test_copies_in_the_store_survive(spoiled, name):
    spoiled.bucket.put(DOWN, "p/")
    faults = [spoiled.proxy.add(Fault(**arguments(fault))) for fault in PASSING_ACROSS[name]]
    assert spoiled.across() == DOWN
    assert all(fault.used for fault in faults)


@pytest.mark.parametrize("path", ["/p/k/small", "/p/k/large"])
def test_a_server_that_is_silent_is_asked_again(spoiled, path):
    spoiled.bucket.put(DOWN, "p/")
    set_auth(client_timeout=2)
    fault = spoiled.proxy.add(Fault("stall", path=path, after=5000, seconds=60))
    assert spoiled.down() == DOWN
    assert fault.used == 1


@pytest.mark.parametrize("path", ["/p/k/small", "/p/k/large"])
def test_a_server_that_trickles_is_asked_again(spoiled, monkeypatch, path):
    """Each piece comes in time, but the whole never would."""
    monkeypatch.setattr(limits, "LEAST_RATE_TIME_S", 0.3)
    spoiled.bucket.put(DOWN, "p/")
    fault = spoiled.proxy.add(Fault("trickle", path=path, rate=200))
    assert spoiled.down() == DOWN
    assert fault.used == 1


def test_a_server_that_is_down_for_a_while(spoiled):
    spoiled.bucket.put(DOWN, "p/")
    write(spoiled.folder / "from", UP)
    set_auth(retry_wait=0.05)
    spoiled.proxy.down(1)
    assert spoiled.down() == DOWN
    spoiled.proxy.down(1)
    assert spoiled.up() == UP
    assert spoiled.is_clean()


@pytest.mark.parametrize("kind", ["repeat_page", "stale_token"])
def test_a_list_that_goes_in_a_circle_copies_nothing(spoiled, kind):
    spoiled.bucket.put({f"{number}": b"x" for number in range(9)}, "p/")
    set_auth(list_max_keys=2)
    spoiled.proxy.add(Fault(kind, times=None))
    with pytest.raises(TransferError, match=f"list {spoiled.bucket.name}/p/"):
        spoiled.down()
    assert spoiled.visible("down") == {}


# What does not pass: the key is named, the other file is there, and nothing half.
LASTING = {
    "truncated": ("down", "k/small", Fault("truncate", path="/p/k/small", after=10, times=None)),
    "truncated range": ("down", "k/large", Fault("truncate", path="/p/k/large", after=10, times=None)),
    "a bit": ("down", "k/small", Fault("flip_bit", path="/p/k/small", after=10, times=None)),
    "a bit of a range": ("down", "k/large", Fault("flip_bit", path="/p/k/large", after=10, times=None)),
    "200 to ranges": ("down", "k/large", Fault("full_for_range", path="/p/k/large", body=LARGE, times=None)),
    "wrong ranges": (
        "down",
        "k/large",
        Fault("wrong_content_range", path="/p/k/large", shift=-1, times=None),
    ),
    "an error in a 200": ("down", "k/small", Fault("error_in_200", path="/p/k/small", times=None)),
    "503": ("down", "k/small", Fault("status", path="/p/k/small", status=503, times=None)),
    "gone": (
        "down",
        "k/small",
        Fault("status", "GET|HEAD", "/p/k/small", status=404, code="NoSuchKey", times=None),
    ),
    "a PUT": ("up", "k/small", Fault("status", "PUT", "/up/k/small", status=503, times=None)),
    "a bit of a PUT": ("up", "k/small", Fault("flip_upload_bit", "PUT", "/up/k/small", after=10, times=None)),
    "a part": ("up", "k/parts", Fault("status", "PUT", "partNumber=2", status=500, times=None)),
    "a bit of a part": (
        "up",
        "k/parts",
        Fault("flip_upload_bit", "PUT", "partNumber=2", after=10, times=None),
    ),
    "the completion": ("up", "k/parts", Fault("error_in_200", "POST", "uploadId=", times=None)),
    "a copy": ("across", "k/small", Fault("error_in_200", "PUT", "/copied/k/small", times=None)),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_names_the_key_and_shows_no_file(spoiled, name):
    direction, key, fault = LASTING[name]
    files = UP if direction == "up" else DOWN
    write(spoiled.folder / "from", files)
    if direction != "up":
        spoiled.bucket.put(files, "p/")
    set_auth(retry=3)
    spoiled.proxy.add(Fault(**arguments(fault)))
    with pytest.raises(TransferError, match=f"1 of 2 files .*{key}"):
        getattr(spoiled, direction)()
    assert spoiled.visible(direction) == {other: data for other, data in files.items() if other != key}
    assert spoiled.is_clean()


@pytest.mark.parametrize("key", ["k/small", "k/large"])
def test_an_object_that_is_replaced_meanwhile_is_the_new_one(spoiled, key):
    spoiled.bucket.put(DOWN, "p/")
    other = DOWN[key][::-1]
    ranged = {"path": f"/p/{key}"}

    def after_two() -> None:
        if fault.used == 2 or key == "k/small":
            spoiled.bucket.put({key: other}, "p/")

    fault = spoiled.proxy.add(Fault("replace", call=after_two, times=2, **ranged))
    assert spoiled.down() == {**DOWN, key: other}
    assert spoiled.is_clean()


def test_an_object_that_shrinks_or_goes(spoiled):
    spoiled.bucket.put({"a": b"long content", "b": b"x", "c": b"stays"}, "p/")
    change: Callable[[], object] = lambda: (  # noqa: E731
        spoiled.bucket.put({"a": b"short"}, "p/"),
        spoiled.bucket.client.delete_object(Bucket=spoiled.bucket.name, Key="p/b"),
    )
    spoiled.proxy.add(Fault("replace", path="/p/[abc]", call=change))
    with pytest.raises(TransferError, match="1 of 3 files .*/p/b: the store answered 404"):
        set_auth() or copy_tree(
            spoiled.bucket.url("p"), str(spoiled.folder / "to"), threads=1, processes=False
        )
    assert spoiled.visible("down") == {"a": b"short", "c": b"stays"}


# Anything, in any order.
STRIKES: tuple[Callable[[random.Random], dict], ...] = (
    lambda dice: {"kind": "reset", "after": dice.randrange(3000)},
    lambda dice: {"kind": "reset", "before": True, "method": "GET|PUT|POST|HEAD"},
    lambda dice: {"kind": "truncate", "after": dice.randrange(3000)},
    lambda dice: {"kind": "flip_bit", "after": dice.randrange(3000), "path": "/(p|copied)/f"},
    lambda dice: {"kind": "flip_upload_bit", "after": dice.randrange(3000), "method": "PUT"},
    lambda dice: {"kind": "reset_upload", "after": dice.randrange(3000), "method": "PUT"},
    lambda dice: {
        "kind": "lost_response",
        "method": dice.choice(["GET", "PUT", "POST.*"]),
        "path": "/f|uploadId",
    },
    lambda dice: {
        "kind": "status",
        "status": dice.choice([429, 500, 502, 503, 504]),
        "method": "GET|PUT|POST|HEAD",
    },
    lambda dice: {"kind": "error_in_200", "method": "GET|PUT", "path": "/f"},
    lambda dice: {"kind": "wrong_content_range", "shift": dice.choice([-1, 1, 4096])},
    lambda dice: {"kind": "no_content_range"},
    lambda dice: {"kind": "full_for_range", "body": dice.randbytes(99)},
    lambda dice: {"kind": "expired_token", "method": "GET|PUT"},
    lambda dice: {
        "kind": dice.choice(["portal", "static_page"]),
        "method": "GET|PUT|POST|HEAD",
        "status": dice.choice([200, 404]),
    },
    lambda dice: {"kind": "short", "after": dice.randrange(3000), "path": "/(p|copied)/f"},
    lambda dice: {"kind": "header", "name": dice.choice(["ETag", "Last-Modified"]), "method": "GET|PUT|HEAD"},
    lambda dice: {"kind": "header", "name": "ETag", "value": OTHER},
)


def random_tree(dice: random.Random) -> dict[str, bytes]:
    sizes = [0, 1, 100, 5000, 65_537, MB, MB + 1, 3 * MB + dice.randrange(MB)]
    names = [
        f"{dice.choice(['', 'd/', 'd/e/', '数 据/'])}f{number}{dice.choice(['', '.b', '+%41', ' é'])}"
        for number in range(dice.randrange(4, 14))
    ]
    return {name: os.urandom(dice.choice(sizes)) for name in names}


def failure_of(copy: Callable[[], object]) -> str:
    """What a copy says when it fails, else ''."""
    try:
        copy()
    except MindLiftError as err:
        return str(err)
    return ""


def run_randomly(spoiled: Spoiled, seed: int, count: int) -> None:
    """A copy under `count` faults either succeeds or leaves only whole files; then one without any."""
    dice = random.Random(seed)
    direction, files = dice.choice(["down", "up", "across"]), random_tree(dice)
    write(spoiled.folder / "from", files)
    spoiled.bucket.put(files, "p/")
    for _ in range(count):
        spoiled.proxy.add(Fault(**{"times": dice.choice([1, 1, 2, 4]), **dice.choice(STRIKES)(dice)}))
    error = failure_of(getattr(spoiled, direction))
    found = spoiled.visible(direction)
    missing = set(files) - set(found)
    assert found.items() <= files.items(), f"seed {seed}: a file that is not whole"
    assert bool(missing) <= bool(error), f"seed {seed}: {missing} are missing, and nobody said so"
    assert not error or "\n" not in error, f"seed {seed}"
    assert not error or not found or any(name in error for name in missing), f"seed {seed}: {error}"
    assert not parts(spoiled.folder), f"seed {seed}"
    spoiled.proxy.clear()
    assert getattr(spoiled, direction)() == files, f"seed {seed}: again, without faults"


@pytest.mark.parametrize("seed", range(4))
def test_random_faults(spoiled, seed):
    run_randomly(spoiled, seed, 5)  # 40 faults, as there are two planes


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(100, 115))
def test_many_random_faults(spoiled, seed):
    run_randomly(spoiled, seed, 10)  # 300
