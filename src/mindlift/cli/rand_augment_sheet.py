"""RandAugment's operations as one picture: `mindlift data rand_augment_sheet FILE`."""

from __future__ import annotations

from collections.abc import Sequence

from mindlift.cli.local_paths import local_path
from mindlift.option_parser import ArgumentParser


def main(argv: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(
        prog="mindlift data rand_augment_sheet",
        description="Draw RandAugment's operations at five magnitudes.",
    )
    parser.add_argument("file", type=local_path, help="the PNG to write")
    file = parser.parse_args(argv).file
    from mindlift.data.classification.rand_augment_sheet import COLOURS, sheet

    sheet().quantize(COLOURS).save(file, "PNG", optimize=True)
    return 0
