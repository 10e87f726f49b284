"""What augmentation makes of photographs, as pictures: `mindlift data augmentation_sheets FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mindlift.cli.local_paths import local_path


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="mindlift data augmentation_sheets",
        description="Draw what crops, flips, policies, erasing, mixing and views make of photographs.",
    )
    parser.add_argument(
        "folder", type=local_path, help="where the PNGs are written, as augmentation_KIND.png"
    )
    folder = parser.parse_args(argv).folder
    from mindlift.data.classification.augmentation_sheet import COLOURS, SHEETS, sheet
    from mindlift.files import make_folder

    make_folder(folder)
    for kind in SHEETS:
        file = folder / f"augmentation_{kind}.png"
        sheet(kind).quantize(COLOURS).save(file, "PNG", optimize=True)
        print(f"wrote {file}")
    return 0
