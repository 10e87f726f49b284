import numpy as np
import pytest

from mindlift.data.order import TrainOrder, epoch_order, eval_shard, sample_rng


@pytest.mark.parametrize(
    ("count", "batch", "size"), [(10, 4, 1), (1449, 16, 8), (7, 3, 2), (64, 64, 1), (3, 5, 2)]
)
def test_evaluation_counts_every_image_once(count, batch, size):
    seen: list[int] = []
    lengths = set()
    for rank in range(size):
        indices, weights = eval_shard(count, batch, rank, size)
        seen += indices[weights == 1].tolist()
        lengths.add(len(indices))
    assert sorted(seen) == list(range(count))
    assert len(lengths) == 1, "ranks must run the same number of batches"
    assert lengths.pop() % batch == 0


def rank_batches(count, batch, rank, size, epoch, seed=3):
    order = TrainOrder(count, batch, rank, size, seed)
    start = epoch * order.items_per_epoch
    found = [order(item) for item in range(start, start + order.items_per_epoch)]
    assert {pair[0] for pair in found} == {epoch}
    return np.array([pair[1] for pair in found]).reshape(-1, batch)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_two_ranks_read_what_one_rank_with_twice_the_batch_reads(epoch):
    whole = rank_batches(50, 8, 0, 1, epoch)
    halves = [rank_batches(50, 4, rank, 2, epoch) for rank in range(2)]
    assert len(whole) == len(halves[0]) == 6
    for step, batch in enumerate(whole):
        assert sorted(batch) == sorted(np.concatenate([halves[0][step], halves[1][step]]))


def test_an_epoch_repeats_no_image_and_epochs_differ():
    first, second = (rank_batches(50, 5, 0, 1, epoch).ravel() for epoch in (0, 1))
    assert sorted(first) == list(range(50))
    assert (first != second).any()


def test_order_depends_on_the_seed():
    assert (epoch_order(100, 1, 0) != epoch_order(100, 2, 0)).any()
    assert (epoch_order(100, 1, 0) == np.random.default_rng([1, 0]).permutation(100)).all()


def test_streams_of_images_epochs_and_stages_are_apart():
    draws = {
        sample_rng(1, epoch, index, stage).random()
        for epoch in range(3)
        for index in range(3)
        for stage in range(2)
    }
    assert len(draws) == 18
    assert sample_rng(1, 2, 3).random() == sample_rng(1, 2, 3).random()
