"""What a killed copy has noted is known to the next one, whatever the kill has cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from mindlift.storage.copying.manifest import Journal, journal_of, known_to, write_manifest
from mindlift.storage.copying.plan import Known
from mindlift.storage.store import Entry

PLACES = ("obs://b/d", "/cache/d")


def known(key: str, etag: str = "e") -> Known:
    return Known(Entry(key, 1, etag, 2), Entry(key, 1, "", 3))


def keys(path: Path) -> list[str]:
    return [each.source.key for each in known_to(path, *PLACES)]


def killed(path: Path, *noted: Known) -> None:
    """A journal that is never closed."""
    journal = Journal(path, *PLACES)
    for each in noted:
        journal.append(each)
    assert journal.file
    journal.file.close()


def test_what_was_noted_is_known(tmp_path):
    path = tmp_path / "sync"
    killed(path, known("b"), known("a"))
    killed(path, known("c"))
    assert keys(path) == ["a", "b", "c"]
    journal = Journal(path, *PLACES)
    journal.append(known("d"))
    journal.close(forgotten={"b"})
    assert keys(path) == ["a", "c", "d"]
    assert not journal_of(path).exists()


def test_the_newest_of_a_key_counts(tmp_path):
    path = tmp_path / "sync"
    write_manifest(path, *PLACES, [known("a", "old"), known("b", "old")])
    killed(path, known("a", "first"), known("a", "second"))
    assert [each.source.etag for each in known_to(path, *PLACES)] == ["second", "old"]
    journal = Journal(path, *PLACES)
    journal.append(known("a", "third"))
    journal.close(set())
    assert [each.source.etag for each in known_to(path, *PLACES)] == ["third", "old"]


@pytest.mark.parametrize("end", range(1, 32))
def test_a_line_that_was_cut_short(tmp_path, end):
    path = tmp_path / "sync"
    killed(path, known("a"), known("b"))
    journal_of(path).write_bytes(journal_of(path).read_bytes()[:-end])
    assert keys(path) in (["a"], ["a", "b"])
    killed(path, known("c"))
    assert keys(path) in (["a", "c"], ["a", "b", "c"]), "what comes behind it counts"


def test_another_copys_journal_is_nothing(tmp_path):
    path = tmp_path / "sync"
    killed(path, known("a"))
    assert list(known_to(path, "obs://b/other", PLACES[1])) == []
    other = Journal(path, "obs://b/other", PLACES[1])
    other.append(known("x"))
    other.close(set())
    assert keys(path) == []


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"7", b'["k"]', b"[1, [], []]", b'["k", 1, 2]', b"\xff", b"[" * 5000]
)
def test_lines_that_are_none(tmp_path, line):
    path = tmp_path / "sync"
    killed(path, known("a"))
    with journal_of(path).open("ab") as file:
        file.write(line + b"\n")
    killed(path, known("b"))
    assert keys(path) == ["a", "b"]
