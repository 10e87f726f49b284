"""What a copy decides to do, from tables of listings."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from mindlift.errors import TransferError
from mindlift.storage.copying.plan import Known, plan_copy
from mindlift.storage.errors import MoxFileNameDuplicateException
from mindlift.storage.store import Entry

OBJECT = Entry("a", 3, "etag", 1000)
FILE = Entry("a", 3, "", 2000)
MANIFEST = {"a": Known(OBJECT, FILE)}  # a download that has brought `a` over
TO_BUCKET = {"a": Known(FILE, Entry("a", 3, "etag"))}  # an upload that has; a PUT does not say the time


def entries(*keys: str) -> list[Entry]:
    return [Entry(key, 0 if key.endswith("/") else 1) for key in keys]


def index(found: list[Entry]) -> dict[str, Entry]:
    return {entry.key: entry for entry in found}


def names(found: list[Entry]) -> list[str]:
    return [entry.key for entry in found]


@pytest.mark.parametrize(
    ("source", "target", "is_copied"),
    [
        pytest.param(OBJECT, FILE, False, id="untouched"),
        pytest.param(replace(OBJECT, etag="other"), FILE, True, id="same-size edit of the object"),
        pytest.param(replace(OBJECT, modified_ns=1001), FILE, True, id="object written again, later"),
        pytest.param(
            replace(OBJECT, modified_ns=1), FILE, True, id="object written again, by an older clock"
        ),
        pytest.param(replace(OBJECT, size=4), FILE, True, id="object of another size"),
        pytest.param(OBJECT, replace(FILE, size=2), True, id="file of another size"),
        pytest.param(OBJECT, replace(FILE, modified_ns=9999), True, id="same-size edit of the file, newer"),
        pytest.param(OBJECT, replace(FILE, modified_ns=1), True, id="same-size edit of the file, older"),
        pytest.param(OBJECT, None, True, id="file is gone"),
    ],
)
def test_only_what_neither_side_has_changed_is_left_out(source, target, is_copied):
    plan = plan_copy([source], {"a": target} if target else {}, MANIFEST)
    assert (plan.copies, plan.unchanged) == (([source], []) if is_copied else ([], [MANIFEST["a"]]))
    assert plan.size == (source.size if is_copied else 0)


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
    assert bool(plan_copy([FILE], {"a": target}, TO_BUCKET, to_local=False).copies) is is_copied


def test_without_a_manifest_everything_is_copied():
    assert plan_copy([OBJECT], {"a": OBJECT}, {}).copies == [OBJECT]


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
    there = index(entries(*target))
    assert plan_copy(entries(*source), there, {}, delete=True).deletes == deleted
    assert plan_copy(entries(*source), there, {}).deletes == [], "only if it is asked for"


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
        plan_copy(entries("good", key), {}, {})
    assert repr(key) in str(caught.value)
    assert "nothing has been copied" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["..a", "a..", "...", "a b", "-", "n" * 255, "数" * 85, "a" * 200 + "/" + "b" * 200, "%2e%2e/x"]
)
def test_odd_names_are_copied(key):
    assert names(plan_copy(entries(key), {}, {}).copies) == [key]


def test_a_bucket_takes_every_name():
    assert names(plan_copy(entries("a//b", "a", "a/b"), {}, {}, to_local=False).copies) == [
        "a//b",
        "a",
        "a/b",
    ]


def test_a_folder_marker_with_content_is_refused():
    with pytest.raises(TransferError, match=r"'d/'.*holds 5 bytes"):
        plan_copy([Entry("d/", 5)], {}, {})


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
        plan_copy(entries(*keys), {}, {})
    assert all(name in str(caught.value) for name in both)


def test_names_that_only_begin_alike_do_not_clash():
    assert names(plan_copy(entries("a", "a-b", "a.txt", "ab/c"), {}, {}).copies) == [
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
    assert names(plan_copy(entries(name), {}, {}).copies) == ([] if is_part else [name])


def test_folders_are_kept_apart_from_files():
    plan = plan_copy(entries("d/", "d/x", "e/"), {}, {})
    assert (plan.folders, names(plan.copies)) == (["d/", "e/"], ["d/x"])


def test_bytes_that_are_no_text_count_as_bytes_of_a_name():
    name = os.fsdecode(b"\xff" * 255)
    assert names(plan_copy(entries(name), {}, {}).copies) == [name]
