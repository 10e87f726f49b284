"""Weights of checkpoints, compared."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np


def weights(file: str | Path) -> dict[str, np.ndarray]:
    return {name: tensor.asnumpy() for name, tensor in ms.load_checkpoint(str(file)).items()}


def assert_same(first: str | Path, second: str | Path, ignore: tuple[str, ...] = ()) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    for name, array in one.items():
        if not name.startswith(ignore or ("-",)):
            np.testing.assert_array_equal(array, two[name], err_msg=name)
