"""Compare two checkpoints, tensor by tensor: `mindlift compare_checkpoints A.ckpt B.ckpt` prints JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli import program
from mindlift.cli.local_paths import local_path
from mindlift.errors import CheckpointError
from mindlift.files import as_json
from mindlift.option_parser import ArgumentParser


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(prog="mindlift compare_checkpoints", description=__doc__)
    parser.add_argument("first", type=local_path, help="a checkpoint of MindSpore")
    parser.add_argument("second", type=local_path, help="another one, with tensors of the same names")
    return parser.parse_args(argv)


def compare(first: Path, second: Path) -> dict[str, object]:
    """How many tensors there are, and the largest difference: of which tensor, absolute, and relative to its largest value.

    CheckpointError if the files do not hold tensors of the same names and shapes.
    """
    import numpy as np

    from mindlift.models.weights.mindspore_files import read

    one, other = ({name: t.asnumpy() for name, t in read(path).items()} for path in (first, second))
    different = sorted({n for n in one.keys() | other.keys() if shape(one, n) != shape(other, n)})
    if different:
        raise CheckpointError(f"{first} and {second} differ in {', '.join(different[:5])}")
    worst, largest, relative = "", 0.0, 0.0
    for name, values in one.items():
        if values.dtype.kind not in "fiu" or not values.size:
            continue
        found = float(np.abs(values.astype(np.float64) - other[name].astype(np.float64)).max())
        if found > largest or np.isnan(found):
            worst, largest = name, found
            relative = found / max(float(np.abs(values).max()), 1e-30)
    return {"tensors": len(one), "worst": worst, "largest_difference": largest, "relative": relative}


def shape(tensors: dict, name: str) -> tuple[int, ...] | None:
    return tensors[name].shape if name in tensors else None


def main(argv: Sequence[str] | None = None) -> int:
    args = parsed(argv)
    return program.main(lambda: print(as_json(compare(args.first, args.second))), debug=False)
