"""What a node reads in a training, and when: what the sources of batches read themselves, evaluations between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mindlift.data.order import BatchRange, eval_shard, shuffled
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.streaming.position import Evaluation
from mindlift.training.reading import Reading

SEED, BATCH, TRAINED, EVALUATED, PER_EPOCH = 3, 2, 13, 5, 3


class Samples:
    def __init__(self, name: str, count: int):
        self.name, self.count = name, count

    def __len__(self) -> int:
        return self.count

    def paths_of(self, index: int) -> tuple[str, ...]:
        return (f"{self.name}{index}",)


def reading(ranks: Ranks, done: int = 0, evaluated: bool = True, **more: object) -> Reading:
    options = {
        "eval_interval": 1,
        "eval_steps": 0,
        "eval_start_epoch": 0,
        "run_eval": True,
        "enable_ema": False,
    }
    cfg = SimpleNamespace(
        per_batch_size=BATCH, accumulation_steps=1, seed=SEED, ema_start_epoch=0, **{**options, **more}
    )
    opened = SimpleNamespace(
        task=SimpleNamespace(epoch_order=lambda samples, options: shuffled(TRAINED, SEED)),
        options=None,
        samples=Samples("t", TRAINED),
        evaluated=Samples("e", EVALUATED) if evaluated else None,
        steps=SimpleNamespace(per_epoch=PER_EPOCH, total=2 * PER_EPOCH),
    )
    return Reading(opened, cfg, ranks, done)  # type: ignore[arg-type]


def trained(ranks: range, number: int, size: int) -> list[str]:
    """The files of batch `number`, as TrainSource and PairSource read them."""
    orders = [BatchRange(0, 0, rank, size).order(TRAINED, BATCH, SEED) for rank in ranks]
    return [f"t{index}" for order in orders for index in order.batch(number, BATCH)[1].tolist()]


def evaluated(ranks: range, size: int) -> list[list[str]]:
    """The files of each batch of an evaluation, without the rows that only fill it up, by order.eval_shard."""
    shards = [eval_shard(EVALUATED, BATCH, rank, size) for rank in ranks]
    rows = len(shards[0][0])
    return [
        [
            f"e{index}"
            for indices, weights in shards
            for index, weight in zip(indices[at : at + BATCH], weights[at : at + BATCH])
            if weight
        ]
        for at in range(0, rows, BATCH)
    ]


@pytest.mark.parametrize("done", [0, 1, PER_EPOCH])
def test_rounds_are_what_two_ranks_read(done):
    found = reading(Ranks(size=2, devices_per_node=2), done).rounds()
    both = range(2)
    expected = []
    for number in range(done, 2 * PER_EPOCH):
        expected.append(trained(both, number, 2))
        expected += evaluated(both, 2) if (number + 1) % PER_EPOCH == 0 else []
    assert [sorted(each) for each in found.each] == [sorted(each) for each in expected]
    assert found.first == done
    assert found.most == 2 * BATCH
    assert found.per_pass == len(evaluated(both, 2)) == 2
    assert found.evaluations == [Evaluation(step, 1) for step in (3, 6) if step > done]


def test_a_node_has_its_own_ranks():
    found = list(
        reading(Ranks(rank=2, size=4, devices_per_node=2), run_eval=False, eval_interval=0).rounds().each
    )
    assert found == [trained(range(2, 4), number, 4) for number in range(2 * PER_EPOCH)]


def test_the_average_is_evaluated_as_well_and_the_end_even_if_nothing_is_due():
    found = reading(Ranks(), enable_ema=True, eval_interval=0).rounds()
    assert found.evaluations == [Evaluation(6, 2)]
    rounds = list(found.each)
    assert rounds[6:] == evaluated(range(1), 1) * 2


def test_without_an_evaluation_there_are_only_batches():
    found = reading(Ranks(), evaluated=False).rounds()
    assert len(list(found.each)) == 2 * PER_EPOCH
    assert (found.evaluations, found.per_pass) == ([], 0)


def test_the_images_of_an_evaluation_come_where_it_is_due():
    """Files in the order in which they are read first: those of the evaluation after two steps, not after all."""
    order = reading(Ranks(), eval_interval=0, eval_steps=2).order()
    assert order[:4] == trained(range(1), 0, 1) + trained(range(1), 1, 1)
    assert order[4:9] == [f"e{index}" for index in range(EVALUATED)]
    assert sorted(order) == sorted([f"t{n}" for n in range(TRAINED)] + [f"e{n}" for n in range(EVALUATED)])
    assert np.unique(order).size == TRAINED + EVALUATED
