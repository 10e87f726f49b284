"""Random numbers by counter, against the published answers and the distributions' own functions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from mindlift.data.draws import Draws, philox, symmetric_beta, uniforms

IMAGES = np.arange(5000)
# kat_vectors of Random123, the authors' implementation: philox4x32 10, counter, key, result
ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_philox_gives_its_authors_answers(counter, key, answer):
    words, keys, expected = ([int(word, 16) for word in text.split()] for text in (counter, key, answer))
    counters = np.array(words, np.uint64)[:, None]
    assert philox(counters, (keys[0], keys[1]))[:, 0].tolist() == expected


def test_numbers_are_even():
    (found,) = uniforms(1, 0, IMAGES, [6])
    assert found.shape == (5000, 6)
    assert (found >= 0).all()
    assert (found < 1).all()
    assert scipy.stats.kstest(found.ravel(), "uniform").pvalue > 0.01
    correlations = np.corrcoef(found.T) - np.eye(6)
    assert np.abs(correlations).max() < 5 / np.sqrt(5000)


def test_seeds_epochs_images_and_stages_have_numbers_of_their_own():
    one = uniforms(1, 0, IMAGES[:50], [3, 3])
    others = [uniforms(2, 0, IMAGES[:50], [3, 3]), uniforms(1, 1, IMAGES[:50], [3, 3])]
    values = np.concatenate([part.ravel() for parts in (one, *others) for part in parts])
    assert len(set(values.tolist())) == len(values) == 900


def test_what_is_drawn_elsewhere_changes_nothing():
    """Other images of the batch, more numbers, or stages that take none."""
    region, colour = uniforms(3, 7, np.array([5, 900, 12]), [4, 9])
    np.testing.assert_array_equal(uniforms(3, 7, np.array([900]), [6, 9])[0][0, :4], region[1])
    np.testing.assert_array_equal(uniforms(3, 7, np.array([900]), [0, 9])[1][0], colour[1])
    assert uniforms(3, 7, np.array([900]), [0, 9])[0].shape == (1, 0)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_ends_of_the_range_of_seeds(seed):
    assert uniforms(seed, 10**6, np.array([2**31]), [1])[0].shape == (1, 1)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 3.0])
def test_shares_have_the_beta_distribution(alpha):
    (numbers,) = uniforms(1, 0, IMAGES, [2])
    assert scipy.stats.kstest(symmetric_beta(alpha, numbers), "beta", (alpha, alpha)).pvalue > 0.01


def test_a_share_of_nearly_no_alpha_is_all_or_nothing():
    (numbers,) = uniforms(1, 0, IMAGES, [2])
    shares = symmetric_beta(1e-4, numbers)
    assert np.isfinite(shares).all()
    assert np.mean((shares < 1e-6) | (shares > 1 - 1e-6)) > 0.99


def test_a_draw_follows_its_distribution():
    (numbers,) = uniforms(1, 0, IMAGES, [4])
    rows = [Draws(row.tolist()) for row in numbers]
    assert scipy.stats.kstest([row.uniform(-3, 5) for row in rows], "uniform", (-3, 8)).pvalue > 0.01
    assert scipy.stats.chisquare(np.bincount([row.integer(6) for row in rows])).pvalue > 0.01
    assert scipy.stats.kstest([row.normal(20, 0.5) for row in rows], "norm", (20, 0.5)).pvalue > 0.01
    with pytest.raises(IndexError):
        rows[0].random()
