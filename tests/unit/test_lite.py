"""What runs a model in infer_mindir: which runtime, what it is told, and what it says when it can't."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mindlift.cli import infer_mindir
from mindlift.errors import CheckpointError, ConfigError, DeviceError
from mindlift.inference import lite
from mindlift.runs.provenance import Model
from tests.support.programs import ROOT

DOUBLES = ROOT / "tests/doubles"
FACTS = {"input": {"shape": [1, 3, 4, 4], "layout": "NCHW"}, "versions": {"mindspore": "2.8.0"}}


@pytest.fixture
def package(monkeypatch):
    """The stand-in for mindspore_lite, as if it were installed."""
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.delitem(sys.modules, lite.PACKAGE, raising=False)
    yield importlib.import_module(lite.PACKAGE)
    sys.modules.pop(lite.PACKAGE, None)


@pytest.fixture
def model(tmp_path) -> Model:
    """A file that only says what it is; Lite can't build it."""
    (tmp_path / "net.mindir").write_bytes(b"no model")
    return Model(tmp_path / "net.mindir", FACTS)


@pytest.mark.parametrize(
    ("runtime", "device", "has_lite", "expected"),
    [
        ("auto", "Ascend", True, "lite"),
        ("auto", "CPU", True, "lite"),
        ("auto", "GPU", True, "mindspore"),
        ("auto", "Ascend", False, "mindspore"),
        ("lite", "CPU", True, "lite"),
        ("mindspore", "Ascend", True, "mindspore"),
    ],
)
def test_what_runs_the_model(runtime, device, has_lite, expected):
    assert infer_mindir.chosen(runtime, device, has_lite) == expected


def test_wishes_that_can_not_be_met():
    with pytest.raises(DeviceError, match=r"mindspore_lite is not installed; install the wheel .* https://"):
        infer_mindir.chosen("lite", "CPU", False)
    with pytest.raises(ConfigError, match="--runtime lite --device_type GPU"):
        infer_mindir.chosen("lite", "GPU", True)


@pytest.mark.parametrize(("device", "target", "number"), [("Ascend", "ascend", 3), ("CPU", "cpu", 0)])
def test_lite_is_told_the_device_and_its_number(package, monkeypatch, model, device, target, number):
    told = []
    monkeypatch.setattr(package.Model, "build_from_file", lambda _, *given: told.append(given))
    found = lite.LiteModel(model, device, 3, 2)
    ((path, kind, context),) = told
    assert (path, kind) == (str(model.path), package.ModelType.MINDIR)
    assert context.target == [target]
    assert (context.ascend.device_id, context.cpu.thread_num) == (number, 2)
    assert found.name.startswith("mindspore_lite")


def test_a_file_that_lite_can_not_build(package, model):
    with pytest.raises(
        CheckpointError, match=r"can't build .*net.mindir for Ascend device 1: .*MindSpore .*2\.8\.0"
    ):
        lite.LiteModel(model, "Ascend", 1, 2)


def test_a_failure_while_it_runs_is_one_line(package, monkeypatch, model):
    monkeypatch.setattr(package.Model, "build_from_file", lambda *_: None)
    monkeypatch.setattr(package.Model, "get_inputs", lambda _: [package.Tensor()])
    with pytest.raises(DeviceError, match="can't run the model on CPU: data size not equal"):
        lite.LiteModel(model, "CPU", 0, 1)(np.zeros((1, 3, 4, 4), np.float32))


def test_a_package_without_its_libraries_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "mindspore_lite.py").write_text("raise ImportError('libascendcl.so: cannot open')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, lite.PACKAGE, raising=False)
    with pytest.raises(DeviceError, match=r"can't import mindspore_lite: libascendcl.so.*CANN"):
        lite.imported()


def test_an_ascend_device_that_mindspore_can_not_use_may_be_a_310(monkeypatch, model):
    def refuse(*_: object) -> None:
        raise DeviceError("mindspore 2.8.0 can't use Ascend device 0: no such chip")

    monkeypatch.setattr(infer_mindir.device_adapter, "connect", refuse)
    ranks = infer_mindir.Ranks()
    with pytest.raises(DeviceError, match="no such chip; from 2.2 on MindSpore does not run on Ascend 310"):
        infer_mindir.start_mindspore(model, "Ascend", ranks)
    with pytest.raises(DeviceError, match="no such chip$"):
        infer_mindir.start_mindspore(model, "CPU", ranks)


def test_lite_needs_no_mindspore():
    """A machine with Ascend 310 need not have it, and two packages with a libmindspore_core.so had better not meet."""
    code = (
        "import sys\n"
        "from mindlift.inference import lite\n"
        "from mindlift.tasks.segmentation import results\n"
        "from mindlift.cli import infer_mindir\n"
        "assert 'mindspore' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_stand_in_is_strict(package):
    """Else it would let pass what the documentation does not allow."""
    context, tensor = package.Context(), package.Tensor()
    with pytest.raises(TypeError, match="target must be list"):
        context.target = "ascend"
    with pytest.raises(ValueError, match="target elements must be in"):
        context.target = ["npu"]
    with pytest.raises(TypeError, match="device_id must be int"):
        context.ascend.device_id = "0"
    with pytest.raises(AttributeError):
        context.device_id = 0
    with pytest.raises(TypeError, match="model_path must be str"):
        package.Model().build_from_file(Path("x"), package.ModelType.MINDIR, context)
    with pytest.raises(TypeError, match="model_type must be ModelType"):
        package.Model().build_from_file("x", "MINDIR", context)
    with pytest.raises(TypeError, match="numpy_obj must be ndarray"):
        tensor.set_data_from_numpy([1.0])
    tensor.shape = [2]
    with pytest.raises(RuntimeError, match="data type not equal"):
        tensor.set_data_from_numpy(np.zeros(2))
