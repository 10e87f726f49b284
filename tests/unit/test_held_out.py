"""Which images of a folder without splits are held out to evaluate on."""

from __future__ import annotations

import numpy as np
import pytest

from mindlift.data.classification.held_out import count_held, held_out
from mindlift.errors import DataError

LABELS = [0] * 50 + [1] * 7 + [2] * 2 + [3]
NAMES = [f"class{label}/{number}.jpg" for number, label in enumerate(LABELS)]


def of_class(found: list[bool], label: int) -> int:
    return sum(is_held for is_held, own in zip(found, LABELS) if own == label)


def test_each_class_gives_its_share():
    found = held_out(NAMES, LABELS, 0.2, seed=1)
    assert [of_class(found, label) for label in range(4)] == [10, 1, 1, 0]
    assert [of_class(held_out(NAMES, LABELS, 0.9, seed=1), label) for label in range(4)] == [45, 6, 1, 0]


@pytest.mark.parametrize(
    ("images", "share", "count"),
    [(10, 0.25, 3), (10, 0.2, 2), (2, 0.9, 1), (1, 0.5, 0), (0, 0.5, 0), (100, 0.001, 1), (9, 0, 0)],
)
def test_how_many(images, share, count):
    """Rounded half up, but at least one image and never all."""
    assert count_held(images, share) == count


def test_it_is_a_function_of_seed_and_name_alone():
    first = held_out(NAMES, LABELS, 0.2, seed=1)
    assert held_out(NAMES, LABELS, 0.2, seed=1) == first
    assert held_out(NAMES, LABELS, 0.2, seed=2) != first
    order = np.random.default_rng(0).permutation(len(NAMES))
    shuffled = held_out([NAMES[i] for i in order], [LABELS[i] for i in order], 0.2, seed=1)
    assert shuffled == [first[i] for i in order]


def test_files_that_come_later_move_few():
    """Of 1,000 images 100 more move at most as many over the border as there are places more behind it."""
    names = [f"cats/{number}.jpg" for number in range(1100)]
    before = held_out(names[:1000], [0] * 1000, 0.2, seed=1)
    after = held_out(names, [0] * 1100, 0.2, seed=1)[:1000]
    assert sum(one != other for one, other in zip(before, after)) <= 20


def test_names_that_are_not_utf8():
    assert held_out(["a/\udcff.jpg", "a/b.jpg"], [0, 0], 0.5, seed=1).count(True) == 1


def test_nothing_to_hold_out():
    with pytest.raises(DataError, match="--validation_split 0.2 holds out no image: no class has two"):
        held_out(["a/1.jpg", "b/1.jpg"], [0, 1], 0.2, seed=1)
