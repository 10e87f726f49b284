"""Files as trainings write them: what lies beside the weights, what is wrapped around them, and weights that are no numbers."""

from __future__ import annotations

import argparse
import collections
import datetime
import fractions
import pathlib
import pickle

import numpy as np
import pytest

from mindlift import models
from mindlift.errors import CheckpointError
from mindlift.models.weights import files, fit
from mindlift.models.weights.stored import Stored
from tests.support import torch_writer as write
from tests.support.weight_sources import SOURCES

ONE = np.arange(6, dtype=np.float32).reshape(2, 3)
TWO = ONE + 1
MAPS = models.weight_maps()


class Recipe(dict):
    """A class of somebody's own."""


def beside(value: object, protocol: int = 2) -> bytes:
    """The instructions that make `value`, with memo numbers that no other part uses."""
    return pickle.dumps(value, protocol)[2:-1]


BESIDE = {
    "argparse.Namespace": argparse.Namespace(lr=0.1, layers=[1, 2]),
    "a scalar of NumPy": np.float64(7.5),
    "an array of NumPy": np.arange(3),
    "a random state": np.random.RandomState(0).get_state(),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "Counter": collections.Counter("abc"),
    "deque": collections.deque([1, 2], 3),
    "set": {1, 2},
    "frozenset": frozenset([1]),
    "a path": pathlib.PurePosixPath("/data/x"),
    "a date": datetime.datetime(2024, 1, 2, 3, 4),
    "a duration": datetime.timedelta(1),
    "keys that are tuples": {(1, 2): 3, ((1,), "a"): 4},
    "keys that are objects": {datetime.date(2024, 1, 1): 1},
    "a complex number": 1 + 2j,
    "a fraction": fractions.Fraction(1, 3),
    "bytes": b"\x00\xff",
    "a class": collections.OrderedDict,
    "an own class": Recipe(a=1),
    "a slice": slice(1, 2),
}
BY_HAND = {
    "torch.device": write.name("torch", "device") + write.items(write.text("cuda")) + b"R",
    "torch.dtype": write.name("torch", "float32"),
    "a generator": write.name("torch", "Generator") + b")\x81" + write.mapping({"a": write.number(1)}) + b"b",
    "a function of somebody": write.name("my.code", "lr_lambda"),
    "numbers of an unknown type": write.tensor(ONE, "0", kind="ComplexFloatStorage"),
}


@pytest.mark.parametrize("form", [write.write_zip, write.write_legacy])
@pytest.mark.parametrize("case", [*BESIDE, *BY_HAND])
def test_what_lies_beside_the_weights_does_not_matter(tmp_path, case, form):
    body = beside(BESIDE[case]) if case in BESIDE else BY_HAND[case]
    whole = write.mapping({"args": body, "model": write.mapping({"a.w": write.tensor(ONE, "0")})})
    path = form(tmp_path / "x.pth", whole, {"0": ONE})
    if case == "numbers of an unknown type" and form is write.write_legacy:
        # its storages follow one another, so one whose size is not known hides those behind it
        with pytest.raises(CheckpointError, match="storage of torch.ComplexFloatStorage"):
            files.read(path)
        return
    stored = files.read(path)
    np.testing.assert_array_equal(stored.tensors["a.w"], ONE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_newer_pickles(tmp_path, protocol):
    content = beside({"args": [{1, 2}, frozenset([1]), b"x", "y" * 300, list(range(300))]}, protocol)
    with pytest.raises(CheckpointError, match="a dict of args and no dict of named tensors"):
        files.read(write.write_zip(tmp_path / "x.pth", content, {}))


REFUSED = {
    "a quantised tensor": (
        {"a.w": write.name("torch._utils", "_rebuild_qtensor") + write.items() + b"R"},
        "tensor a.w is made by torch._utils._rebuild_qtensor",
    ),
    "a tensor of an unknown type": (
        {"a.w": write.tensor(ONE, "0", kind="ComplexFloatStorage")},
        "tensor a.w has a storage of torch.ComplexFloatStorage",
    ),
    "a network": ({"model": write.name("my.code", "Net") + b")\x81"}, "no dict of named tensors"),
    "harm": ({"args": write.name("os", "system"), "model": write.mapping({})}, "os.system"),
    "harm by an old name": ({"args": write.name("__builtin__", "eval")}, "eval"),
}


@pytest.mark.parametrize(("entries", "says"), REFUSED.values(), ids=REFUSED)
def test_what_weights_depend_on_is_refused(tmp_path, entries, says):
    with pytest.raises(CheckpointError, match=says):
        files.read(write.write_zip(tmp_path / "x.pth", write.mapping(entries), {"0": ONE}))


STATE = write.mapping({"a.w": write.tensor(ONE, "0")})
OTHER = write.mapping({"a.w": write.tensor(TWO, "1")})
MORE = write.mapping({"a.w": write.tensor(ONE, "0"), "a.b": write.tensor(TWO, "1")})
STEP = write.tensor(TWO, "1")
WRAPPED = {
    "plain": (STATE, ()),
    "state_dict": (write.mapping({"state_dict": STATE}), ("taken from 'state_dict'",)),
    "model_state": (write.mapping({"model_state": STATE}), ("taken from 'model_state'",)),
    "ema alone": (write.mapping({"ema": STATE}), ("taken from 'ema'",)),
    "model before ema": (
        write.mapping({"ema": OTHER, "model": STATE}),
        ("taken from 'model', not from 'ema'",),
    ),
    "two deep": (
        write.mapping({"checkpoint": write.mapping({"model": STATE})}),
        ("taken from 'checkpoint'", "taken from 'model'"),
    ),
    "of any name": (write.mapping({"my_net": STATE, "step": STEP}), ("taken from 'my_net'",)),
    "the larger of two": (
        write.mapping({"aux": STATE, "big": MORE}),
        ("taken from 'big', not from 'aux'",),
    ),
    "not the optimiser": (
        write.mapping({"optimizer_state": MORE, "g": STATE}),
        ("taken from 'g'",),
    ),
}


@pytest.mark.parametrize(("body", "said"), WRAPPED.values(), ids=WRAPPED)
def test_which_of_several_states_is_taken(tmp_path, body, said):
    stored = files.read(write.write_zip(tmp_path / "x.pth", body, {"0": ONE, "1": TWO}))
    np.testing.assert_array_equal(stored.tensors["a.w"], ONE)
    assert stored.said == said


PREFIXED = {
    "": (),
    "module.": ("module.",),
    "_orig_mod.": ("_orig_mod.",),
    "_orig_mod.module.": ("_orig_mod.", "module."),
    "module.model.": ("module.", "model."),
    "model.": ("model.",),
    "net.": ("net.",),
    "backbone.": ("backbone.",),
    "my_encoder.trunk.": ("my_encoder.", "trunk."),
}


@pytest.mark.parametrize("source", ["torchvision resnet50", "torchvision densenet121"])
@pytest.mark.parametrize("prefix", PREFIXED)
def test_a_prefix_is_left_out_and_named(source, prefix):
    plain = SOURCES[source][0]
    tensors = {prefix + name: array for name, array in plain.tensors.items()}
    tensors["n_averaged"] = np.array(3)
    known = fit.identified(Stored("pytorch", tensors), (MAPS,))
    assert known.tensors.keys() == fit.recognised(plain, MAPS).tensors.keys()
    assert set(known.origins.values()) <= set(tensors)
    assert known.said == tuple(f"without the prefix '{word}'" for word in PREFIXED[prefix])


def test_a_backbone_beside_its_own_head():
    plain = SOURCES["torchvision resnet50"][0].tensors
    tensors = {name if name.startswith("fc.") else f"backbone.{name}": array for name, array in plain.items()}
    known = fit.identified(Stored("pytorch", tensors), (MAPS,))
    assert known.family == "resnet"
    assert "classifier.weight" in known.tensors


def test_names_that_nobody_knows():
    assert fit.identified(Stored("pytorch", {"a.b.c": ONE, "a.b.d": ONE}), (MAPS,)) is None


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (np.float32(np.nan), "NaN or infinity"),
        (np.float16(np.inf), "NaN or infinity"),
        (np.float64(-np.inf), "NaN or infinity"),
        (np.int8(3), "integers, not floating point numbers"),
    ],
)
def test_values_that_are_no_weights_are_refused_by_name(bad, what):
    known = fit.recognised(SOURCES["torchvision resnet50"][0], MAPS)
    odd = {
        name: np.full(known.shapes[name], bad) for name in ("classifier.bias", "stages.0.0.conv1.norm.gamma")
    }
    broken = fit.replace(known, tensors={**known.tensors, **odd})
    with pytest.raises(CheckpointError, match=rf"f: 2 tensors hold {what} \(fc.bias, layer1"):
        fit.check_values(fit.fitted(broken, known.shapes, (), "f"), known.origins, "f")
    headless = fit.fitted(broken, known.shapes, ("classifier.weight", "classifier.bias"), "f")
    with pytest.raises(CheckpointError, match=f"f: 1 tensor holds {what}"):
        fit.check_values(headless, known.origins, "f")
