"""Which gradients are reduced together."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest
from mindspore.nn.wrap import grad_reducer

from mindlift import models
from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.model_utils import collectives
from mindlift.model_utils.config import config
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.momentum import sgd_momentum

MIB = 1 << 20


@pytest.mark.parametrize(
    ("mebibytes", "groups"),
    [
        ([], []),
        ([0.5], [0]),
        ([100], [0]),
        ([0.2, 0.5, 0.2], [0, 0, 0]),
        ([1, 0.2, 0.5], [0, 0, 0]),  # too little for a second
        ([1, 1], [0, 1]),
        ([0.5, 0.5, 10, 10], [0, 0, 1, 1]),  # the first is full with 1 MiB
        ([8, *[8] * 8], [0, *[1] * 4, *[2] * 4]),  # 64 MiB are two times 32
        ([1, *[10] * 10], [0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]),  # 100 MiB are three times 33
        ([1, 100, 1, 1], [0, 1, 2, 2]),  # groups that a large gradient leaves empty do not count
        ([1, 1, 1, 100], [0, 1, 1, 2]),
    ],
)
def test_groups_by_size(mebibytes: list[float], groups: list[int]) -> None:
    assert collectives.groups_by_size([int(size * MIB) for size in mebibytes]) == groups


def test_any_sizes_give_groups_in_order() -> None:
    """Each gradient has one group, groups are runs of gradients, and no number is left out."""
    random = np.random.default_rng(1)
    for _ in range(300):
        sizes = (10 ** random.uniform(1, 8.3, random.integers(1, 60))).astype(int).tolist()
        groups = collectives.groups_by_size(sizes)
        assert len(groups) == len(sizes)
        assert groups == sorted(groups)
        assert sorted(set(groups)) == list(range(groups[-1] + 1))
        loads = np.bincount(groups, sizes)
        if len(loads) > 1:
            assert MIB <= loads[0] < MIB + max(sizes)
            assert loads[1:].max() <= 1.5 * 32 * MIB + max(sizes)


@pytest.mark.parametrize("ends", [(85, 160), (0,), (3, 4, 5), (160,), (0, 1, 159)])
def test_the_users_numbers_count_as_mindspores_do(ends: tuple[int, ...]) -> None:
    """Against the function that reads all_reduce_fusion_config (mindspore/nn/wrap/grad_reducer.py)."""
    theirs = [op.fusion for op in grad_reducer._init_allreduce_operators(161, ends)]
    assert collectives.groups_by_end(ends, 161) == [fusion - theirs[0] for fusion in theirs]


@pytest.mark.parametrize("ends", [(85, 161), (160, 85), (85, 85)])
def test_numbers_of_gradients_that_there_are_not(ends: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"--all_reduce_fusion .* has 161 \(0 to 160\)"):
        collectives.groups_by_end(ends, 161)


def resnet50() -> nn.Cell:
    options = config.read_schema(ROOT / config.DEFAULTS).options.values()
    return models.build("resnet50", 1001, {option.name: option.default for option in options}, on_cpu=True)


def reduced_together(network: nn.Cell) -> tuple[list[list[str]], nn.DistributedGradReducer]:
    """Names of the parameters by the `fusion` of the reducer's operators, as a step of two ranks has them."""
    optimizer = sgd_momentum(Plan(network.trainable_params(), np.full(1, 0.1, np.float32), 1e-4), 0.9)
    names = [parameter.name for parameter in optimizer.parameters]
    assert names != [parameter.name for parameter in network.trainable_params()], "sorted by decay"
    reducer = nn.DistributedGradReducer(optimizer.parameters, True, 2)
    together: dict[int, list[str]] = {}
    for name, op in zip(names, reducer.op_list):
        together.setdefault(op.fusion, []).append(name)
    return [together[fusion] for fusion in sorted(together)], reducer


def test_the_reducer_has_the_users_groups_in_the_networks_order() -> None:
    """85,160 are the model zoo's numbers for ResNet-50 (official/cv/ResNet, train.py); 160 is its last gradient."""
    network = resnet50()
    names = [parameter.name for parameter in network.trainable_params()]
    assert len(names) == 161
    collectives.fuse_all_reduces(network.trainable_params(), (85, 160), by_size=False)
    together, _ = reduced_together(network)
    assert [set(group) for group in together] == [set(names[:86]), set(names[86:])]


def test_the_reducer_has_groups_by_size_from_the_last_layer_on() -> None:
    network = resnet50()
    backward = network.trainable_params()[::-1]
    collectives.fuse_all_reduces(network.trainable_params(), None, by_size=True)
    together, _ = reduced_together(network)
    assert sorted(name for group in together for name in group) == sorted(p.name for p in backward)
    assert set(together[0]) == {parameter.name for parameter in backward[:2]}, "the classifier: 8 MiB"
    assert len(together) == 4, "94 MiB of float32 in three groups"
    place = {parameter.name: i for i, parameter in enumerate(backward)}
    assert [
        max(map(place.get, group)) < min(map(place.get, after))
        for group, after in zip(together, together[1:])
    ] == [True] * 3
    mebibytes = [sum(4 * backward[place[name]].size for name in group) / MIB for group in together]
    assert all(20 < size < 45 for size in mebibytes[1:])


@pytest.mark.parametrize("by_size", [True, False])
def test_one_group_is_one_operator(by_size: bool) -> None:
    """Where `comm_fusion` is the same for all, MindSpore takes one operator for all, with a fusion of 1."""
    network = nn.SequentialCell(nn.Dense(4, 4), nn.Dense(4, 4))
    collectives.fuse_all_reduces(network.trainable_params(), None, by_size)
    together, reducer = reduced_together(network)
    assert together == []
    assert reducer.allreduce.fusion == 1
    assert [parameter.comm_fusion for parameter in network.trainable_params()] == [1024 if by_size else 1] * 4


def test_without_a_wish_nothing_is_set() -> None:
    weight = ms.Parameter(np.zeros(1 << 20, np.float32))
    collectives.fuse_all_reduces([weight, weight], None, by_size=False)
    assert weight.comm_fusion == 1


TRAINING = """
import dataclasses, json, sys
from mindlift.cli import train
from mindlift.model_utils import collectives, devices
from mindlift.training import step

collectives.FIRST_GROUP_BYTES, collectives.GROUP_BYTES = 1 << 10, 1 << 14
facts = dataclasses.replace(devices.of("CPU"), fuses_all_reduces=sys.argv[1] == "fuses")
devices.current = lambda: facts
made = step.TrainStep.__init__

def noted(self, objective, *others, **named):
    made(self, objective, *others, **named)
    print("FUSION", json.dumps([parameter.comm_fusion for parameter in objective.trainable_params()]))
    sys.exit()

step.TrainStep.__init__ = noted
train.main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("device", "option", "groups"),
    [
        ("fuses", [], "several"),
        ("does not", [], [65]),
        ("does not", ["--all_reduce_fusion", "9,63"], [10, 54, 1]),
    ],
)
def test_trainings_group_gradients(tmp_path: Path, device: str, option: list[str], groups: object) -> None:
    """By size on devices that say so, and everywhere as the user says: densenet22 has 65 gradients."""
    options = ["--net", "densenet22", "--dataset", "digits", "--ckpt_path", str(tmp_path)]
    command = [sys.executable, "-c", TRAINING, device, *options, *option]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FUSION")] or [done.stderr]
    fusions = json.loads(line.partition(" ")[2])
    runs = [len(list(run)) for _, run in itertools.groupby(fusions)]
    assert sum(runs) == 65
    if groups == "several":
        assert len(runs) > 2
        assert fusions == sorted(fusions, reverse=True), "the last layer's gradient comes first"
    else:
        assert runs == groups
