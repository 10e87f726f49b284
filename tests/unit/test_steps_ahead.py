"""Devices that compute by themselves are given several steps before a loss is read; what follows from losses is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mindlift.interrupts import Signalled
from mindlift.model_utils import devices
from mindlift.model_utils.streaming.arrivals import ArrivalError
from mindlift.models.weights.mindspore_files import read
from mindlift.training import loop
from mindlift.training.hooks import Hook, Status
from mindlift.training.images import Steps
from tests.support.programs import ROOT, TINY, environment

AHEAD, EACH = devices.of(devices.ASCEND, "ascend910b"), devices.of(devices.CPU)


class Batches:
    """Of each step a number; after `count` of them `error` is raised."""

    def __init__(self, first: int, count: int, error: BaseException | None):
        self.left, self.error = iter(range(first, count)), error

    def __iter__(self):
        return self

    def __next__(self):
        found = next(self.left, None)
        if found is not None:
            return (found,)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.left = iter(())


class Step:
    """Notes what happens in which order; the loss of step n, from 1 on, is n."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done = 0

    def begin(self, batches):
        (batch,) = batches
        self.done = batch[0] + 1
        self.notes.append(f"begin {self.done}")
        return self.done

    def read(self, outcome: int) -> tuple[float, bool]:
        return float(outcome), True

    def reset_state(self) -> None:
        self.notes.append("reset")


class Noting(Hook):
    """Acts after the steps in `due`; the network that it finds must be of the step that it is told."""

    def __init__(self, step: Step, due: frozenset[int] = frozenset(), ends_at: int | None = None):
        self.step, self.due, self.ends_at = step, due, ends_at
        self.losses: list[float] = []

    def acts_after(self, step: int) -> bool:
        return step in self.due

    def on_loss(self, status: Status) -> None:
        assert status.loss == status.step
        self.losses.append(status.loss)

    def on_step(self, status: Status) -> None:
        assert self.step.done == status.step
        self.step.notes.append(f"act {status.step}")
        if status.step == self.ends_at:
            status.ended_by = "hook"

    def on_lack(self, status: Status) -> None:
        self.step.notes.append(f"lack {status.step}")

    def on_signal(self, status: Status) -> None:
        self.step.notes.append(f"signal {status.step}")


def acted(notes: list[str]) -> list[int]:
    return [int(note.split()[1]) for note in notes if note.startswith("act")]


def run(
    device: devices.Device,
    *,
    done: int = 0,
    total: int = 25,
    per_epoch: int = 100,
    resets: tuple[int, ...] = (),
    released: int = -1,
    due: tuple[int, ...] = (),
    ends_at: int | None = None,
    masks: bool = False,
    error: BaseException | None = None,
    images_for: int = 10**6,
    step: Step | None = None,
) -> Noting:
    step = step or Step()
    hook = Noting(step, frozenset(due), ends_at)
    count = min(total, images_for)
    prepared = SimpleNamespace(
        step=step,
        steps=Steps(np.ones(total), frozenset(resets), per_epoch, total),
        release_at=lambda at: step.notes.append("release") if at == released else None,
        releases_at=lambda at: at == released,
        graphs=None,
        masks=SimpleNamespace(cells=[object()] * masks, begin_at=lambda first: None, draw=lambda: None),
        uses_queue=False,
        task=SimpleNamespace(train_batches=lambda samples, options, part: Batches(part.first, count, error)),
        samples=None,
        options=None,
    )
    job = SimpleNamespace(
        cfg=SimpleNamespace(per_batch_size=1, accumulation_steps=1),
        ranks=SimpleNamespace(rank=0, size=1),
        device=device,
        log=SimpleNamespace(info=print),
    )
    status = Status(done, 0.0, None)
    try:
        loop.train(job, prepared, status, [hook])  # type: ignore[arg-type]
    finally:
        assert hook.losses == [float(n) for n in range(done + 1, status.step + 1)]
    return hook


def test_a_cpu_acts_after_each_step():
    assert acted(run(EACH).step.notes) == list(range(1, 26))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 11, 21, 25]),  # the first step, and then each tenth
        ({"done": 4, "total": 9}, [5, 9]),
        ({"due": (4, 13)}, [1, 4, 13, 23, 25]),
        ({"per_epoch": 6, "total": 13}, [1, 6, 12, 13]),
        ({"ends_at": 11}, [1, 11]),
        (
            {"masks": True, "total": 4},
            [1, 2, 3, 4],
        ),  # the keys of dropouts are set by the host before each step
    ],
)
def test_others_act_where_something_is_due(options, expected):
    hook = run(AHEAD, **options)
    assert acted(hook.step.notes) == expected
    assert hook.losses == [float(n) for n in range(options.get("done", 0) + 1, expected[-1] + 1)]


@pytest.mark.parametrize(
    ("options", "word"), [({"resets": (3,)}, "reset"), ({"released": 3}, "release")], ids=["reset", "release"]
)
def test_what_the_host_changes_waits_for_the_steps_before(options, word):
    notes = run(AHEAD, total=6, **options).step.notes
    at = notes.index(word)
    assert notes[at - 1 : at + 2] == ["act 3", word, "begin 4"]


@pytest.mark.parametrize(
    ("error", "word", "raised"),
    [(ArrivalError("no image"), "lack", pytest.raises(ArrivalError)), (Signalled(), "signal", nullcontext())],
    ids=["lack", "signal"],
)
def test_what_was_begun_counts_when_images_do_not_come(error, word, raised):
    step = Step()
    with raised:
        run(AHEAD, step=step, error=error, images_for=7)
    assert step.notes[-2:] == ["act 7", f"{word} 7"]


AS_A_CARD = """
import dataclasses, sys
from mindlift.model_utils import devices
usual = devices.of
devices.of = lambda *words: dataclasses.replace(usual(*words), computes_by_itself=True)
from mindlift.training import loop
reads = []
loop.runs_ahead = lambda job, prepared, usual=loop.runs_ahead: reads.append(usual(job, prepared)) or reads[-1]
from mindlift.cli.train import main
code = main(sys.argv[1:])
assert reads and all(reads)
sys.exit(code)
"""


def test_a_training_is_the_same(tmp_path):
    """Lines of steps, checkpoints and evaluations of a program that reads late are those of one that reads each loss."""
    options = [*TINY, *"--max_steps 23 --log_interval 7 --ckpt_interval 9 --keep_checkpoint_max 9".split()]
    options += "--per_batch_size 4 --image_size 8 --enable_ema true --is_dynamic_loss_scale 1".split()
    places = ["--cache_path", str(tmp_path / "cache"), "--resume", "none", "--progress", "false"]
    for name, program in (("each", [str(ROOT / "train.py")]), ("late", ["-c", AS_A_CARD])):
        command = [sys.executable, *program, *map(str, options), *places, "--ckpt_path", str(tmp_path / name)]
        env = environment(PYTHONPATH=str(ROOT / "src"))
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (each,), (late,) = ([*(tmp_path / name).iterdir()] for name in ("each", "late"))
    assert steps_of(each) == steps_of(late)
    assert [step["step"] for step in steps_of(each)] == [7, 14, 21, 23]
    files = sorted(path.relative_to(each) for path in each.rglob("*.ckpt"))
    assert len(files) > 2
    assert files == sorted(path.relative_to(late) for path in late.rglob("*.ckpt"))
    for file in files:
        one, other = read(each / file), read(late / file)
        assert one.keys() == other.keys()
        assert all((one[name].asnumpy() == other[name].asnumpy()).all() for name in one)


def steps_of(run: Path) -> list[dict]:
    """What metrics.jsonl says of steps, without clocks."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    kept = ("epoch", "step", "loss", "lr", "updated", "loss_scale", "skipped")
    return [{name: line[name] for name in kept} for line in lines if "event" not in line]
