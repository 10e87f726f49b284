"""Evaluate the results that scripts/run_infer_310.sh leaves: `python postprocess.py --help` lists the options."""

from __future__ import annotations

import argparse

from mindlift.cli.local_paths import local, local_path
from mindlift.cli.words import words
from mindlift.option_parser import ArgumentParser


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data_root", type=local_path, required=True, help="folder that the list's paths are below"
    )
    parser.add_argument("--data_lst", type=local, required=True, help="list with lines `image label`")
    parser.add_argument(
        "--result_path", type=local_path, required=True, help="folder with <image>_0.bin files"
    )
    parser.add_argument(
        "--crop_size", type=int, help="side of the model's input; else as the results say, or 513"
    )
    parser.add_argument("--num_classes", type=int, help="classes; else as the results say, or 21")
    parser.add_argument("--ignore_label", type=int, default=255, help="label of pixels that don't count")
    parser.add_argument("--scales", action="append", help="accepted and ignored: results have one scale")
    return parser.parse_args(argv)


def evaluate(args: argparse.Namespace) -> None:
    from mindlift.data.segmentation import lists as seg_lists
    from mindlift.model_utils import device_adapter
    from mindlift.model_utils.ranks import Ranks

    seg_lists.check(args.data_root, False, args.data_lst)
    device_adapter.prepare_environment(Ranks())
    from mindlift.tasks.segmentation import results as segment_results

    overlap = segment_results.of_list(args, device_adapter.cpus_per_rank(Ranks()))
    print(overlap.matrix)
    print("per-class IoU", overlap.ious)
    print("mean IoU", overlap.miou)


def main(argv: list[str] | None = None) -> int:
    from mindlift.cli import program

    args = parsed(words(argv))
    return program.main(lambda: evaluate(args), debug=False)
