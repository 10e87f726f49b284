"""Turns weights of other sources into files of this project, or lists what a file holds.

mindlift convert densenet121-a639ec97.pth                      (writes densenet121-a639ec97.mindlift.ckpt)
mindlift convert obs://bucket/resnet50.ckpt --num_classes 1000 --to safetensors
mindlift convert inceptionv4.safetensors --list
"""

from __future__ import annotations

from collections.abc import Sequence

from mindlift.cli import ending
from mindlift.inference.convert import FORMS, convert, show
from mindlift.option_parser import ArgumentParser


def parser() -> ArgumentParser:
    found = ArgumentParser(
        prog="mindlift convert",
        description="Write weights of torchvision, timm, the MindSpore zoo, mindcv or MindLift as a file of MindLift's.",
    )
    found.add_argument(
        "source",
        metavar="SOURCE",
        help="a .pth, .ckpt, .safetensors or .npz file, or a folder (its newest); may be in a bucket (obs://)",
    )
    found.add_argument("--net", help="the network; not set: the one that the tensors show")
    found.add_argument("--to", choices=FORMS, help="what to write; not set: what --out ends with, else ckpt")
    found.add_argument(
        "--out",
        help="the file to write, may be in a bucket; not set: SOURCE's name with .mindlift.<to>, here",
    )
    found.add_argument("--num_classes", type=int, metavar="N", help="rows of the head; not set: as in SOURCE")
    found.add_argument(
        "--ema",
        choices=("true", "false"),
        default="true",
        help="of a training with a moving average of the weights: take that, or the weights",
    )
    found.add_argument(
        "--weights_channels",
        choices=("auto", "rgb", "bgr"),
        default="auto",
        help="order of the colours that they were trained on; what is written sees RGB; auto: what is known of the source",
    )
    found.add_argument(
        "--allow_nan",
        choices=("true", "false"),
        default="false",
        help="write weights with NaN, infinity or integers all the same",
    )
    found.add_argument("--filter_head", action="store_true", help="leave the head out")
    found.add_argument(
        "--list", action="store_true", help="print every tensor and what it becomes; write nothing"
    )
    found.add_argument("--debug", action="store_true", help="show tracebacks")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from mindlift.cli import program
    from mindlift.model_utils import mindspore_build

    def run() -> None:
        mindspore_build.check()
        if args.list:
            show(args)
            return
        target, net = convert(args)
        train = ["mindlift", "train", "--data_dir", "photos/", "--net", net, "--pretrained", target]
        ending.following(train, ["mindlift", "convert", target, "--list"])

    return program.main(run, args.debug)
