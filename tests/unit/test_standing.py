"""What follows from evaluations, table by table."""

from __future__ import annotations

import numpy as np
import pytest

from mindlift.models.weights import fit
from mindlift.models.weights.stored import Stored
from mindlift.runs.checkpoint import MONITOR
from mindlift.training.optimizers import formula
from mindlift.training.standing import KeptStanding, Plateau, Rules, Standing, after, lowered

NAN = float("nan")


def history(values, rules: Rules) -> list[Standing]:
    found = [Standing()]
    for step, value in enumerate(values, 1):
        found.append(after(found[-1], 10 * step, value, rules))
    return found[1:]


@pytest.mark.parametrize(
    ("values", "rules", "waited", "best_step"),
    [
        ([50, 60, 55, 60, 61], Rules(), [0, 0, 1, 2, 0], 50),
        ([0.5, 0.4, 0.6, 0.4], Rules(sign=-1), [0, 0, 1, 2], 20),
        ([50, 50.5, 51.5, 51.6], Rules(delta=1.0), [0, 1, 0, 1], 30),
        ([NAN, 40, NAN], Rules(), [1, 0, 1], 20),
        ([0.0, -1.0], Rules(sign=-1), [0, 0], 20),
    ],
)
def test_the_best_and_how_many_came_since(values, rules, waited, best_step):
    """Keras's EarlyStopping: a wait of `patience` ends the training."""
    found = history(values, rules)
    assert [each.waited for each in found] == waited
    assert (found[-1].best_step, found[-1].step) == (best_step, 10 * len(values))


def reduce_on_plateau(values, mode: str, patience: int, gamma: float, threshold: float) -> list[float]:
    """torch.optim.lr_scheduler.ReduceLROnPlateau (threshold_mode "abs", cooldown 0), as its documentation words it."""
    sign, best, bad, factor, found = (1 if mode == "max" else -1), None, 0, 1.0, []
    for value in values:
        if best is None or sign * (value - best) > threshold:
            best, bad = value, 0
        else:
            bad += 1
        if bad > patience:
            factor, bad = factor * gamma, 0
        found.append(factor)
    return found


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("patience", [0, 1, 3])
def test_the_plateau_is_pytorchs(mode, patience):
    values = np.round(np.random.default_rng(5).normal(size=60).cumsum(), 3).astype(np.float32).tolist()
    rules = Rules(1 if mode == "max" else -1, 0.25, Plateau(patience, 0.5))
    found = [each.factor for each in history(values, rules)]
    assert found == reduce_on_plateau(values, mode, patience, 0.5, 0.25)
    assert len(set(found)) > 3


def test_lowered_rates_stop_at_the_floor_and_leave_the_warmup_below_it():
    planned = np.array([0.001, 0.1, 0.4], np.float32)
    np.testing.assert_allclose(lowered(planned, 0.25, 0.05), [0.001, 0.05, 0.1], rtol=1e-6)
    np.testing.assert_array_equal(lowered(planned, 1.0, 0.05), planned)


def test_it_is_kept_as_it_is():
    kept, rules = KeptStanding(), Rules(-1, 0.0, Plateau(0, 0.1))
    assert kept.read() == Standing()
    for step, value in enumerate((0.31, 0.37, 0.33), 1):
        kept.write(after(kept.read(), step, value, rules))
    straight = history((0.31, 0.37, 0.33), rules)[-1]
    found = kept.read()
    assert (found.best, found.factor) == (straight.best, straight.factor) != (0.31, 0.01)
    assert (found.step, found.best_step, found.waited, found.level) == (3, 1, 2, 0)


def test_what_a_training_keeps_beside_its_weights_is_no_weight_of_a_network():
    """Else nothing but a training could read its checkpoints."""
    names = [each.name for each in KeptStanding().parameters]
    assert all(name.startswith(MONITOR) for name in names)
    names += [f"{prefix}stem.weight" for prefix in formula.STARTS]
    tensors = {name: np.zeros(1) for name in [*names, formula.UPDATES, "stem.weight"]}
    assert fit.plain_names(Stored("mindspore", tensors)) == {"stem.weight": "stem.weight"}
