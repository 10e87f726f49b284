"""The rule by which files go where a disk is smaller than the data, beside the optimum."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
import pytest

from mindlift.model_utils.streaming.cache_plan import LEAST_ROUNDS, CachePlan

NEVER = float("inf")


def by_min(trace: list[int], slots: int) -> int:
    """Misses of MIN, written down from Belady, "A study of replacement algorithms for a virtual-storage computer" (IBM
    Systems Journal 5, 1966): what is needed furthest in the future goes, which may be what has just come."""
    held: dict[int, float] = {}  # and when each is needed next
    misses = 0
    for at, item in enumerate(trace):
        misses += item not in held
        held[item] = next((later for later in range(at + 1, len(trace)) if trace[later] == item), NEVER)
        if len(held) > slots:
            del held[max(held, key=lambda each: held[each])]
    return misses


def least_misses(trace: tuple[int, ...], slots: int) -> int:
    """Of all ways to choose what is kept, the best, by trying them."""

    @lru_cache(maxsize=None)
    def from_here(at: int, held: frozenset[int]) -> int:
        if at == len(trace):
            return 0
        now = held | {trace[at]}
        ways = [now] if len(now) <= slots else [now - {each} for each in now]
        return (trace[at] not in held) + min(from_here(at + 1, way) for way in ways)

    return from_here(0, frozenset())


def epochs(count: int, number: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    return [item for _ in range(number) for item in rng.permutation(count).tolist()]


class Readers:
    """Play the training: rounds of `in_a_round` items are read in their order, once all items of a round are there."""

    def __init__(self, plan: CachePlan, trace: list[int], in_a_round: int = 1, threads: int = 1):
        self.plan, self.threads = plan, threads
        self.rounds = [trace[at : at + in_a_round] for at in range(0, len(trace), in_a_round)]
        self.told = self.fetched = 0
        plan.begin(0, in_a_round)

    def tell(self) -> None:
        while self.plan.lacks:
            part = self.rounds[self.told : self.told + 50]
            self.told += len(part)
            self.plan.add(part, self.told == len(self.rounds))

    def run(self, rng: random.Random, rounds: int | None = None) -> int:
        """How many items were fetched, for all rounds or the first ones. Fetches end in any order."""
        plan, under_way = self.plan, []
        for number, wanted in enumerate(self.rounds[:rounds]):
            while True:
                self.tell()
                while len(under_way) < self.threads:
                    item = plan.take()
                    self.check_removed(number)
                    if item is None:
                        break
                    under_way.append(item)
                if {*wanted} <= plan.here:
                    break
                assert under_way, f"round {number} is waited for, and nothing is fetched"
                plan.arrived(under_way.pop(rng.randrange(len(under_way))))
                self.fetched += 1
            plan.advance(number + 1)
            self.check_removed(number + 1)
        return self.fetched

    def check_removed(self, number: int) -> None:
        plan = self.plan
        assert plan.disk_bytes == sum(plan.sizes[item] for item in plan.here | plan.under_way)
        assert plan.disk_bytes <= plan.room.size
        needed = {*self.rounds[number]} if number < len(self.rounds) else set()
        assert not needed & {*plan.removed}, "what is read next has gone"
        plan.removed.clear()


@pytest.mark.parametrize("seed", range(12))
def test_small_traces_beside_all_that_could_be_done(seed):
    rng = random.Random(seed)
    count, size = rng.randint(18, 22), rng.randint(LEAST_ROUNDS, LEAST_ROUNDS + 2)
    trace = [rng.randrange(count) for _ in range(rng.randint(20, 40))]
    plan = CachePlan([1] * count, (), size)
    found = Readers(plan, trace, threads=rng.choice([1, 3])).run(rng)
    kept = plan.room.kept
    assert kept >= 4
    assert least_misses(tuple(trace), kept) == by_min(trace, kept), "the optimum by two ways"
    assert by_min(trace, size) <= found <= by_min(trace, kept)


@pytest.mark.parametrize(("share", "most"), [(0.25, 1.06), (0.5, 1.08), (0.8, 1.2)])
def test_epochs_beside_the_optimum(share, most):
    """Of a cache of that share of the data a twentieth is for guests, and as much for what is read at the moment."""
    count = 300
    trace, size = epochs(count, 4, seed=7), int(share * count)
    plan = CachePlan([1] * count, (), size)
    found = Readers(plan, trace, in_a_round=1, threads=4).run(random.Random(1))
    assert by_min(trace, size) <= found <= by_min(trace, plan.room.kept)
    assert found / by_min(trace, size) <= most
    assert by_min(trace, size) < 0.95 * len(trace), "there is something to be had"


@pytest.mark.parametrize("seed", range(20))
def test_files_of_all_sizes_never_block_nor_overflow(seed):
    rng = random.Random(seed)
    count, in_a_round = rng.randint(30, 80), rng.randint(1, 6)
    sizes = [rng.randint(1, 40) for _ in range(count)]
    plan = CachePlan(sizes, rng.sample(range(count), rng.randint(0, 5)), sum(sizes))
    least = plan.begin(0, in_a_round)
    here = rng.sample(range(count), count // 3)
    while sum(sizes[item] for item in here) > least:
        here.pop()
    plan = CachePlan(sizes, here, least)
    trace = epochs(count, 3, seed)
    found = Readers(plan, trace, in_a_round, threads=rng.choice([1, 4, 64])).run(rng)
    assert found + len(here) >= count


def test_what_is_here_is_not_fetched_again_when_a_training_is_continued():
    count, size = 300, 100
    trace = epochs(count, 3, seed=3)
    plan = CachePlan([1] * count, (), size)
    Readers(plan, trace).run(random.Random(2), rounds=305)
    here = plan.here
    assert len(here) > size / 2
    again = CachePlan([1] * count, here, size)
    later = Readers(again, trace[305:])
    found = later.run(random.Random(2))
    cold = CachePlan([1] * count, (), size)
    assert found <= Readers(cold, trace[305:]).run(random.Random(2)) - len(here) / 3


def test_an_index_does_not_make_rounds_larger():
    sizes = [1000, 3, 2, 1]
    assert CachePlan(sizes, [], 200).begin(0, 2, apart={0}) == LEAST_ROUNDS * 5
    assert CachePlan(sizes, [], 200).begin(0, 2) == LEAST_ROUNDS * 1003


def test_what_was_here_goes_down_to_a_smaller_cache():
    plan = CachePlan([1] * 100, range(100), 40)
    assert Readers(plan, epochs(100, 2, 5)).run(random.Random(0)) < 200
    assert plan.disk_bytes <= 40


class TestGuests:
    """What is asked for outside of the rounds."""

    def plan(self) -> tuple[CachePlan, Readers]:
        plan = CachePlan([1] * 200, (), 60)
        reader = Readers(plan, epochs(150, 3, 1), in_a_round=2)
        reader.tell()
        for _ in range(100):
            item = plan.take()
            if item is None:
                break
            plan.arrived(item)
        return plan, reader

    def test_come_at_once_and_go_in_their_order(self):
        plan, _ = self.plan()
        for item in range(150, 200):
            plan.ask([item])
            assert plan.take() == item
            plan.arrived(item)
            assert plan.disk_bytes <= 60
        guests = plan.room.guests
        assert {*range(200 - guests, 200)} <= plan.here
        assert not {*range(150, 200 - guests)} & plan.here

    def test_what_comes_later_by_the_rounds_is_fetched_for_who_asks_now(self):
        """An evaluation may read what the training will: it would wait for ever for the training to go on."""
        plan, reader = self.plan()
        waiting = plan.pending[0]
        plan.ask([waiting])
        assert plan.take() == waiting
        plan.arrived(waiting)
        assert reader.run(random.Random(0)) > 0

    def test_the_rounds_go_on_whatever_is_asked_for(self):
        rng = random.Random(4)
        plan, reader = self.plan()
        take = plan.take

        def asked() -> int | None:
            plan.ask(rng.sample(range(200), 3))
            return take()

        plan.take = asked  # type: ignore[method-assign]
        reader.threads = 4
        reader.run(rng)

    def test_before_the_rounds_are_known_they_have_all_the_room(self):
        plan = CachePlan([10] * 10, range(6), 60)
        plan.ask([8, 9])
        for item in (8, 9):
            assert plan.take() == item
            plan.arrived(item)
        assert plan.disk_bytes == 60

    def test_without_rounds_all_that_is_here_are_guests(self):
        plan = CachePlan([10] * 10, range(6), 60)
        plan.have_none()
        plan.ask([7])
        assert plan.take() == 7
        assert plan.removed == [0]


def test_a_file_that_failed_is_taken_again_first():
    plan = CachePlan([1] * 50, (), 20)
    plan.begin(0, 1)
    plan.add([[item] for item in range(50)], True)
    first = plan.take()
    assert first == 0
    plan.failed(0, comes_again=True)
    assert plan.take() == 0
    plan.arrived(0)
    assert plan.take() == 1
    plan.failed(1, comes_again=False)
    assert plan.take() == 2
    assert plan.disk_bytes == 2
