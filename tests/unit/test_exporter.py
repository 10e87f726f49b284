"""What export.py writes, and that it compares before it does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest

from mindlift import models
from mindlift.errors import CheckpointError, ExportError, StorageError
from mindlift.inference import export as exporter
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.models import layers
from mindlift.models.densenet.network import ImageNetStem, NarrowingConv
from mindlift.tasks import network as build

BASE = ["--net", "densenet22", "--dataset", "digits"]


def options(*argv) -> config.Config:
    return config.load([*BASE, *(str(word) for word in argv)], prog="export.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "net.ckpt"
    ms.save_checkpoint(
        build.network(options("--ckpt_file", "x").replace(seed=3), devices.of(devices.CPU)), str(path)
    )
    return path


def test_a_model_and_its_side_file(weights, tmp_path, capsys):
    cfg = options("--ckpt_file", weights, "--file_name", tmp_path / "net", "--batch_size", 2)
    path = exporter.run(cfg, weights, list("abcdefghij"))
    assert path == tmp_path / "net.mindir"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "net.mindir",
        "net.mindir.json",
    ], "no .part left"
    assert "largest difference" in capsys.readouterr().out
    facts = json.loads((tmp_path / "net.mindir.json").read_text())
    assert facts["input"]["shape"] == [2, 3, 8, 8]
    assert facts["class_names"] == list("abcdefghij")
    assert facts["preprocessing"]["mean"] == [127.5] * 3
    assert facts["options"]["net"] == "densenet22"
    assert "data_dir" not in facts["options"]
    network = build.network(cfg, devices.of(devices.CPU))
    build.load_pretrained(cfg, network, weights)
    images = np.random.default_rng(5).normal(size=(2, 3, 8, 8)).astype(np.float32)
    expected = network.set_train(False)(ms.Tensor(images)).asnumpy()
    np.testing.assert_allclose(exporter.mindir_outputs(path, images), expected, rtol=1e-5, atol=1e-6)


def test_the_exported_network_is_the_one_for_all_devices(weights):
    cells = [cell for _, cell in exporter.loaded(options("--ckpt_file", weights), weights).cells_and_names()]
    assert not [cell for cell in cells if isinstance(cell, NarrowingConv)]


def test_a_mindir_has_no_pool_that_lite_does_not_know(tmp_path):
    """MindSpore Lite 2.0.0 on a CPU builds no MaxPool3DWithArgmax, which a max-pool that pads is to MindSpore."""
    network = ImageNetStem(4, "sym", on_cpu=False).set_train(False)
    images = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    expected = network(ms.Tensor(images)).asnumpy()
    exporter.write(network, images, tmp_path / "net.mindir", "MINDIR")
    assert b"MaxPool3D" not in (tmp_path / "net.mindir").read_bytes()
    np.testing.assert_array_equal(exporter.mindir_outputs(tmp_path / "net.mindir", images), expected)


def changed_weight(network: ms.nn.Cell) -> None:
    network.classifier.bias.set_data(network.classifier.bias + 0.01)


def no_number(network: ms.nn.Cell) -> None:
    network.classifier.bias.set_data(network.classifier.bias * float("nan"))


@pytest.mark.parametrize("corrupt", [changed_weight, no_number])
def test_a_file_that_computes_something_else_is_refused(weights, tmp_path, monkeypatch, corrupt):
    real = exporter.write

    def corrupting(network, *rest):
        corrupt(network)
        return real(network, *rest)

    monkeypatch.setattr(exporter, "write", corrupting)
    (tmp_path / "net.mindir").write_bytes(b"an older one")
    with pytest.raises(ExportError, match="does not compute what the network does"):
        exporter.run(options("--ckpt_file", weights, "--file_name", tmp_path / "net"), weights, [])
    assert [path.name for path in tmp_path.iterdir()] == ["net.mindir"]
    assert (tmp_path / "net.mindir").read_bytes() == b"an older one"


def test_differences_are_relative_to_the_largest_output():
    assert exporter.relative(np.array([10.0, 1.0]), np.array([10.0, 1.1])) == pytest.approx(0.01)
    assert np.isnan(exporter.relative(np.zeros((1, 2)), np.zeros((1, 3))))
    assert np.isnan(exporter.relative(np.array([1.0]), np.array([np.nan])))


def test_the_files_name(tmp_path):
    assert exporter.target_of(options("--ckpt_file", "x")) == Path("densenet22.mindir")
    assert exporter.target_of(options("--ckpt_file", "x", "--file_name", "a/b.v2")) == Path("a/b.v2.mindir")
    assert exporter.target_of(options("--ckpt_file", "x", "--file_name", "b.mindir")) == Path("b.mindir")
    assert exporter.target_of(options("--ckpt_file", "x", "--file_format", "ONNX")) == Path("densenet22.onnx")


def test_weights_of_another_network_are_refused_with_what_was_tried(weights):
    with pytest.raises(CheckpointError, match=r"does not fit this network: .*--num_classes 7"):
        exporter.loaded(options("--ckpt_file", weights, "--num_classes", 7), weights)


def test_the_batch_of_a_model():
    """One unless asked for."""
    assert exporter.batch_size(options("--ckpt_file", "x")) == 1
    assert exporter.batch_size(options("--ckpt_file", "x", "--batch_size", 64)) == 64
    assert exporter.batch_size(options("--ckpt_file", "x", "--batch_size_export", 3)) == 3


# --- the form for ONNX


class Uneven(ms.nn.Cell):
    """Convolutions as in an InceptionV4: 1x7, 7x1 and 1x1."""

    def __init__(self):
        super().__init__()
        block = {"eps": 1e-3, "momentum": 0.9, "init": "normal"}
        self.wide = layers.ConvNorm(3, 4, (1, 7), **block)
        self.high = layers.ConvNorm(4, 4, (7, 1), **block)
        self.point = layers.ConvNorm(4, 4, 1, **block)

    def construct(self, x):
        return self.point(self.high(self.wide(x)))


@pytest.mark.parametrize(
    "cell", [lambda: ImageNetStem(4, "sym", False), lambda: ImageNetStem(4, "same", False), Uneven]
)
def test_the_form_for_onnx_computes_the_same(cell, tmp_path):
    network = cell().set_train(False)
    images = ms.Tensor(np.random.default_rng(0).normal(size=(2, 3, 33, 24)), ms.float32)
    before, names = network(images).asnumpy(), sorted(network.parameters_dict())
    layers.for_onnx(network)
    after = network.set_train(False)(images).asnumpy()
    assert np.abs(before).max() > 0.1 or before.std() > 0
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    assert sorted(network.parameters_dict()) == names
    ms.export(network, images, file_name=str(tmp_path / "net"), file_format="ONNX")
    found = exporter.onnx_outputs(tmp_path / "net.onnx", images.asnumpy())
    assert found is None or exporter.relative(before, found) < exporter.TOLERANCE["ONNX"]


class Large(ms.nn.Cell):
    """A network that says it has so many bytes of weights."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def get_parameters(self, expand: bool = True):
        return iter([SimpleNamespace(nbytes=self.size)])


def test_weights_beyond_what_a_file_holds_are_refused_before_anything_is_written(tmp_path):
    exporter.check_size(Large(1_530_000_000), "MINDIR")
    with pytest.raises(
        ExportError, match="3,750,000,000 bytes, and a file of the format ONNX holds less than 2,147"
    ):
        exporter.write(Large(3_750_000_000), np.zeros(1), tmp_path / "x.onnx", "ONNX")
    assert not list(tmp_path.iterdir())


def test_a_large_model_stays_one_file(weights, tmp_path, monkeypatch):
    """As MindSpore would split it, if its limit were not moved: without that there is no net.mindir."""
    monkeypatch.setattr(exporter.serialization, "TOTAL_SAVE", 1)
    cfg = options("--ckpt_file", weights, "--file_name", tmp_path / "net")
    exporter.run(cfg, weights, [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.mindir", "net.mindir.json"]
    assert exporter.serialization.TOTAL_SAVE == 1


VARIANTS = sorted(name for module in models.families().values() for name in module.VARIANTS)


@pytest.mark.heavy
@pytest.mark.parametrize("file_format", ["MINDIR", "ONNX"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_can_be_exported(name, file_format, tmp_path):
    defaults = {option: config.load([]).default(option) for option in config.load([]).to_dict()}
    network = models.build(name, 10, defaults).set_train(False)
    side = max(32, models.family_of(name).least_side(name))
    images = np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32)
    expected = network(ms.Tensor(images)).asnumpy()
    if sum(parameter.nbytes for parameter in network.get_parameters()) > exporter.MOST_BYTES:
        with pytest.raises(ExportError, match="a file of the format"):
            exporter.write(network, images, tmp_path / "net", file_format)
        return
    path = exporter.write(network, images, tmp_path / f"net{exporter.SUFFIX[file_format]}", file_format)
    exporter.compared(path, file_format, images, expected)


def test_onnx_is_compared_where_onnxruntime_is(weights, tmp_path, capsys):
    cfg = options("--ckpt_file", weights, "--file_name", tmp_path / "net", "--file_format", "ONNX")
    exporter.run(cfg, weights, [])
    said = capsys.readouterr().out
    has_runtime = exporter.importlib.util.find_spec("onnxruntime") is not None
    assert ("largest difference" if has_runtime else "not compared: onnxruntime is not installed") in said
    facts = json.loads((tmp_path / "net.onnx.json").read_text())
    assert (facts["largest_difference"] is not None) == has_runtime


def test_what_mindspore_can_not_export_is_one_line(weights, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("\nCan not find key X in convert map.\nmore")

    monkeypatch.setattr(ms, "export", refuse)
    with pytest.raises(ExportError, match=r"can't export to ONNX: Can not find key X in convert map\.$"):
        exporter.write(ms.nn.ReLU(), np.zeros((1, 2), np.float32), tmp_path / "x.onnx", "ONNX")


def test_a_full_disk_leaves_nothing(weights, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter.os, "chmod", full)
    with pytest.raises(StorageError, match="No space left"):
        exporter.run(options("--ckpt_file", weights, "--file_name", tmp_path / "net"), weights, [])
    assert not list(tmp_path.iterdir())
