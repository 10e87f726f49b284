"""The records of a metrics file that still hold: none that a resume has taken back, and none twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mindlift import json_text
from mindlift.json_text import Record
from mindlift.runs.metrics import parsed
from mindlift.runs.records import integer


def records(path: Path) -> Iterator[Record]:
    """In the order of the file, which is read twice and never held as a whole; nothing if there is none."""
    if not path.exists():
        return
    cuts, evaluated = taken_back(all_records(path))
    at_cut = 0
    for place, record in enumerate(all_records(path)):
        while at_cut < len(cuts) and cuts[at_cut][0] <= place:
            at_cut += 1
        step = integer(record.get("step"))
        if step is None or (at_cut < len(cuts) and step > cuts[at_cut][1]):
            continue
        if record.get("event") != "evaluation" or evaluated[step, str(record.get("which"))] == place:
            yield record


def all_records(path: Path) -> Iterator[Record]:
    with open(path, "rb") as file:
        for text in json_text.blocks(file):
            yield from parsed(text)[0]


def taken_back(found: Iterable[Record]) -> tuple[list[tuple[int, int]], dict[tuple[int, str], int]]:
    """(place, step): what is before that place holds up to that step; and the place of each last evaluation."""
    cuts: list[tuple[int, int]] = []
    evaluated: dict[tuple[int, str], int] = {}
    newest = 0
    for place, record in enumerate(found):
        step, event = integer(record.get("step")), record.get("event")
        if step is None:
            continue
        if event == "evaluation":
            evaluated[step, str(record.get("which"))] = place
        elif event == "continued":
            cuts.append((place, step))
            newest = min(newest, step)
        elif event is None:
            if step <= newest:
                cuts.append((place, step - 1))
            newest = step
    return least_from_here(cuts), evaluated


def least_from_here(cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each cut with the least step of it and all later ones."""
    found: list[tuple[int, int]] = []
    for place, step in reversed(cuts):
        found.append((place, min(step, found[-1][1]) if found else step))
    return found[::-1]
