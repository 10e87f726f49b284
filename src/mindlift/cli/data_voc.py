"""Labels and lists of VOC 2012 and SBD: `mindlift data voc_labels`, `mindlift data get_dataset_lst`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.cli import data_options
from mindlift.cli.local_paths import local
from mindlift.cli.words import words
from mindlift.data.segmentation import labels, voc_lists
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation.voc_lists import AUG_LIST, TRAIN_LIST, VAL_LIST
from mindlift.errors import DataError
from mindlift.option_parser import ArgumentParser

if TYPE_CHECKING:
    from mindlift.runs.log import RunLog


def labels_parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="voc_labels",
        description="Write the labels of VOC 2012 and SBD as PNGs of class numbers. Labels that are there"
        " are kept, so a run that was stopped goes on when the same command is given again.",
    )
    add_common(found)
    return found


def add_common(found: ArgumentParser) -> None:
    found.add_argument(
        "--data_root",
        "--data_dir",
        type=local,
        default="./",
        help=f"folder with {seg_lists.VOC} and, for SBD, {seg_lists.SBD} (./)",
    )
    data_options.add_label_values(found)
    data_options.add_running(found, "threads")


def convert_all(args: argparse.Namespace, root: Path, log: RunLog) -> None:
    """Convert what is missing in all folders that are there."""
    labels.run(labels.find(root), labels.Checks(args.num_classes, args.ignore_label), args.workers, log)


def voc_labels(argv: Sequence[str] | None = None) -> int:
    args = labels_parser().parse_args(words(argv))
    from mindlift.cli import program
    from mindlift.model_utils.local_adapter import existing_folder
    from mindlift.runs.log import RunLog

    def body() -> None:
        root = existing_folder(args.data_root)
        if not labels.find(root):
            raise DataError(
                f"{root} has neither SegmentationClass in VOC's folder ({seg_lists.VOC}) nor SBD's cls ({seg_lists.SBD})"
            )
        with RunLog(None, 0, args.progress) as log:
            convert_all(args, root, log)

    return program.main(body, debug=args.debug)


def lists_parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="get_dataset_lst.py",
        description=f"Write {TRAIN_LIST}, {VAL_LIST} and, where SBD is there, {AUG_LIST} to the data"
        " folder.",
    )
    add_common(found)
    found.add_argument(
        "--labels",
        type=data_options.boolean,
        default=True,
        metavar="true|false",
        help="first make the labels that are missing, as mindlift.data.segmentation.labels does (true)",
    )
    return found


def get_dataset_lst(argv: Sequence[str] | None = None) -> int:
    args = lists_parser().parse_args(words(argv))
    from mindlift.cli import program
    from mindlift.model_utils.local_adapter import existing_folder
    from mindlift.runs.log import RunLog

    def body() -> None:
        root = existing_folder(args.data_root)
        with RunLog(None, 0, args.progress) as log:
            if args.labels:
                convert_all(args, root, log)
            voc_lists.write(root, log)

    return program.main(body, debug=args.debug)
