"""Networks of other packages in whole programs: trained, continued, evaluated, exported, used and reported."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.programs import Finished, run_program, run_ranks
from tests.support.weights import assert_same, weights

# in a module of a user's, in the folder where the programs are started
MODULE = '''
import mindspore.nn as nn
import mindspore.ops as ops


class Small(nn.Cell):
    """Norms, dropout, and a head that is not called classifier."""

    def __init__(self, num_classes, drop_rate=0.3):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(p=drop_rate)
        self.head = nn.Dense(8, num_classes)

    def construct(self, x):
        x = ops.relu(self.norm(self.conv(x)))
        return self.head(self.drop(ops.mean(x, (2, 3))))
'''
NET = ["--net", "of_user:Small", "--image_size", 8, "--per_batch_size", 20, "--run_eval", "false"]
MINDCV = pytest.mark.skipif(
    importlib.util.find_spec("mindcv") is None, reason="mindcv is not installed (pip install mindcv)"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    (folder / "of_user.py").write_text(MODULE)
    return folder


def train(home: Path, data: Path, output: Path, *more: object) -> Finished:
    done = run_program("train.py", *NET, "--data_dir", data, "--ckpt_path", output, *more, cwd=home)
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def trained(home: Path, few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two epochs of ten steps, a checkpoint at every fourth."""
    output = tmp_path_factory.mktemp("trained")
    return train(home, few_digits, output, "--max_epoch", 2, "--ckpt_interval", 4)


@pytest.mark.heavy
def test_it_continues_bit_identically_with_its_dropout(home, trained, few_digits, tmp_path):
    middle = Path(trained.result["run"]) / "checkpoints" / "of_user_Small-1_8.ckpt"
    done = train(home, few_digits, tmp_path, "--max_epoch", 2, "--resume", middle)
    assert_same(trained.result["checkpoint"], done.result["checkpoint"])


@pytest.mark.heavy
def test_two_ranks_drop_what_one_does(home, few_digits, tmp_path):
    """The norms' statistics are each rank's own, so without one batch of both there is nothing to compare but the
    dropout: its rows are the images, and so the weights of a network that has frozen norms.
    """
    module = MODULE.replace("nn.BatchNorm2d(8)", "nn.BatchNorm2d(8, use_batch_statistics=False)")
    (home / "frozen.py").write_text(module)
    words = ["--net", "frozen:Small", "--image_size", 8, "--run_eval", "false", "--data_dir", few_digits]
    found = []
    for ranks, batch in ((1, 20), (2, 10)):
        output = tmp_path / str(ranks)
        command = [*words, "--per_batch_size", batch, "--max_epoch", 1, "--ckpt_path", output]
        if ranks == 1:
            done = run_program("train.py", *command, cwd=home)
        else:
            done = run_ranks(2, "train.py", *command, PYTHONPATH=str(home))
        assert done.code == 0, done.err
        found.append(weights(next(output.glob("*/checkpoints/*.ckpt"))))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], rtol=2e-4, atol=2e-6, err_msg=name)


@pytest.mark.heavy
def test_it_is_evaluated_predicted_exported_and_reported(home, trained, few_digits, tmp_path):
    run = Path(trained.result["run"])
    done = run_program("eval.py", "--pretrained", run, cwd=home)
    assert done.code == 0, done.err
    assert done.result["net"] == "of_user:Small"
    assert done.result["total"] == 83
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(picture)
    done = run_program(
        "predict.py", "--pretrained", run, picture, "--output_json", tmp_path / "p.json", cwd=home
    )
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "p.json").read_text())
    done = run_program("export.py", "--pretrained", run, cwd=home)
    assert done.code == 0, done.err
    assert "compared with the network on a random batch" in done.out
    model = home / "of_user_Small.mindir"
    assert model.is_file()
    elsewhere = run_program(
        "predict.py", "--model_file", model, picture, "--output_json", tmp_path / "q.json", cwd=tmp_path
    )
    assert elsewhere.code == 0, f"the module is not there, and not needed: {elsewhere.err}"
    others = json.loads((tmp_path / "q.json").read_text())
    first, second = (each["images"][0]["classes"][0] for each in (scores, others))
    assert first["name"] == second["name"]
    assert first["probability"] == pytest.approx(second["probability"], abs=1e-4)


@pytest.mark.parametrize("program", ["train.py", "eval.py", "export.py", "predict.py"])
def test_a_package_that_is_not_installed_is_one_line(program, tmp_path):
    (tmp_path / "any.ckpt").write_bytes(b"")
    more = [] if program == "train.py" else ["--pretrained", tmp_path / "any.ckpt"]
    more += [tmp_path / "any.ckpt"] if program == "predict.py" else []
    done = run_program(program, "--net", "no_such_package.nets:small", *more, cwd=tmp_path)
    assert done.code == 2
    assert "there is no module no_such_package; run: pip install no_such_package" in done.error


FAMILY = '''
"""A family of another distribution: the example of docs/adding.md in small."""

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
from mindspore.common.initializer import HeNormal

from mindlift.models.layers import ConvNorm

VARIANTS = {"elsewhere8": 8}


def build(variant, num_classes, on_cpu, *, bn_momentum):
    return Elsewhere(VARIANTS[variant], num_classes)


def least_side(variant):
    return 4


class Elsewhere(nn.Cell):
    def __init__(self, width, num_classes):
        super().__init__()
        self.conv = ConvNorm(3, width, 3, 2, eps=1e-5, momentum=0.9, init=HeNormal())
        self.classifier = nn.Dense(width, num_classes)

    def construct(self, x):
        return self.classifier(ops.mean(self.conv(x).astype(ms.float32), (2, 3))).astype(ms.float32)
'''
MAP = """
from mindlift.models.weights.layouts import OURS, Layout

NETWORK = {}


def layout_of(shapes):
    return Layout(OURS) if set(shapes) >= {"conv.conv.weight", "classifier.weight"} else None


def variant_of(shapes, variants):
    return next(iter(variants))
"""
RECIPE = """
net: elsewhere8
dataset: digits
image_size: 8,8
per_batch_size: 20
max_epoch: 1
lr_scheduler: cosine_annealing
run_eval: true
"""


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """A folder as pip leaves it: a package and what it announces."""
    info = tmp_path / "elsewhere_nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mindlift.families]\nelsewhere = elsewhere_nets.elsewhere\n")
    family = tmp_path / "elsewhere_nets/elsewhere"
    (family / "recipes").mkdir(parents=True)
    (tmp_path / "elsewhere_nets/__init__.py").touch()
    (family / "__init__.py").touch()
    (family / "network.py").write_text(FAMILY)
    (family / "weights.py").write_text(MAP)
    (family / "recipes/elsewhere8_digits.yaml").write_text(RECIPE)
    return tmp_path


@pytest.mark.heavy
def test_a_family_of_another_distribution_is_found_by_its_entry_point(distribution, few_digits, tmp_path):
    place = {"PYTHONPATH": str(distribution)}
    output = tmp_path / "output"
    words = ["--net", "elsewhere8", "--data_dir", few_digits, "--ckpt_path", output]
    done = run_program("train.py", *words, **place)
    assert done.code == 0, done.err
    assert done.result["total"] == 83
    again = run_program("eval.py", "--pretrained", done.result["run"], **place)
    assert again.code == 0, again.err
    assert again.result["top1"] == done.result["top1"]
    unknown = run_program("train.py", "--net", "elsewhere9", **place)
    assert "did you mean 'elsewhere8'?" in unknown.error


def test_an_entry_point_without_its_package_is_one_line(distribution):
    for file in distribution.glob("elsewhere_nets/elsewhere/*.py"):
        file.unlink()
    done = run_program("train.py", "--net", "elsewhere8", PYTHONPATH=str(distribution))
    assert done.code == 2
    assert (
        "the family 'elsewhere' (entry point of mindlift.families) is elsewhere_nets.elsewhere" in done.error
    )


@MINDCV
@pytest.mark.heavy
def test_a_network_of_mindcv_from_training_to_export(few_digits, tmp_path):
    """With dropout, which continues bit-identically; weights have mindcv's names, so that both read them."""
    words = ["--net", "mindcv:mobilenet_v3_small_075", "--data_dir", few_digits, "--per_batch_size", 20]
    words += ["--max_steps", 4, "--run_eval", "true"]
    one = run_program("train.py", *words, "--ckpt_path", tmp_path / "one", "--ckpt_interval", 2, cwd=tmp_path)
    assert one.code == 0, one.err
    middle = Path(one.result["run"]) / "checkpoints" / "mindcv_mobilenet_v3_small_075-1_2.ckpt"
    two = run_program("train.py", *words, "--ckpt_path", tmp_path / "two", "--resume", middle, cwd=tmp_path)
    assert two.code == 0, two.err
    assert_same(one.result["checkpoint"], two.result["checkpoint"])
    evaluated = run_program("eval.py", "--pretrained", one.result["run"], cwd=tmp_path)
    assert evaluated.result["top1"] == one.result["top1"]
    exported = run_program("export.py", "--pretrained", one.result["run"], cwd=tmp_path)
    assert exported.code == 0, exported.err
    assert "compared with the network on a random batch" in exported.out
    assert (tmp_path / "mindcv_mobilenet_v3_small_075.mindir").is_file()


@MINDCV
def test_a_network_that_mindcv_has_not_is_one_line(tmp_path):
    done = run_program("train.py", "--net", "mindcv:resnet19", cwd=tmp_path)
    assert done.code == 2
    assert "mindcv has no network 'resnet19'; it has " in done.error
    assert "resnet18" in done.error
