"""Two real ranks with batch b take the steps of one rank with batch 2b, through the real data pipeline."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.programs import ROOT, run_ranks
from tests.support.weights import of_one_and_two_ranks

CHILD = "tests/support/weights_after.py"
STEPS, GLOBAL_BATCH = 16, 32


@pytest.mark.heavy
def test_grouped_gradients_are_the_same(few_digits, tmp_path):
    """A weight of a convolution, a weight and a bias behind it; the compiled step tells the groups apart."""
    found = []
    for name, groups, fusions in (
        ("whole", (), {"0": 1, "1": 3}),  # 0: the mean of the loss
        ("grouped", (0,), {"0": 1, "1024": 1, "1025": 2}),
        ("each", (0, 1), {"0": 1, "1024": 1, "1025": 1, "1026": 1}),
    ):
        arguments = (few_digits, tmp_path / name, 3, GLOBAL_BATCH, *groups)
        variables = {"PYTHONPATH": f"{ROOT}/src:{ROOT}", "LOG_DIR": str(tmp_path / f"{name}-logs")}
        graphs = tmp_path / f"{name}-graphs"
        saving = {"MS_DEV_SAVE_GRAPHS": "1", "MS_DEV_SAVE_GRAPHS_PATH": str(graphs)}
        done = run_ranks(2, CHILD, *arguments, **variables, **saving)
        assert done.code == 0, done.err
        found.append(np.load(tmp_path / f"{name}_1_of_2.npz"))
        assert fusions_of_the_step(graphs / "rank_1") == fusions
    for name in found[0].files:
        for grouped in found[1:]:
            np.testing.assert_array_equal(found[0][name], grouped[name], err_msg=name)


def fusions_of_the_step(folder: Path) -> Counter[str]:
    """How many all-reduces of a compiled training step have which `fusion`."""
    step = max(folder.glob("*_validate_*.ir"), key=lambda path: path.stat().st_size)
    return Counter(re.findall(r" = AllReduce\(.*fusion: I64\((\d+)\)", step.read_text(encoding="utf-8")))


def test_two_ranks_are_one_with_twice_the_batch(few_digits, tmp_path):
    one, first, second = of_one_and_two_ranks(few_digits, tmp_path, STEPS, GLOBAL_BATCH)
    assert len(one.files) == 4
    start = one["losses"][0]
    assert one["losses"][-1] < start - 0.05, "it learned something"
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], one[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.heavy
def test_an_overflow_on_one_rank_is_everybodys(tmp_path):
    """Read from a stand-in for the float status of a chip that saturates, see tests/unit/test_overflow.py."""
    done = run_ranks(2, "tests/support/overflow_after.py", tmp_path / "seen", PYTHONPATH=f"{ROOT}/src:{ROOT}")
    assert done.code == 0, done.err
    first, second = (
        json.loads((tmp_path / f"seen_{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)
    )
    assert first == second
    assert [(finite, scale) for finite, scale, _ in first] == [(True, 8.0), (False, 4.0), (True, 4.0)]
    weights = [weight for _, _, weight in first]
    assert weights[0] == weights[1] > weights[2]
