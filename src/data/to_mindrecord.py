"""Convert images to MindRecord: python -m src.data.to_mindrecord --dataset imagenet --data_dir DIR --out DIR"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def boolean(text: str) -> bool:
    if text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def not_negative(text: str) -> int:
    return 0 if text == "0" else positive(text)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m src.data.to_mindrecord", description="Convert images to MindRecord shards, several at a time."
        " A conversion that was stopped goes on when the same command is given again.",
    )  # fmt: skip
    add = found.add_argument
    add("--dataset", choices=("imagenet", "cifar10", "digits"), default="imagenet",
        help="imagenet: any folder of class folders, or of train and val with them (default)")  # fmt: skip
    add("--data_dir", default="", help="folder with the images; '' is allowed with digits")
    add(
        "--out",
        required=True,
        type=Path,
        help="folder for the shards and index.json; --data_dir of the training",
    )
    add("--num_shards", type=positive, default=8, help="files for each split (8)")
    add("--workers", type=positive, default=None, help="processes (the CPUs)")
    add("--shuffle", type=boolean, default=True, metavar="true|false",
        help="spread the training images over the shards at random (true)")  # fmt: skip
    add("--seed", type=not_negative, default=1, help="of the shuffling (1)")
    add("--num_classes", type=positive, default=None, help="refuse a source with another number of classes")
    add("--skip_corrupt", type=boolean, default=False, metavar="true|false",
        help="leave out images that can't be decoded, and count them, instead of stopping (false)")  # fmt: skip
    add("--progress", type=boolean, default=None, metavar="true|false",
        help="progress bar; not set: when stderr is a terminal")  # fmt: skip
    add("--debug", action="store_true", help="show tracebacks")
    return found


def convert(args: argparse.Namespace) -> None:
    from src.data import convert as conversion
    from src.model_utils import job
    from src.model_utils.local_adapter import existing_folder
    from src.run_log import RunLog

    source = existing_folder(args.data_dir) if args.data_dir else job.embedded(args.dataset)
    settings = conversion.Settings(args.dataset, args.num_shards, args.shuffle, args.seed, args.skip_corrupt)
    plan = conversion.make_plan(source, args.out.expanduser(), settings, args.num_classes)
    with RunLog(None, 0, args.progress) as log:
        index = conversion.run(plan, args.workers or len(os.sched_getaffinity(0)), log)
        for name, split in index["splits"].items():
            left_out = f", {len(split['skipped'])} corrupt ones left out" if split["skipped"] else ""
            log.info(f"{name}: {split['count']} images of {len(index['classes'])} classes in"
                     f" {len(split['shards'])} shards{left_out}")  # fmt: skip
        log.info(
            f"train with: python train.py --data_format mindrecord --dataset {args.dataset} --data_dir {args.out}"
            f" --num_classes {len(index['classes'])}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from src.model_utils import job

    return job.main(lambda: convert(args), debug=args.debug)


if __name__ == "__main__":
    sys.exit(main())
