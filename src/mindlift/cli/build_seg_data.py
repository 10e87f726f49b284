"""Images and labels of a list as MindRecord shards: python src/data/build_seg_data.py --data_root DIR --data_lst LIST --dst_path FILE"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli import data_options, ending
from mindlift.cli.local_paths import local, local_path
from mindlift.cli.words import words
from mindlift.files import expanded
from mindlift.option_parser import ArgumentParser


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="build_seg_data.py",
        description="Write images and label images to MindRecord shards, several at a time, for"
        " --data_file of train.py. A conversion that was stopped goes on when the same command is given again.",
    )
    add = found.add_argument
    add(
        "--data_root",
        "--data_dir",
        type=local,
        required=True,
        help="folder that the paths of the list are below",
    )
    add(
        "--data_lst",
        type=local,
        default="",
        help="list with lines `image label`, such as vocaug_train_lst.txt; not given: the"
        " training list of --data_root",
    )
    add(
        "--dst_path",
        required=True,
        type=local_path,
        help="name of the shards, to which 0, 1 ... are appended",
    )
    data_options.add_label_values(found)
    data_options.add_sharding(found)
    data_options.add_running(found, "processes")
    return found


def build(args: argparse.Namespace) -> None:
    from mindlift.data.mindrecord import segmentation
    from mindlift.data.mindrecord import shards as convert_run
    from mindlift.model_utils import mindspore_build
    from mindlift.model_utils.local_adapter import existing_folder
    from mindlift.runs.log import RunLog

    mindspore_build.check()
    settings = segmentation.Settings(
        args.num_shards, args.shuffle, args.seed, args.num_classes, args.ignore_label, args.skip_corrupt
    )
    root = existing_folder(args.data_root)
    plan = segmentation.make_plan(root, args.data_lst, Path(expanded(args.dst_path)), settings)
    with RunLog(None, 0, args.progress) as log:
        convert_run.run(plan, args.workers, log)
        _, shards = plan.read_index()
        skipped = sum(len(record["skipped"]) for record in shards)
        left_out = f", {skipped} corrupt ones left out" if skipped else ""
        count = sum(record["rows"] for record in shards)
        log.info(f"{count} images in {len(shards)} shards{left_out}")
    train = ["mindlift", "train", "--net", "deeplab_v3_s16", "--dataset", "voc", "--data_file"]
    train.append(str(plan.out / shards[0]["file"]))
    ending.following(train, [*train, "--print_config"])


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(words(argv))
    from mindlift.cli import program

    return program.main(lambda: build(args), debug=args.debug)
