"""The kernels for CPUs against the formulas of their papers, in NumPy and float64, and networks with and without them."""

import subprocess
import sys
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import mindspore.ops as ops
import numpy as np
import pytest

from mindlift import load_config
from mindlift.api.job import Job
from mindlift.errors import ConfigError
from mindlift.model_utils import compiler, cpu_kernels, device_adapter, devices
from mindlift.model_utils.compiler import NotCompiled
from mindlift.model_utils.local_adapter import LocalAdapter
from mindlift.model_utils.ranks import Ranks
from mindlift.models import layers
from mindlift.models.bit.cells import GroupNormReLU, RowNorm
from mindlift.models.cpu import cells
from mindlift.models.layers import ConvNorm
from mindlift.models.resnet.network import Bottleneck

EPS, SHARE, SHAPE = 1e-3, 0.25, (3, 5, 7, 6)  # numbers that no loop divides evenly
BLOCK = {"eps": EPS, "momentum": 0.9, "init": "normal", "pad": "sym"}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return str(cpu_kernels.library(tmp_path_factory.mktemp("kernels"), (2, 8)))


class Gradients(nn.Cell):
    """Outputs of `cell`, and the gradients of sum(outputs * weights) by the inputs and by its parameters."""

    def __init__(self, cell, weights):
        super().__init__(auto_prefix=False)
        self.cell, self.weights = cell, ms.Tensor(weights, ms.float32)
        self.both = ops.GradOperation(get_all=True, get_by_list=True, sens_param=True)
        self.parameters = ms.ParameterTuple(cell.trainable_params())

    def construct(self, *inputs):
        return self.both(self.cell, self.parameters)(*inputs, self.weights)


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) * 2 + 0.5 for shape in shapes]


def tensors(*values):
    return [ms.Tensor(value, ms.float32) for value in values]


def normed(x, axes, eps):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axes, keepdims=True) + eps)


def gradient_of_normed(dy, x, axes, eps):
    """Ioffe and Szegedy, Batch Normalization (2015), section 3, put together: by x."""
    unit = normed(x, axes, eps)
    centred = dy - dy.mean(axes, keepdims=True) - unit * (dy * unit).mean(axes, keepdims=True)
    return centred / np.sqrt(x.var(axes, keepdims=True) + eps)


def as_channels(value):
    return value.reshape(1, -1, 1, 1)


def batch_norm(library, kind):
    norm = nn.BatchNorm2d(SHAPE[1], eps=EPS, momentum=1 - SHARE)
    made = cells.Kernels(library)
    return made.norm_add_relu(norm) if kind == "add" else made.norm(norm, relu=kind == "relu")


@pytest.mark.parametrize("kind", ["plain", "relu", "add"])
def test_batch_norm_is_that_of_its_paper(library, kind):
    x, other, dy, gamma, beta = arrays(SHAPE, SHAPE, SHAPE, SHAPE[1], SHAPE[1])
    cell = batch_norm(library, kind).set_train()
    cell.gamma.set_data(ms.Tensor(gamma, ms.float32))
    cell.beta.set_data(ms.Tensor(beta, ms.float32))
    inputs = tensors(*([x, other] if kind == "add" else [x]))
    y = normed(x, (0, 2, 3), EPS) * as_channels(gamma) + as_channels(beta) + (other if kind == "add" else 0)
    is_open = np.ones(SHAPE, bool) if kind == "plain" else y > 0
    by_inputs, (by_gamma, by_beta) = Gradients(cell, dy)(*inputs)
    passed = dy * is_open
    expected = [gradient_of_normed(passed * as_channels(gamma), x, (0, 2, 3), EPS), passed]
    for found, wanted in zip(by_inputs, expected):
        np.testing.assert_allclose(found.asnumpy(), wanted, atol=2e-5)
    unit = normed(x, (0, 2, 3), EPS)
    np.testing.assert_allclose(by_gamma.asnumpy(), (passed * unit).sum((0, 2, 3)), rtol=2e-5)
    np.testing.assert_allclose(by_beta.asnumpy(), passed.sum((0, 2, 3)), rtol=2e-5)
    np.testing.assert_allclose(cell.moving_mean.asnumpy(), SHARE * x.mean((0, 2, 3)), rtol=1e-5)
    unbiased = (1 - SHARE) + SHARE * x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(cell.moving_variance.asnumpy(), unbiased, rtol=1e-5)
    np.testing.assert_allclose(cell(*inputs).asnumpy(), y * is_open, atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "relu", "add"])
def test_what_is_no_number_is_not_made_one(library, kind):
    """As numpy.maximum documents it; MindSpore's own ReLU makes 0 of NaN on a CPU, and the loss would look fine."""
    x, other = arrays(SHAPE, SHAPE)
    x[1, 2, 3, 4] = np.nan
    inputs = tensors(*([x, other] if kind == "add" else [x]))
    y = batch_norm(library, kind).set_train()(*inputs).asnumpy()
    assert np.isnan(y[:, 2]).all()
    assert np.isfinite(np.delete(y, 2, 1)).all()


@pytest.mark.parametrize("kind", ["plain", "relu", "add"])
def test_in_evaluation_and_while_frozen_the_moving_statistics_count(library, kind):
    x, other, mean = arrays(SHAPE, SHAPE, SHAPE[1])
    cell = batch_norm(library, kind)
    cell.moving_mean.set_data(ms.Tensor(mean, ms.float32))
    inputs = tensors(*([x, other] if kind == "add" else [x]))
    y = (x - as_channels(mean)) / np.sqrt(1 + EPS) + (other if kind == "add" else 0)
    y = y if kind == "plain" else np.maximum(y, 0)
    np.testing.assert_allclose(cell.set_train(False)(*inputs).asnumpy(), y, atol=1e-5)
    cell.use_batch_statistics = False
    np.testing.assert_allclose(cell.set_train()(*inputs).asnumpy(), y, atol=1e-5)
    np.testing.assert_allclose(cell.moving_mean.asnumpy(), mean, rtol=1e-6)


def test_group_norm_with_relu_is_that_of_its_paper(library):
    """Wu and He, Group Normalization (2018), equations 1, 2, 6 and 7."""
    shape = (2, 64, 5, 3)
    x, dy, gamma, beta = arrays(shape, shape, 64, 64, seed=1)
    cell = GroupNormReLU(64, on_cpu=True)
    cell.fuse(cells.Kernels(library))
    cell.gamma.set_data(ms.Tensor(gamma, ms.float32))
    cell.beta.set_data(ms.Tensor(beta, ms.float32))
    groups = x.reshape(2, 32, -1)
    unit = normed(groups, 2, 1e-5).reshape(shape)
    y = unit * as_channels(gamma) + as_channels(beta)
    passed = dy * (y > 0)
    by_inputs, (by_gamma, by_beta) = Gradients(cell, dy)(*tensors(x))
    wanted = gradient_of_normed((passed * as_channels(gamma)).reshape(groups.shape), groups, 2, 1e-5)
    np.testing.assert_allclose(by_inputs[0].asnumpy(), wanted.reshape(shape), atol=5e-5)
    np.testing.assert_allclose(by_gamma.asnumpy(), (passed * unit).sum((0, 2, 3)), atol=5e-5)
    np.testing.assert_allclose(by_beta.asnumpy(), passed.sum((0, 2, 3)), atol=5e-5)
    np.testing.assert_allclose(cell(*tensors(x)).asnumpy(), np.maximum(y, 0), atol=1e-5)


@pytest.mark.parametrize("eps", [1e-10, 1e-3])
def test_rows_are_standardised(library, eps):
    """Qiao et al., Micro-Batch Training with Batch-Channel Normalization (2019), equation 1, without a gain."""
    x, dy = arrays((6, 37), (6, 37), seed=2)
    cell = RowNorm(eps, on_cpu=True)
    cell.fuse(cells.Kernels(library))
    by_inputs, _ = Gradients(cell, dy)(*tensors(x))
    np.testing.assert_allclose(by_inputs[0].asnumpy(), gradient_of_normed(dy, x, 1, eps), atol=1e-5)
    np.testing.assert_allclose(cell(*tensors(x)).asnumpy(), normed(x, 1, eps), atol=1e-5)


def block():
    ms.set_seed(5)
    return nn.SequentialCell(ConvNorm(3, 8, 3, 2, **BLOCK), Bottleneck(8, 4, 1, BLOCK)).set_train()


def test_a_block_has_the_same_function_names_and_gradients_with_and_without_them(library):
    plain, fused = block(), block()
    cells.apply(fused, library)
    assert fused[1].is_fused
    assert list(fused.parameters_dict()) == list(plain.parameters_dict())
    ms.load_param_into_net(fused, plain.parameters_dict())
    (x,), (dy,) = arrays((2, 3, 8, 8)), arrays((2, 16, 4, 4), seed=3)
    (found, by_weights), (wanted, of_plain) = (Gradients(net, dy)(*tensors(x)) for net in (fused, plain))
    np.testing.assert_allclose(found[0].asnumpy(), wanted[0].asnumpy(), atol=1e-4)
    for mine, theirs in zip(by_weights, of_plain):
        np.testing.assert_allclose(mine.asnumpy(), theirs.asnumpy(), atol=2e-4)
    for name, parameter in plain.parameters_dict().items():
        moved = fused.parameters_dict()[name].asnumpy()
        np.testing.assert_allclose(moved, parameter.asnumpy(), atol=1e-5, err_msg=name)


def test_a_folded_block_has_the_function_of_the_one_that_was_trained(library):
    source, folded = block().set_train(False), block()
    (x,), statistics = arrays((2, 3, 8, 8)), arrays(*[p.shape for p in source.get_parameters()], seed=7)
    for parameter, values in zip(source.get_parameters(), statistics):
        parameter.set_data(ms.Tensor(np.abs(values) + 0.1, ms.float32))
    layers.fold(folded)
    cells.apply(folded, library)
    layers.refill(folded, source)
    assert folded[1].is_fused
    found, wanted = folded.set_train(False)(*tensors(x)).asnumpy(), source(*tensors(x)).asnumpy()
    if found.ndim == 5:  # in blocks of channels
        found = found.transpose(0, 1, 4, 2, 3).reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_they_compute_the_same_bits_with_any_number_of_threads(library, tmp_path):
    (x,) = arrays((4, 6, 9, 5))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    script = tmp_path / "norm.py"
    script.write_text(
        "import sys, mindspore as ms, mindspore.nn as nn, numpy as np\n"
        "from mindlift.models.cpu import cells\n"
        "cell = cells.Kernels(sys.argv[1]).norm(nn.BatchNorm2d(6), relu=True).set_train()\n"
        "ms.set_context(mode=ms.GRAPH_MODE)\n"
        "np.save(sys.argv[2], cell(ms.Tensor(np.load('x.npy'))).asnumpy())\n"
    )
    found = []
    for threads in ("1", "2"):
        env = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, str(script), library, f"{threads}.npy"]
        subprocess.run(command, cwd=tmp_path, env=env, check=True)
        found.append((tmp_path / f"{threads}.npy").read_bytes())
    assert found[0] == found[1]


def test_processes_that_compile_at_once_find_one_whole_library(tmp_path):
    code = (
        "import sys; from pathlib import Path; from mindlift.model_utils import cpu_kernels;"
        "print(cpu_kernels.library(Path(sys.argv[1]), (2, 8)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=120)[0].strip() for process in running}
    assert said == {str(path) for path in tmp_path.iterdir()}
    assert len(said) == 1


def test_without_a_compiler_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotCompiled, match="there is no C\\+\\+ compiler here"):
        cpu_kernels.library(tmp_path, (2, 8))


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ('echo "fatal error: no omp.h" >&2; exit 1', "ended with code 1: fatal error: no omp.h;"),
        ("exit 4", "ended with code 4: no reason given;"),
    ],
)
def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch, does, said):
    """Its command, which people can try, its exit code, and what else would do."""
    compiler = tmp_path / "cxx"
    compiler.write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ {does}; }}\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(NotCompiled, match=f"{compiler} {said}.* apt install g") as caught:
        cpu_kernels.library(tmp_path / "kernels", (2, 8))
    assert "CXX" in str(caught.value)
    assert not list((tmp_path / "kernels").iterdir())


@pytest.mark.parametrize("size", [0, 10, 2000, -1])
def test_a_library_that_was_cut_is_compiled_again(library, tmp_path, size):
    """Of 2,000 bytes it still looks like a library: a process that loads it dies of a bus error (dlopen maps what is not there)."""
    cut = tmp_path / Path(library).name
    cut.write_bytes(Path(library).read_bytes()[:size])
    assert cpu_kernels.library(tmp_path, (2, 8)) == cut
    assert cut.stat().st_size == Path(library).stat().st_size


def test_what_is_no_library_does_not_load(tmp_path):
    (tmp_path / "kernels.so").write_bytes(b"no library")
    with pytest.raises(NotCompiled, match="does not load"):
        cpu_kernels.check(tmp_path / "kernels.so")


def test_a_compiler_that_is_named_is_the_one(tmp_path, monkeypatch):
    """With its arguments, as make and CMake read CXX; another one is not taken in its place."""
    monkeypatch.setenv("CXX", "env LANG=C g++ -g0")
    assert compiler.compiler()[1:] == ["LANG=C", "g++", "-g0"]
    assert cpu_kernels.library(tmp_path, (2, 8)).is_file()
    monkeypatch.setenv("CXX", "/no/such/compiler -m64")
    with pytest.raises(NotCompiled, match=r"no C\+\+ compiler here \(/no/such/compiler\); install g"):
        cpu_kernels.library(tmp_path, (2, 8))


def test_other_versions_of_mindspore_are_left_alone(tmp_path):
    with pytest.raises(NotCompiled, match=r"MindSpore 2\.7 and 2\.8 only"):
        cpu_kernels.library(tmp_path, (2, 10))


@pytest.mark.parametrize("wanted", [False, True])
def test_a_job_has_the_kernels_of_its_own_options(tmp_path, monkeypatch, wanted):
    """Whatever other jobs of the process were given, and networks without a job have none."""
    cfg = load_config(net="densenet22", dataset="digits", cpu_kernels=wanted, cache_path=str(tmp_path))
    adapter = LocalAdapter("", "", str(tmp_path), None, lambda url: [])
    monkeypatch.setattr(
        device_adapter, "connect", lambda *_: None
    )  # which sets graph mode for all other tests
    device = Job(cfg, Ranks(), "CPU", 1, adapter, trains=True).connect()
    assert bool(device.kernels) == wanted
    assert devices.current().kernels == ""


def test_they_compute_in_float32_on_cpus_only():
    assert cpu_kernels.serve("auto", devices.of("CPU"), is_wanted=False)
    assert not cpu_kernels.serve("O2", devices.of("CPU"), is_wanted=False)
    assert not cpu_kernels.serve("auto", devices.of("Ascend"), is_wanted=False)
    with pytest.raises(ConfigError, match="--cpu_kernels true: they compute in float32 on CPU"):
        cpu_kernels.serve("O2", devices.of("CPU"), is_wanted=True)
