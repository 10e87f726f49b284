"""The masks of dropout: their statistics against the binomial distribution, their gradient, and what they depend on."""

from __future__ import annotations

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.models import precision
from mindlift.models.dropout import KEYS, Dropout, P
from mindlift.training.masks import Masks
from tests.support.place import Place

MAP = (4, 8, 9, 7)


class Kept(nn.Cell):
    """The mask that a dropout applies to ones, and the gradient of a weighted sum of what it gives."""

    def __init__(self, cell: Dropout):
        super().__init__()
        self.cell = cell
        self.of_images = ms.grad(self.weighted)

    def weighted(self, x, weights):
        return (self.cell(x) * weights).sum()

    def construct(self, x, weights):
        return self.cell(x), self.of_images(x, weights)


ALONE = Place()


def masks(p: float, shape: tuple[int, ...], count: int, seed: int = 1, place: Place = ALONE, first: int = 0):
    """(count, *shape) bool: the masks of as many batches."""
    cell = Dropout(p)
    drawn = Masks(cell, seed, place)
    drawn.begin_at(first)
    cell.set_train()
    ones, found = ms.ops.ones(shape, ms.float32), []
    for _ in range(count):
        drawn.draw()
        found.append(cell(ones).asnumpy() > 0)
    return np.array(found)


def deviations(successes: np.ndarray, draws: int, share: float) -> np.ndarray:
    """In standard deviations of a binomial distribution, how far off each count is."""
    return (successes - draws * share) / np.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize(
    ("p", "shape"),
    [
        pytest.param(0.2, (2, 6, 7, 5), marks=pytest.mark.heavy),
        pytest.param(0.7, (2, 6, 7, 5), marks=pytest.mark.heavy),
        pytest.param(0.2, (16, 40), marks=pytest.mark.heavy),
        (0.7, (8, 30)),
    ],
)
def test_shares_are_those_of_independent_draws(p, shape):
    """Of every place, batch, pair of places and pair of batches: what is kept is binomially distributed.

    The bound of 5.5 is for a few 100,000 pairs (two-sided 4e-8 each), that of the mean square for dependent ones.
    """
    count, kept = 300, round((1 - p) * P) / P
    found = masks(p, shape, count).reshape(count, -1)
    places = found.shape[1]
    together = found.T.astype(np.float32) @ found.astype(np.float32)
    counts = {
        "places": deviations(found.sum(0), count, kept),
        "batches": deviations(found.sum(1), places, kept),
        "pairs of places": deviations(together[np.triu_indices(places, 1)], count, kept**2),
        "successive batches": deviations((found[::2] & found[1::2]).sum(1), places, kept**2),
    }
    for what, off in counts.items():
        assert np.abs(off).max() < 5.5, what
        assert 0.8 < (off**2).mean() < 1.2, what


def test_what_is_kept_is_enlarged_and_its_gradient_is_the_same_product():
    """Srivastava et al. (2014), section 10: kept units are divided by their probability while training."""
    rng = np.random.default_rng(3)
    x, weights = (rng.normal(size=MAP).astype(np.float32) for _ in range(2))
    cell = Dropout(0.7).set_train()
    Masks(cell, 1, Place()).draw()
    found, gradient = Kept(cell)(ms.Tensor(x), ms.Tensor(weights))
    kept = found.asnumpy() != 0
    assert 0.2 < kept.mean() < 0.4
    share = round(0.3 * P) / P
    np.testing.assert_allclose(found.asnumpy(), np.where(kept, x / share, 0), rtol=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), np.where(kept, weights / share, 0), rtol=1e-6)


def test_a_mask_is_the_hash_that_the_module_says_in_whole_numbers():
    """The same in Python's integers, which know no rounding."""
    from mindlift.models import dropout

    cell = Dropout(0.5).set_train()
    drawn = Masks(cell, 9, Place())
    for _ in range(5):
        drawn.draw()
        keys = [int(key) for key in drawn.keys.asnumpy()]
        rows, columns = MAP[0] * MAP[1], MAP[2] * MAP[3]
        a, b = (
            (dropout.drawn(0, axis, count).astype(object) * np.array(keys, object)[None, :, None]).sum(1) % P
            for axis, count in ((dropout.ON_ROWS, rows), (dropout.ON_COLUMNS, columns))
        )
        hashed = np.array(
            [[(a[0, r] * b[0, s] + a[1, r] * b[1, s]) % P for s in range(columns)] for r in range(rows)]
        )
        expected = (hashed < round(0.5 * P)).reshape(MAP)
        np.testing.assert_array_equal(cell(ms.ops.ones(MAP, ms.float32)).asnumpy() > 0, expected)


def test_a_batch_has_its_mask_whatever_was_drawn_before():
    whole = masks(0.5, MAP, 6)
    np.testing.assert_array_equal(whole[4:], masks(0.5, MAP, 2, first=4))
    assert (whole[0] != whole[1]).any()
    assert (whole[0] != masks(0.5, MAP, 1, seed=2)[0]).any()


def test_two_ranks_have_the_masks_of_one():
    """Row i of rank r is row 2 i + r of the whole batch, as data/order.py deals out images."""
    whole = masks(0.5, MAP, 2)
    for rank in (0, 1):
        own = masks(0.5, (MAP[0] // 2, *MAP[1:]), 2, place=Place(rank, 2))
        np.testing.assert_array_equal(own, whole[:, rank::2])


def test_two_dropouts_of_a_network_have_masks_of_their_own():
    network = nn.SequentialCell([Dropout(0.5, 0), Dropout(0.5, 1)]).set_train()
    Masks(network, 1, Place()).draw()
    ones = ms.ops.ones(MAP, ms.float32)
    one, other = (cell(ones).asnumpy() > 0 for cell in network)
    assert 0.3 < (one != other).mean() < 0.7


def test_keys_are_no_weights_and_precision_casts_what_comes_out():
    cell = precision.apply(nn.SequentialCell([Dropout(0.5)]), "O3").set_train()
    assert not cell.parameters_dict()
    assert len(Dropout(0.5).keys) == KEYS
    drawn = cell(ms.ops.ones(MAP, ms.float32))
    assert drawn.dtype == ms.float16
    np.testing.assert_array_equal(
        drawn.asnumpy() > 0, Dropout(0.5).set_train()(ms.ops.ones(MAP)).asnumpy() > 0
    )


@pytest.mark.parametrize(("p", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_and_everything(p, left):
    assert (Dropout(p).set_train()(ms.ops.ones(MAP, ms.float32)).asnumpy() == left).all()
    assert (Dropout(p).set_train(False)(ms.ops.ones(MAP, ms.float32)).asnumpy() == 1).all()
