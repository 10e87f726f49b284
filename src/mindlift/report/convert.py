"""Old runs as TensorBoard's event files, or as tables for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from mindlift import sanitize
from mindlift.errors import StorageError
from mindlift.files import atomic_text
from mindlift.json_text import Record
from mindlift.report import graph
from mindlift.report.events import EVENTS, TensorBoard
from mindlift.runs import folder as run_folder
from mindlift.runs import last_records


def to_tensorboard(root: Path, folder: Path) -> Path:
    """The run in `root` as one event file below `folder`, in place of those that are there. Returns the folder."""
    remove_events(folder)
    options, _ = run_folder.read_config(root / "config.yaml")
    with TensorBoard(root, folder) as board:
        if options:
            board.options(options)
        board.pictures(board.add_all(last_records.records(root / "metrics.jsonl")))
    return folder


def graph_to_tensorboard(model: Path, folder: Path) -> Path:
    """The graph of an exported model as one event file below `folder`. Returns the folder."""
    definition = graph.read(model)
    remove_events(folder)
    with TensorBoard(model.parent, folder) as board:
        board.graph(definition)
    return folder


def remove_events(folder: Path) -> None:
    try:
        for old in folder.glob(EVENTS):
            old.unlink()
    except OSError as err:
        raise StorageError(f"can't write {folder}: {err.strerror or err}") from err


def to_csv(root: Path, folder: Path) -> Path:
    """metrics.csv with a row a line, evaluations.csv with a row for each evaluation. Returns the folder."""
    path = root / "metrics.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise StorageError(f"can't write {folder}: {err.strerror or err}") from err
    steps = lambda: (each for each in last_records.records(path) if "event" not in each)  # noqa: E731
    figures = lambda: (each for each in last_records.records(path) if each.get("event") == "evaluation")  # noqa: E731
    write_table(folder / "metrics.csv", steps(), steps())
    write_table(folder / "evaluations.csv", figures(), figures())
    return folder


def write_table(path: Path, first: Iterable[Record], again: Iterable[Record]) -> None:
    """A CSV file, whole or not at all; the records come twice because the columns are not known before the last."""
    columns = dict.fromkeys(name for record in first for name in flat(record))
    with atomic_text(path) as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writerow({name: sanitize.cell(name) for name in columns})
        writer.writerows(
            {
                name: sanitize.cell(value) if isinstance(value, str) else value
                for name, value in flat(record).items()
            }
            for record in again
        )


def flat(record: Record) -> Record:
    """Lists and mappings spread over columns: step_seconds_0, per_class_cat."""
    found: Record = {}
    for name, value in record.items():
        if isinstance(value, (list, dict)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            found.update({f"{name}_{key}": item for key, item in items})
        else:
            found[name] = value
    return found
