"""Where predictions go: the terminal, JSON, CSV. Each is written image by image and needs no more memory for more."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import numpy as np

from mindlift import sanitize
from mindlift.backports import Protocol
from mindlift.columns import columns, cut, padded
from mindlift.files import as_json, atomic_text, unwritable
from mindlift.language import N_, gettext
from mindlift.runs.log import RunLog

WIDEST_NAME = 48
PROBABILITY = N_("probability")
NONE = "no label"  # of an image whose labels are all unlikely


class Class(NamedTuple):
    """A class that an image may show; `share` is its measure, 0 - 1: the network's probability, or that of the pixels."""

    number: int
    name: str
    share: float


class Segments(NamedTuple):
    """Classes of the pixels (H, W) uint8 of an image (H, W, 3) uint8, and the mask file that is written of them."""

    image: np.ndarray
    label: np.ndarray
    mask: Path | None


class Prediction(NamedTuple):
    """An image with its classes, those of the largest shares first, or with the reason why it could not be read.

    Without classes and an error it has none of the labels that images may have.
    """

    name: str
    path: Path
    top: list[Class]
    error: str = ""
    segments: Segments | None = None


class Writer(Protocol):
    """Where predictions go, as a `with` block."""

    def __enter__(self) -> Writer: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def add(self, prediction: Prediction) -> None: ...


class Printed:
    """A table on a terminal, else one line per image."""

    def __init__(self, log: RunLog, width: int, is_table: bool | None = None, measure: str = PROBABILITY):
        self.log, self.width, self.measure = log, min(WIDEST_NAME, max(5, width)), measure
        self.is_table = sys.stdout.isatty() if is_table is None else is_table

    def __enter__(self) -> Printed:
        if self.is_table:
            image, measure, name = gettext("file"), gettext(self.measure), gettext("class")
            self.log.info(f"{padded(image, self.width)}  {' ' * (11 - columns(measure))}{measure}  {name}")
        return self

    def add(self, prediction: Prediction) -> None:
        if prediction.error:
            self.log.info(f"{prediction.name}: can't be read: {prediction.error}")
        elif self.is_table:
            self.log.info("\n".join(self.rows(prediction)))
        else:
            classes = ", ".join(f"{each.name} {100 * each.share:.2f} %" for each in prediction.top) or NONE
            self.log.info(f"{prediction.name}: {classes}")

    def rows(self, prediction: Prediction) -> Iterable[str]:
        """One per class, the image's name in the first."""
        if not prediction.top:
            yield f"{padded(shortened(prediction.name, self.width), self.width)}  {'':>11}  {NONE}"
        for rank, each in enumerate(prediction.top):
            name = "" if rank else shortened(prediction.name, self.width)
            yield f"{padded(name, self.width)}  {100 * each.share:9.2f} %  {each.name}"

    def __exit__(self, *_: object) -> None:
        return None


def shortened(text: str, width: int) -> str:
    """The end of `text`, where file names differ, in so many columns."""
    return text if columns(text) <= width else "…" + cut(text[::-1], width - 1)[::-1]


class WholeFile:
    """A text file that appears under its name when all is written, and not at all after an error."""

    def __init__(self, path: Path):
        self.path = path
        self.file: IO[str]
        self.whole = contextlib.ExitStack()

    def __enter__(self) -> WholeFile:
        with contextlib.ExitStack() as whole:
            self.file = whole.enter_context(atomic_text(self.path))
            self.begin()
            self.whole = whole.pop_all()
        return self

    def add(self, prediction: Prediction) -> None:
        try:
            self.write(prediction)
        except OSError as err:  # which the files around this one would take for theirs
            raise unwritable(f"can't write {self.path}", err) from err

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.whole.__exit__(kind, err, trace)
            return
        with self.whole:
            self.end()

    def begin(self) -> None:
        """What comes before the first prediction."""

    def write(self, prediction: Prediction) -> None:
        raise NotImplementedError

    def end(self) -> None:
        """What comes behind the last prediction."""


class JsonFile(WholeFile):
    """`{..facts, "images": [...]}` with an image per line."""

    def __init__(self, path: Path, facts: Mapping[str, object], measure: str = PROBABILITY):
        super().__init__(path)
        self.facts, self.measure, self.count = facts, measure, 0

    def begin(self) -> None:
        self.file.write(as_json(self.facts)[:-1] + ', "images": [')

    def write(self, prediction: Prediction) -> None:
        record: dict[str, object] = {"file": prediction.name}
        if prediction.error:
            record["error"] = prediction.error
        else:
            record["classes"] = [
                {"class": each.number, "name": each.name, self.measure: each.share} for each in prediction.top
            ]
        if prediction.segments and prediction.segments.mask:
            record["mask"] = str(prediction.segments.mask)
        self.file.write(("," if self.count else "") + "\n" + as_json(record))
        self.count += 1

    def end(self) -> None:
        self.file.write("\n]}\n")


class CsvFile(WholeFile):
    """A row per image and class, or one row with the error or without a class."""

    def __init__(self, path: Path, measure: str = PROBABILITY):
        super().__init__(path)
        self.measure = measure

    def begin(self) -> None:
        self.rows = csv.writer(self.file, lineterminator="\n")
        self.rows.writerow(("file", "rank", "class", "name", self.measure, "error"))

    def write(self, prediction: Prediction) -> None:
        if prediction.error:
            self.rows.writerow(
                (sanitize.cell(prediction.name), "", "", "", "", sanitize.cell(prediction.error))
            )
        elif not prediction.top:
            self.rows.writerow((sanitize.cell(prediction.name), "", "", "", "", ""))
        for rank, each in enumerate(prediction.top, 1):
            number, name, value = each
            self.rows.writerow((sanitize.cell(prediction.name), rank, number, sanitize.cell(name), value, ""))
