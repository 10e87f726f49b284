"""Strings in few bytes behave as a list of strings does."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindlift.data import strings
from mindlift.data.strings import StringArray

# any name of a file: letters of all planes, and bytes that are not UTF-8, which Python has as surrogates
NAMES = st.lists(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)) | st.just("\udc80"))
)


@given(NAMES)
def test_as_a_list(names: list[str]) -> None:
    found = strings.of(names)
    assert list(found) == names
    assert found == names
    assert names == found
    assert len(found) == len(names)
    assert [found[index] for index in range(len(names))] == names
    assert found[1:3] == names[1:3]
    assert [found[-1 - index] for index in range(len(names))] == names[::-1]


@given(NAMES)
def test_sorted_as_bytes(names: list[str]) -> None:
    expected = sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape").rstrip(b"\0"))
    assert [names[index] for index in strings.sorting(names)] == expected
    assert list(strings.of(names).ordered(strings.sorting(names))) == expected


def test_what_stands_before() -> None:
    found = strings.of(["x", "y", "z"])
    named = StringArray(found.letters, found.ends, ["a/", "b/"], np.array([1, 0, 1]), np.array([2, 0, 1]))
    assert list(named) == ["b/z", "a/x", "b/y"]
    assert named[0] == "b/z"
    assert strings.of(["q"]) == ["q"]
    assert strings.of(["q"]) != ["r"]
    assert strings.of(["q"]) != "q"


def test_more_than_a_portion_and_several_arrays() -> None:
    names = [f"image {number}" for number in range(strings.AT_ONCE * 2 + 3)]
    found = strings.of(names)
    assert list(found) == names
    builder = strings.Builder()
    for each in (found, strings.of([]), strings.of(["last"])):
        builder.append(each)
    assert list(builder.built()) == [*names, "last"]
    assert list(strings.Builder().built()) == []


def test_what_is_no_item() -> None:
    with pytest.raises(IndexError, match="no string 1 of 1"):
        strings.of(["a"])[1]
    with pytest.raises(ValueError, match="has a zero in it"):
        strings.of(["a\0b"])


def test_bytes_for_a_name() -> None:
    """30 letters and 8 bytes for the end, instead of 90 and more of a list."""
    count = 20_000
    tracemalloc.start()
    try:
        found = strings.of(f"n01440764/n01440764_{number:05d}.JPEG" for number in range(count))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(found) == count
    assert kept / count < 50
