"""Weights of checkpoints, compared."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np

from tests.support.programs import ROOT, run_program, run_ranks


def weights(file: str | Path) -> dict[str, np.ndarray]:
    return {name: tensor.asnumpy() for name, tensor in ms.load_checkpoint(str(file)).items()}


def assert_same(first: str | Path, second: str | Path, ignore: tuple[str, ...] = ()) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    for name, array in one.items():
        if not name.startswith(ignore or ("-",)):
            np.testing.assert_array_equal(array, two[name], err_msg=name)


def of_one_and_two_ranks(
    data: Path, folder: Path, steps: int, global_batch: int, words: str = ""
) -> list[np.lib.npyio.NpzFile]:
    """What weights_after.py with the options `words` ends with: one rank, the first of two, the second."""
    arguments = (
        "tests/support/weights_after.py",
        data,
        folder / "weights",
        steps,
        global_batch,
        *words.split(),
    )
    variables = {"PYTHONPATH": f"{ROOT}/src:{ROOT}"}
    for done in (
        run_program(*arguments, **variables),
        run_ranks(2, *arguments, **variables, LOG_DIR=str(folder / "logs")),
    ):
        assert done.code == 0, done.err
    found = [np.load(folder / f"weights_{part}.npz") for part in ("0_of_1", "0_of_2", "1_of_2")]
    assert np.isfinite(found[0]["losses"]).all()
    return found
