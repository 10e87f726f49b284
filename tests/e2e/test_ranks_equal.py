"""Two real ranks with batch b take the steps of one rank with batch 2b, through the real data pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import ROOT, run_program, run_ranks

CHILD = "tests/e2e/weights_after.py"
STEPS, GLOBAL_BATCH = 8, 32


@pytest.mark.heavy
def test_grouped_gradients_are_the_same(few_digits, tmp_path):
    found = []
    for name, groups in (("whole", ()), ("grouped", (2, 4))):
        arguments = (few_digits, tmp_path / name, 3, GLOBAL_BATCH, *groups)
        done = run_ranks(2, CHILD, *arguments, PYTHONPATH=str(ROOT), LOG_DIR=str(tmp_path / f"{name}-logs"))
        assert done.code == 0, done.err
        found.append(np.load(tmp_path / f"{name}_1_of_2.npz"))
    for name in found[0].files:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


def test_two_ranks_are_one_with_twice_the_batch(few_digits, tmp_path):
    arguments = (few_digits, tmp_path / "weights", STEPS, GLOBAL_BATCH)
    for done in (
        run_program(CHILD, *arguments, PYTHONPATH=str(ROOT)),
        run_ranks(2, CHILD, *arguments, PYTHONPATH=str(ROOT), LOG_DIR=str(tmp_path / "logs")),
    ):
        assert done.code == 0, done.err
    one, first, second = (
        np.load(tmp_path / f"weights_{name}.npz") for name in ("0_of_1", "0_of_2", "1_of_2")
    )
    assert len(one.files) == 4
    start = one["losses"][0]
    assert one["losses"][-1] < start - 0.05, "it learned something"
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], one[name], rtol=0, atol=1e-5, err_msg=name)
