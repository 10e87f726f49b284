"""Images with any number of labels each: opening one split of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindlift.data import layout
from mindlift.data.classification.held_out import held_out
from mindlift.data.classification.options import ClassificationOptions
from mindlift.data.classification.split import Samples
from mindlift.data.multilabel import labels
from mindlift.errors import DataError
from mindlift.model_utils.staging.shared_arrays import Share, alone


def open_split(
    options: ClassificationOptions,
    path: Path,
    train: bool,
    known: Sequence[str] = (),
    share: Share = alone,
) -> Samples:
    """Open the training or evaluation images below `path`; raises DataError. Labels are (N, K) uint8, 1 or 0.

    To evaluate, columns are the `known` classes of the training, else those of the folder train beside it.
    """
    folder = layout.split_folder(path, train)
    table = labels.read(labels.find(folder, options.labels))
    classes = columns(table, path, train, known, options)
    found = labels.matched(table, folder)
    if options.validation_split:
        found = one_side(found, options, train)
    values = np.zeros((len(found.names), options.num_classes), np.uint8)
    numbers = {name: number for number, name in enumerate(classes)}
    for row, names in zip(values, found.labels):
        row[[numbers[name] for name in names]] = 1
    if not values.any():
        raise DataError(
            f"{table.file}: no image to train on has a label, so that there is nothing to learn"
            if train
            else f"{table.file}: no image to evaluate on has a label; mAP is not defined"
        )
    return Samples(
        values,
        files=[f"{folder}/{name}" for name in found.names],
        classes=classes,
        note=note_of(found, values, classes, table.file, train),
    )


def columns(
    table: labels.Table, path: Path, train: bool, known: Sequence[str], options: ClassificationOptions
) -> list[str]:
    """The names of the columns; DataError if they are not `num_classes`, or not those that are known."""
    trained = layout.split_folder(path, True)
    if not train and not known and trained != path:
        known = labels.read(labels.find(trained, options.labels)).classes
    if known:
        layout.check_known(str(table.file), table.classes, known)
        return list(known)
    count = len(table.classes)
    layout.check_classes(
        f"{table.file} has {count} classes", count, options.num_classes, options.allow_unused_classes
    )
    return table.classes


def one_side(found: labels.Matched, options: ClassificationOptions, train: bool) -> labels.Matched:
    """Of a folder without splits the images to train on, or those that are held out."""
    is_held = held_out(found.names, [0] * len(found.names), options.validation_split, options.seed)
    taken = [at for at, held in enumerate(is_held) if held != train]
    return found._replace(names=[found.names[at] for at in taken], labels=[found.labels[at] for at in taken])


def only_in_case(classes: Sequence[str]) -> list[str]:
    """Those that another one equals but for its case."""
    times = Counter(name.casefold() for name in classes)
    return [name for name in classes if times[name.casefold()] > 1]


def note_of(
    found: labels.Matched, values: np.ndarray, classes: Sequence[str], file: Path, train: bool
) -> str:
    """What is odd about the labels, in a line; '' if nothing is."""
    parts = []
    if found.unlisted:
        parts.append(f"{found.unlisted} images have no line and are left out")
    absent = [name for name, count in zip(classes, values.sum(0, dtype=np.int64).tolist()) if not count]
    if absent:
        parts.append(
            f"no image {'to train' if train else 'to evaluate'} on has the label {layout.some(absent)}"
        )
    alike = layout.some(only_in_case(classes))
    if train and alike:
        parts.append(f"labels that differ only in case are labels of their own: {alike}")
    if train and len(values) and bool((values.sum(1) == 1).all()):
        parts.append(
            "every image has exactly one label: class folders would train them against each other, as one of several"
        )
    return f"{file}: {'; '.join(parts)}" if parts else ""
