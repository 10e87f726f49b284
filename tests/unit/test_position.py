"""How far a reader is among the batches of a training and those of the evaluations between them."""

from __future__ import annotations

from mindlift.model_utils.streaming.position import SKIPPED_AFTER, Evaluation, Position


def test_without_evaluations_it_is_the_batch():
    assert [Position(5).train(number) for number in (6, 7, 900)] == [6, 7, 900]


def test_a_planned_evaluation_stands_between_two_batches():
    """Rounds are numbered 0 1 2 | e e e | 3 4 | e e e | 5."""
    position = Position(0, [Evaluation(3, 1), Evaluation(5, 1)], per_pass=3)
    assert [position.train(number) for number in (1, 2, 3)] == [1, 2, 3]
    assert position.is_planned
    assert [position.evaluate(number, of=3) for number in (1, 2, 3)] == [4, 5, 6]
    assert not position.is_planned
    assert [position.train(number) for number in (4, 5)] == [7, 8]
    assert position.evaluate(3, of=3) == 11
    assert position.train(6) == 12


def test_batches_of_the_training_that_are_made_ahead_wait_for_the_evaluation():
    position = Position(0, [Evaluation(3, 1)], per_pass=2)
    assert position.train(5) == 3
    assert position.evaluate(1, of=2) == 4
    assert position.train(6) == 4
    assert position.evaluate(2, of=2) == 8


def test_two_passes_and_a_rank_that_has_a_batch_less():
    position = Position(0, [Evaluation(1, 2)], per_pass=3)
    assert position.train(1) == 1
    assert [position.evaluate(number, of=2) for number in (1, 2)] == [2, 4]
    assert [position.evaluate(number, of=2) for number in (1, 2)] == [5, 7]
    assert position.train(2) == 8


def test_an_evaluation_that_is_not_planned_counts_nothing():
    position = Position(8, [Evaluation(12, 1)], per_pass=3)
    assert position.evaluate(3, of=3) == 8
    assert not position.is_planned
    assert position.train(9) == 9


def test_one_that_is_left_out_is_passed_over():
    position = Position(0, [Evaluation(1, 1)], per_pass=3)
    assert position.train(1 + SKIPPED_AFTER) == 1
    assert position.train(2 + SKIPPED_AFTER) == 5 + SKIPPED_AFTER
    assert not position.is_planned
