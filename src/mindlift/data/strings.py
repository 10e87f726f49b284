"""Millions of strings in few bytes: a list of Python's takes 80 bytes for each beside its letters.

As in Arrow's string arrays, all letters lie in one buffer, and an array says where each string ends. Both can be mapped from
a file, so that the ranks of a node have them in memory once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

import numpy as np

END = "\0"  # no name of a file has it
CODING = ("utf-8", "surrogateescape")  # as names of files, whatever their bytes
AT_ONCE = 1 << 14  # strings that are decoded, or encoded, in one call


T = TypeVar("T")


class Compared(Sequence[T]):
    """Equal to any other sequence with the same items."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other))

    __hash__ = None  # type: ignore[assignment]


class StringArray(Compared[str]):
    """Read-only strings: `letters` (bytes,) uint8 has them in UTF-8, a zero behind each, and `ends` (N,) int64 are the places
    of the zeros.

    With `order` (M,) string i is number order[i] of them. Before string i stands before[which[i]], or before[0].
    """

    def __init__(
        self,
        letters: np.ndarray,
        ends: np.ndarray,
        before: Sequence[str] = ("",),
        which: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ):
        self.letters, self.ends, self.before, self.which, self.order = letters, ends, before, which, order

    def __len__(self) -> int:
        return len(self.ends if self.order is None else self.order)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no string {index} of {len(self)}")
        index %= len(self)
        place = index if self.order is None else int(self.order[index])
        start = int(self.ends[place - 1]) + 1 if place else 0
        text = self.letters[start : int(self.ends[place])].tobytes().decode(*CODING)
        return self.before[0 if self.which is None else self.which[index]] + text

    def __iter__(self) -> Iterator[str]:
        if self.order is not None or self.which is not None:
            yield from (self[index] for index in range(len(self)))
            return
        start = 0
        for first in range(0, len(self.ends), AT_ONCE):
            end = int(self.ends[first : first + AT_ONCE][-1])
            for text in self.letters[start:end].tobytes().decode(*CODING).split(END):
                yield self.before[0] + text
            start = end + 1

    def ordered(self, order: np.ndarray) -> StringArray:
        """Number order[i] as string i, of strings as they were built."""
        return StringArray(self.letters, self.ends, self.before, order=order)


class Builder:
    """Makes a StringArray of strings that come in portions. ValueError for one with a zero in it."""

    def __init__(self) -> None:
        self.letters = bytearray()
        self.ends: list[np.ndarray] = []

    def extend(self, strings: Iterable[str]) -> None:
        found = list(strings)
        if not found:
            return
        portion = f"{END.join(found)}{END}".encode(*CODING)
        ends = np.flatnonzero(np.frombuffer(portion, np.uint8) == 0)
        if len(ends) != len(found):
            raise ValueError("a string has a zero in it")
        self.ends.append(ends + len(self.letters))
        self.letters += portion

    def append(self, strings: StringArray) -> None:
        """Strings as they were built."""
        self.ends.append(strings.ends + len(self.letters))
        self.letters += strings.letters.data

    def built(self, before: str = "") -> StringArray:
        return StringArray(np.frombuffer(self.letters, np.uint8), end_to_end(self.ends), (before,))


def end_to_end(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Of int64, also where there are none."""
    return np.concatenate(columns) if len(columns) else np.zeros(0, np.int64)


def of(strings: Iterable[str]) -> StringArray:
    """The strings, read one after another."""
    builder = Builder()
    for portion in portions(strings):
        builder.extend(portion)
    return builder.built()


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Up to AT_ONCE items at a time."""
    source = iter(items)
    return iter(lambda: list(itertools.islice(source, AT_ONCE)), [])


def sorting(strings: Iterable[str]) -> np.ndarray:
    """The order (N,) int64 that sorts the strings by their bytes; equal ones stay as they are."""
    names = [np.array([text.encode(*CODING) for text in portion], "S") for portion in portions(strings)]
    return np.argsort(end_to_end(names), kind="stable")
