"""Batch norms over the ranks: two real ranks with batch b have the statistics of one rank with batch 2b."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.programs import ROOT, run_program, run_ranks

CHILD = "tests/support/sync_norm_after.py"
STEPS, GLOBAL_BATCH = 3, 32
EPS, SHARE = 1e-5, 0.1  # of DenseNet's norms: epsilon, and the share of a batch in the moving statistics


@pytest.fixture(scope="module")
def out(few_digits, tmp_path_factory) -> Path:
    """The folder with what one rank, two with --sync_bn, the same with --recompute, and two without either end with."""
    folder = tmp_path_factory.mktemp("sync")
    for name, ranks, words in (
        ("one", 1, ["--sync_bn", "true"]),
        ("sync", 2, ["--sync_bn", "true"]),
        ("recomputed", 2, ["--sync_bn", "true", "--recompute", "true"]),
        ("each", 2, []),
    ):
        arguments = (few_digits, folder / name, STEPS, GLOBAL_BATCH, *words)
        variables = {"PYTHONPATH": f"{ROOT}/src:{ROOT}"}
        done = (
            run_program(CHILD, *arguments, **variables)
            if ranks == 1
            else run_ranks(2, CHILD, *arguments, **variables, LOG_DIR=str(folder / f"{name}-logs"))
        )
        assert done.code == 0, done.err
    return folder


@pytest.mark.heavy
def test_two_ranks_are_one_with_twice_the_batch(out):
    """Weights, losses and moving statistics; without --sync_bn the statistics are of other images."""
    one, first, second, alone = (
        np.load(out / f"{name}.npz") for name in ("one_0_of_1", "sync_0_of_2", "sync_1_of_2", "each_0_of_2")
    )
    for name in one.files:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        # three steps of an untrained network enlarge roundings; without --sync_bn 0.01 and more
        np.testing.assert_allclose(first[name], one[name], rtol=1e-3, atol=2e-3, err_msg=name)
    np.testing.assert_allclose(first["losses"][0], one["losses"][0], rtol=1e-6)
    moving = [name for name in one.files if name.endswith(("moving_mean", "moving_variance"))]
    assert len(moving) == 2 * (1 + 2 * 9 + 2)
    assert abs(alone["losses"][0] - one["losses"][0]) > 1e-3
    apart = max(np.abs(alone[name] - one[name]).max() for name in moving)
    assert apart > 20 * max(np.abs(first[name] - one[name]).max() for name in moving)


@pytest.mark.heavy
def test_blocks_that_are_recomputed_have_the_same_statistics(out):
    """Ranks exchange their sums twice in a step, and the moving statistics move once."""
    kept, again, other = (
        np.load(out / f"{name}.npz") for name in ("sync_0_of_2", "recomputed_0_of_2", "recomputed_1_of_2")
    )
    assert set(again.files) == set(kept.files)
    for name in kept.files:
        np.testing.assert_array_equal(again[name], other[name], err_msg=name)
        np.testing.assert_allclose(again[name], kept[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.heavy
def test_forward_and_backward_are_the_formulas(out):
    """Ioffe and Szegedy 2015, algorithm 1 and the gradients of section 3, over the images of both ranks, in float64.

    Each rank's loss is a sum over its images, so that the gradients of the images, and the ranks' sum of those of
    gamma and beta, are those of the sum over all.
    """
    parts = [np.load(out / f"sync_norm_{rank}_of_2.npz") for rank in range(2)]
    x, weights, gamma = (parts[0][name].astype(np.float64) for name in ("x", "weights", "gamma"))
    axes, count = (0, 2, 3), x[:, 0].size
    mean, variance = x.mean(axes), x.var(axes)
    root = np.sqrt(variance + EPS)
    shaped = lambda values: values.reshape(1, -1, 1, 1)  # noqa: E731
    hat = (x - shaped(mean)) / shaped(root)
    inner = weights * shaped(gamma)
    by_image = (inner - shaped(inner.mean(axes)) - hat * shaped((inner * hat).mean(axes))) / shaped(root)
    for rank, found in enumerate(parts):
        np.testing.assert_allclose(found["by_image"], by_image[rank::2], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["moving_mean"], SHARE * mean, rtol=1e-4)
        unbiased = variance * count / (count - 1)
        np.testing.assert_allclose(found["moving_variance"], 1 - SHARE + SHARE * unbiased, rtol=1e-4)
    by_gamma, by_beta = (sum(found[name] for found in parts) for name in ("by_gamma", "by_beta"))
    np.testing.assert_allclose(by_gamma, (weights * hat).sum(axes), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(by_beta, weights.sum(axes), rtol=1e-3, atol=1e-3)


@pytest.mark.heavy
def test_the_librarys_norm_has_the_same_statistics(out):
    """nn.BatchNorm2d with all of the images on one rank: what a rank with --sync_bn and no others computes."""
    one, two = (np.load(out / f"{name}.npz") for name in ("one_norm_0_of_1", "sync_norm_0_of_2"))
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(two["by_image"], one["by_image"][::2], rtol=1e-3, atol=1e-4)
