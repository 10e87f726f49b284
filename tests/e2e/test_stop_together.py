"""A signal to one rank: all save the same step and leave in the time that platforms give."""

from __future__ import annotations

import re
import signal
import time

import pytest

from mindlift.runs import manifest
from tests.support.lone_ranks import lone_ranks
from tests.support.programs import TINY

ENDLESS = [*TINY, "--max_epoch", 400, "--ckpt_interval", 9999, "--log_interval", 1, "--per_batch_size", 4]
GRACE_S = 15  # docs of ModelArts: between SIGTERM and SIGKILL
STEPPING, COMPILING = "epoch 1 of", "steps in all; the first step"  # what rank 0 has printed by then
SAID = r"^error: stopped by {} after step (\d+); the same command continues from step \1"


@pytest.mark.parametrize(
    ("when", "signals", "says"),
    [
        (STEPPING, {1: signal.SIGTERM}, ["SIGTERM to rank 1", "SIGTERM"]),
        pytest.param(
            STEPPING, {0: signal.SIGTERM}, ["SIGTERM", "SIGTERM to rank 0"], marks=pytest.mark.heavy
        ),
        pytest.param(STEPPING, {1: signal.SIGINT}, ["SIGINT to rank 1", "SIGINT"], marks=pytest.mark.heavy),
        pytest.param(COMPILING, {0: signal.SIGINT}, ["SIGINT", "SIGINT to rank 0"], marks=pytest.mark.heavy),
        pytest.param(
            STEPPING, {0: signal.SIGHUP, 1: signal.SIGTERM}, ["SIGHUP", "SIGTERM"], marks=pytest.mark.heavy
        ),
    ],
    ids=["rank 1", "rank 0", "Ctrl-C to rank 1", "Ctrl-C in the compilation", "two ranks in different steps"],
)
def test_all_ranks_save_the_same_step_and_leave(few_digits, tmp_path, when, signals, says):
    runs = tmp_path / "runs"
    command = ["train.py", *ENDLESS, "--data_dir", few_digits, "--ckpt_path", runs]
    with lone_ranks(tmp_path, 2, command) as ranks:
        ranks[0].await_text(when)
        began = time.monotonic()
        for rank, number in signals.items():
            ranks[rank].process.send_signal(number)
            time.sleep(0.3)
        codes = [rank.process.wait(GRACE_S + 120) for rank in ranks]
        took = time.monotonic() - began
        errors = [rank.errors() for rank in ranks]
    ended_by = [number for reason in says for number in signal.Signals if number.name == reason.split()[0]]
    assert codes == [128 + number for number in ended_by], [rank.text for rank in ranks]
    if when == STEPPING:  # a signal that comes while the graph is compiled waits for the first step
        assert took < GRACE_S
    steps = []
    for lines, reason in zip(errors, says):
        assert len(lines) == 1, lines
        steps.append(int(re.match(SAID.format(reason), lines[0])[1]))
    saved = manifest.listed(next(runs.iterdir()) / "checkpoints")[-1]
    assert steps == [saved.step, saved.step]
    assert saved.file in errors[0][0]
