"""Ranks without a launcher that ends them: a peer that is gone, or that never came, is one line and not a wait without end."""

from __future__ import annotations

import re
import signal

import pytest

from tests.support.lone_ranks import lone_ranks
from tests.support.programs import TINY, TRAIN

ENDLESS = [*TINY, "--max_epoch", 400, "--ckpt_interval", 3, "--log_interval", 1, "--per_batch_size", 4]


@pytest.mark.heavy
@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_peer_ends_the_other_rank_with_one_line(few_digits, tmp_path, lost):
    command = [TRAIN, *ENDLESS, "--data_dir", few_digits, "--ckpt_path", tmp_path / "runs"]
    with lone_ranks(tmp_path, 2, command) as ranks:
        ranks[0].await_text("epoch 1 of")
        ranks[lost].process.send_signal(signal.SIGKILL)
        left = ranks[1 - lost]
        assert left.process.wait(150) == 1, left.text
        assert "Traceback" not in left.text
        assert len(left.errors()) == 1
        assert f"rank {1 - lost} of 2 got no answer in a sum over all ranks" in left.errors()[0]


@pytest.mark.parametrize(
    "scheduler",
    [pytest.param(False, id="no scheduler"), pytest.param(True, id="no peer", marks=pytest.mark.heavy)],
)
def test_a_rank_that_meets_nobody_ends_in_time(few_digits, tmp_path, scheduler):
    """Without a scheduler it is a process with variables that an earlier job has left behind."""
    command = [TRAIN, *ENDLESS, "--data_dir", few_digits, "--ckpt_path", tmp_path, "--join_timeout", 10]
    with lone_ranks(tmp_path, 2, command, ranks=[1], scheduler=scheduler) as (rank,):
        assert rank.process.wait(120) == 1, rank.text
        (said,) = rank.errors()
    waited = re.search(
        r"^error: rank 1 of 2 could not join the other ranks at 127.0.0.1:\d+ .* within (\d+) s", said
    )
    assert 9 <= int(waited[1]) < 60, said
    assert "left over from an earlier job (unset them)" in said
    assert "Traceback" not in rank.text
