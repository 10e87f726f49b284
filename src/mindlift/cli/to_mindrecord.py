"""Convert images to MindRecord: mindlift data to_mindrecord --dataset imagenet --data_dir DIR --out DIR"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli import data_options, ending
from mindlift.cli.data_options import positive
from mindlift.cli.local_paths import local, local_path
from mindlift.cli.words import words
from mindlift.files import expanded
from mindlift.option_parser import ArgumentParser


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift data to_mindrecord",
        description="Convert images to MindRecord shards, several at a time."
        " A conversion that was stopped goes on when the same command is given again.",
    )
    add = found.add_argument
    add(
        "--dataset",
        choices=("imagenet", "cifar10", "digits"),
        default="imagenet",
        help="imagenet: any folder of class folders, or of train and val with them (default)",
    )
    add("--data_dir", type=local, default="", help="folder with the images; '' is allowed with digits")
    add(
        "--out",
        required=True,
        type=local_path,
        help="folder for the shards and index.json; --data_dir of the training",
    )
    add("--num_classes", type=positive, default=None, help="refuse a source with another number of classes")
    data_options.add_sharding(found)
    data_options.add_running(found, "processes")
    return found


def convert(args: argparse.Namespace) -> None:
    from mindlift.api import job
    from mindlift.data.mindrecord import classification
    from mindlift.model_utils import mindspore_build
    from mindlift.model_utils.local_adapter import existing_folder
    from mindlift.runs.log import RunLog

    mindspore_build.check()
    source = existing_folder(args.data_dir) if args.data_dir else job.embedded(args.dataset)
    settings = classification.Settings(
        args.dataset, args.num_shards, args.shuffle, args.seed, args.skip_corrupt
    )
    plan = classification.make_plan(source, Path(expanded(args.out)), settings, args.num_classes)
    with RunLog(None, 0, args.progress) as log:
        for split in plan.splits:
            if split.note:
                log.info(split.note)
        index = classification.run(plan, args.workers, log)
        for name, made in index["splits"].items():
            left_out = f", {len(made['skipped'])} corrupt ones left out" if made["skipped"] else ""
            log.info(
                f"{name}: {made['count']} images of {len(index['classes'])} classes in"
                f" {len(made['shards'])} shards{left_out}"
            )
    train = [
        "mindlift",
        "train",
        "--data_format",
        "mindrecord",
        "--dataset",
        args.dataset,
        "--data_dir",
        args.out,
    ]
    train += ["--num_classes", str(len(index["classes"]))]
    ending.following(train, [*train, "--print_config"])


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(words(argv))
    from mindlift.cli import program

    return program.main(lambda: convert(args), debug=args.debug)
