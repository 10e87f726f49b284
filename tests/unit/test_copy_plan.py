"""What a copy decides to do, from tables of listings."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable

import pytest

from mindlift.errors import StorageError, TransferError
from mindlift.storage.copying.plan import Known, Unsorted, plan_copy
from mindlift.storage.copying.spool import SortedSpool, Spool
from mindlift.storage.errors import MoxFileNameDuplicateException
from mindlift.storage.store import Entry

OBJECT = Entry("a", 3, "etag", 1000)
FILE = Entry("a", 3, "", 2000)
MANIFEST = [Known(OBJECT, FILE)]  # a download that has brought `a` over
TO_BUCKET = [Known(FILE, Entry("a", 3, "etag"))]  # an upload that has; a PUT does not say the time


def entries(*keys: str) -> list[Entry]:
    return [Entry(key, 0 if key.endswith("/") else 1) for key in keys]


def names(found: Iterable[Entry]) -> list[str]:
    return [entry.key for entry in found]


@pytest.mark.parametrize(
    ("source", "target", "is_copied"),
    [
        pytest.param(OBJECT, FILE, False, id="untouched"),
        pytest.param(OBJECT._replace(etag="other"), FILE, True, id="same-size edit of the object"),
        pytest.param(OBJECT._replace(modified_ns=1001), FILE, True, id="object written again, later"),
        pytest.param(
            OBJECT._replace(modified_ns=1), FILE, True, id="object written again, by an older clock"
        ),
        pytest.param(OBJECT._replace(size=4), FILE, True, id="object of another size"),
        pytest.param(OBJECT, FILE._replace(size=2), True, id="file of another size"),
        pytest.param(OBJECT, FILE._replace(modified_ns=9999), True, id="same-size edit of the file, newer"),
        pytest.param(OBJECT, FILE._replace(modified_ns=1), True, id="same-size edit of the file, older"),
        pytest.param(OBJECT, None, True, id="file is gone"),
    ],
)
def test_only_what_neither_side_has_changed_is_left_out(source, target, is_copied):
    plan = plan_copy([source], [target] if target else [], MANIFEST)
    assert (list(plan.copies), plan.unchanged) == (([source], 0) if is_copied else ([], 1))
    assert plan.size == (source.size if is_copied else 0)
    assert plan.forgotten == ({"a"} if is_copied else set()), "what the list must not say any more"


@pytest.mark.parametrize(
    ("target", "is_copied"),
    [
        pytest.param(
            Entry("a", 3, "etag", 5000), False, id="the time of an object with an ETag means nothing"
        ),
        pytest.param(Entry("a", 3, "other", 0), True, id="replaced by another of the same size"),
        pytest.param(Entry("a", 4, "etag", 0), True, id="of another size"),
    ],
)
def test_an_object_of_the_target_is_known_by_its_etag(target, is_copied):
    assert bool(plan_copy([FILE], [target], TO_BUCKET, to_local=False).copies) is is_copied


def test_without_a_manifest_everything_is_copied():
    assert list(plan_copy([OBJECT], [OBJECT], []).copies) == [OBJECT]


@pytest.mark.parametrize(
    ("source", "target", "deleted"),
    [
        (["a"], ["a", "b"], ["b"]),
        (["a", "d/x"], ["d/", "d/x", "d/y"], ["d/y"]),
        (["a"], ["d/", "d/e/", "d/e/x"], ["d/e/x", "d/e/", "d/"]),  # folders after what is in them
        (["d/"], ["d/"], []),
        (["d/e/x"], ["d/", "d/e/"], []),
        (["da"], ["d/"], ["d/"]),
    ],
)
def test_delete(source, target, deleted):
    there = entries(*target)
    assert plan_copy(entries(*source), there, [], delete=True).deletes == deleted
    assert plan_copy(entries(*source), there, []).deletes == [], "only if it is asked for"


@pytest.mark.parametrize(
    "key",
    [
        "../x",
        "..",
        "a/../../x",
        ".",
        "a/./b",
        "/abs",
        "a//b",
        "a\\b",
        "..\\x",
        "a\0b",
        "a/..",
        "../",
        "d//",
        "n" * 256,
        "数" * 86,
    ],
)
def test_names_that_no_file_can_have_are_refused(key):
    with pytest.raises(TransferError, match="refused to copy") as caught:
        plan_copy(entries(*sorted(["good", key])), [], [])
    assert repr(key) in str(caught.value)
    assert "nothing has been copied" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["..a", "a..", "...", "a b", "-", "n" * 255, "数" * 85, "a" * 200 + "/" + "b" * 200, "%2e%2e/x"]
)
def test_odd_names_are_copied(key):
    assert names(plan_copy(entries(key), [], []).copies) == [key]


def test_a_bucket_takes_every_name():
    assert names(plan_copy(entries("a", "a//b", "a/b"), [], [], to_local=False).copies) == [
        "a",
        "a//b",
        "a/b",
    ]


def test_a_folder_marker_with_content_is_refused():
    with pytest.raises(TransferError, match=r"'d/'.*holds 5 bytes"):
        plan_copy([Entry("d/", 5)], [], [])


@pytest.mark.parametrize(
    ("keys", "both"),
    [
        (["a", "a/b"], ["'a'", "'a/b'"]),
        (["x/a/b/c", "x/a"], ["'x/a'", "'x/a/b/c'"]),
        (["a", "a/"], ["'a'", "'a/'"]),
    ],
)
def test_a_file_and_a_folder_of_one_name_are_both_named(keys, both):
    with pytest.raises(MoxFileNameDuplicateException) as caught:
        plan_copy(entries(*sorted(keys)), [], [])
    assert all(name in str(caught.value) for name in both)


def test_names_that_only_begin_alike_do_not_clash():
    assert names(plan_copy(entries("a", "a-b", "a.txt", "ab/c"), [], []).copies) == [
        "a",
        "a-b",
        "a.txt",
        "ab/c",
    ]


@pytest.mark.parametrize(
    ("name", "is_part"),
    [
        (".x.bin.mindlift-12.part", True),
        ("d/.x.mindlift-1.part", True),
        ("d/.x.mindlift-3f2a9c1b-0123456789abcdef.part", True),
        (".x.mindlift-report.part", False),
        ("x.mindlift-12.part", False),
        (".x.mindlift-.part", False),
        (".x.mindlift-12.part.bak", False),
        ("x.part", False),
    ],
)
def test_files_that_are_being_written_are_nobodys_source(name, is_part):
    assert names(plan_copy(entries(name), [], []).copies) == ([] if is_part else [name])


def test_folders_are_kept_apart_from_files():
    plan = plan_copy(entries("d/", "d/x", "e/"), [], [])
    assert (plan.folders, names(plan.copies)) == (["e/"], ["d/x"]), "a file makes its folder"


def test_bytes_that_are_no_text_count_as_bytes_of_a_name():
    name = os.fsdecode(b"\xff" * 255)
    assert names(plan_copy(entries(name), [], []).copies) == [name]


def by_definition(
    source: list[Entry], target: list[Entry], known: list[Known]
) -> tuple[list[str], list[str], int, set[str]]:
    """Copies, deletes, how many are unchanged, and what is forgotten, each by a look at everything."""
    there, before = {each.key: each for each in target}, {each.source.key: each for each in known}
    wanted = {each.key for each in source}

    def is_unchanged(each: Entry) -> bool:
        then, now = before.get(each.key), there.get(each.key)
        return bool(then and now and then.source == each and then.target == now)

    files = [each for each in source if not each.is_folder]
    same = {each.key for each in files if is_unchanged(each)}
    extra = [
        key
        for key in there
        if key not in wanted and not (key[-1] == "/" and any(w.startswith(key) for w in wanted))
    ]
    folders = {each.key for each in source if each.is_folder}
    return (
        [each.key for each in files if each.key not in same],
        sorted(extra, reverse=True),
        len(same),
        {key for key in before if key not in same and key not in folders},
    )


@pytest.mark.parametrize("seed", range(200))
def test_streams_side_by_side_decide_what_a_look_at_everything_does(seed):
    rng = random.Random(seed)
    keys = sorted(
        {"/".join(rng.choices(["a", "b-", "b", "b.c", "d e"], k=rng.randint(1, 3))) for _ in range(12)}
    )
    keys = [key for key in keys if not any(other.startswith(f"{key}/") for other in keys)]
    keys = sorted({*keys, *(f"{key}-d/" for key in keys if rng.random() < 0.3)})

    def some() -> list[Entry]:
        return [Entry(key, 0 if key[-1] == "/" else rng.randint(1, 2)) for key in keys if rng.random() < 0.7]

    source, target = some(), some()
    known = [
        Known(one, other) for one, other in zip(some(), some()) if one.key == other.key and not one.is_folder
    ]
    plan = plan_copy(source, target, known, delete=True)
    copies, deletes, unchanged, forgotten = by_definition(source, target, known)
    assert names(plan.copies) == copies
    assert plan.deletes == deletes
    assert plan.unchanged == unchanged
    assert plan.forgotten == forgotten


@pytest.mark.parametrize("place", range(3))
def test_what_is_not_in_order_is_noticed(place):
    sides: list[list] = [[], [], []]
    found = entries("b", "a")
    sides[place] = [Known(each, each) for each in found] if place == 2 else found
    sides[0] = sides[0] or entries("c")
    with pytest.raises(Unsorted):
        plan_copy(*sides)


def test_lists_of_a_million_wait_on_the_disk():
    spool: Spool[int] = Spool(7)
    sorted_spool: SortedSpool[str] = SortedSpool(str, 50)
    numbers = random.Random(1).choices(range(1000), k=500)
    for number in numbers:
        spool.append(number)
        sorted_spool.append(str(number))
    assert (len(spool), len(sorted_spool)) == (500, 500)
    assert list(spool) == list(spool) == numbers
    assert [pair[0] for pair in zip(spool, spool)] == numbers, "two readers at a time"
    assert list(sorted_spool) == sorted(map(str, numbers))


def test_a_full_disk_for_temporary_files_is_one_line(monkeypatch):
    def full(**_: object):
        return open("/dev/full", "wb")

    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    monkeypatch.setattr("tempfile.TemporaryFile", full)
    spool: Spool[str] = Spool(2)
    spool.append("a")
    with pytest.raises(StorageError, match="No space left on device; set TMPDIR"):
        spool.append("b" * 100_000)
