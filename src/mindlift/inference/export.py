"""Writes a network with its weights as one file, after comparing that file with the network."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import mindspore as ms
import mindspore.nn as nn
import numpy as np
from mindspore.train import serialization

from mindlift import models
from mindlift.errors import CheckpointError, ExportError
from mindlift.files import atomic_path, write_atomic
from mindlift.language import localized
from mindlift.model_utils import devices
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.frozen import Config
from mindlift.models import layers
from mindlift.runs import checkpoint, provenance
from mindlift.runs.manifest import file_sha256
from mindlift.runs.provenance import side_file_of
from mindlift.tasks import base as task
from mindlift.tasks import network as build

SEED = 0
PLAIN = re.compile(r"[0-9a-zA-Z@_.:/\\-]+")
TOLERANCE = {
    "MINDIR": 1e-5,
    "ONNX": 1e-4,
}  # the largest difference of outputs, relative to the largest output
MOST_BYTES = 2**31 - 2**20  # what a protobuf message may hold, less some room for the graph
SUFFIX = {"MINDIR": ".mindir", "ONNX": ".onnx", "AIR": ".air"}
NOT_COMPARED = {
    "AIR": "not compared: MindSpore can't read AIR back",
    "ONNX": "not compared: onnxruntime is not installed (pip install onnxruntime)",
}


def run(cfg: Config, weights: Path, class_names: list[str]) -> Path:
    """Export the network of `cfg` with these weights; returns the file. A side file of facts is put beside it.

    Raises CheckpointError for weights that don't fit, ExportError for a network that the format can't hold or a file
    that computes something else, StorageError. Nothing is left then, and an older file stays.
    """
    kind = task.of(cfg)
    cfg = cfg.replace(image_size=kind.input_size(cfg), eval_image_size=None)
    network, shape = loaded(cfg, weights), input_shape(cfg)
    images = np.random.default_rng(SEED).normal(size=shape).astype(np.float32)
    expected = network(ms.Tensor(images)).asnumpy()
    target = target_of(cfg)
    with atomic_path(target) as part:
        written = write(network, images, part, cfg.file_format)
        difference = compared(written, cfg.file_format, images, expected, cfg.allow_nan)
        print(localized(verdict(cfg.file_format, difference, expected)))
        facts = describe(cfg, weights, written, difference, class_names)
    write_atomic(side_file_of(target), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    print(localized(f"exported {target} ({target.stat().st_size:,} bytes) and {side_file_of(target)}"))
    return target


def batch_size(cfg: Config) -> int:
    """Of the model: 1 unless the user wants another one. A recipe's is meant for training."""
    if cfg.batch_size_export:
        return cfg.batch_size_export
    return cfg.per_batch_size if cfg.origin("per_batch_size") == COMMAND_LINE else 1


def input_shape(cfg: Config) -> tuple[int, ...]:
    """Of the model: (N, 3, H, W), or (N, H, W, 3)."""
    rest = (*cfg.image_size, 3) if cfg.input_format == "NHWC" else (3, *cfg.image_size)
    return (batch_size(cfg), *rest)


class ChannelsLast(nn.Cell):
    """The network for images (N, H, W, 3)."""

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, images):
        return self.network(images.transpose(0, 3, 1, 2))


def loaded(cfg: Config, weights: Path) -> nn.Cell:
    """The network in the form that evaluates, with norms inside the convolutions and weights standardised."""
    cfg = cfg.of_finished_weights()
    device = devices.of(devices.ANY)
    source = build.network(cfg, device)
    load(cfg, source, weights)
    network = build.inference_network(cfg, source, device)
    layers.refill(network, source)
    return (ChannelsLast(network) if cfg.input_format == "NHWC" else network).set_train(False)


def load(cfg: Config, network: nn.Cell, weights: Path) -> None:
    """As for an evaluation, with a hint for weights of another network or data set."""
    try:
        which = build.load_pretrained(cfg, network, weights)
    except CheckpointError as err:
        if "does not fit" not in str(err):
            raise
        raise CheckpointError(
            f"{err}; this was --net {cfg.net} --dataset {cfg.dataset} --num_classes {cfg.num_classes}"
        ) from err
    if which:
        print(localized(which))


def target_of(cfg: Config) -> Path:
    suffix = SUFFIX[cfg.file_format]
    name = cfg.file_name or models.file_name(cfg.net)
    return Path(name if name.endswith(suffix) else name + suffix)


def write(network: nn.Cell, images: np.ndarray, path: Path, file_format: str) -> Path:
    """Export to `path`; ExportError if MindSpore can't."""
    check_size(network, file_format)
    if file_format == "ONNX":
        layers.for_onnx(network)
    try:
        with plain_path(path) as file, checkpoint.no_log(), in_one_file():
            ms.export(
                network, ms.Tensor(images), file_name=str(file.with_suffix("")), file_format=file_format
            )
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as err:
        raise ExportError(
            f"mindspore {ms.__version__} can't export to {file_format}: {first_line(err)}"
        ) from err
    return path


@contextlib.contextmanager
def plain_path(path: Path) -> Generator[Path, None, None]:
    """`path`, or a file that becomes it: MindSpore writes to no path with a blank or a letter that is not English."""
    if PLAIN.fullmatch(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(
        prefix="mindlift-", dir=None if PLAIN.fullmatch(tempfile.gettempdir()) else "/tmp"
    ) as folder:
        file = Path(folder) / f"model{path.suffix}"
        yield file
        shutil.copyfile(file, path)


def check_size(network: nn.Cell, file_format: str) -> None:
    size = sum(parameter.nbytes for parameter in network.get_parameters())
    if size > MOST_BYTES:
        raise ExportError(
            f"the weights take {size:,} bytes, and a file of the format {file_format} holds less than {2**31:,};"
            " predict.py and eval.py take the checkpoint as it is"
        )


@contextlib.contextmanager
def in_one_file() -> Generator[None, None, None]:
    """MindSpore splits a MINDIR from 1 GiB on into a graph and files of weights; one holds twice that."""
    usual = serialization.TOTAL_SAVE
    serialization.TOTAL_SAVE = MOST_BYTES // 1024
    try:
        yield
    finally:
        serialization.TOTAL_SAVE = usual


def first_line(err: Exception) -> str:
    return next((line for line in str(err).splitlines() if line.strip()), type(err).__name__)


def mindir_outputs(path: Path, images: np.ndarray) -> np.ndarray:
    return nn.GraphCell(ms.load(str(path)))(ms.Tensor(images)).asnumpy()


class Exported:
    """A MINDIR file as a function of images (N, 3, H, W); CheckpointError if this mindspore can't read it."""

    def __init__(self, model: provenance.Model):
        try:
            self.cell = nn.GraphCell(ms.load(str(model.path)))
        except (RuntimeError, ValueError) as err:
            raise CheckpointError(
                f"mindspore {ms.__version__} can't load {model.path}: {first_line(err)}; export again"
            ) from err
        self.is_channels_last = model.layout == "NHWC"

    def __call__(self, images: ms.Tensor) -> ms.Tensor:
        return self.cell(images.transpose(0, 2, 3, 1) if self.is_channels_last else images)


def onnx_outputs(path: Path, images: np.ndarray) -> np.ndarray | None:
    """None where there is no onnxruntime."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: images})[0]
    except Exception as err:  # its errors have no class in common
        raise ExportError(
            f"onnxruntime {onnxruntime.__version__} can't run the exported ONNX: {first_line(err)}; nothing is written"
        ) from err


READ_BACK: dict[str, Callable[[Path, np.ndarray], np.ndarray | None]] = {
    "MINDIR": mindir_outputs,
    "ONNX": onnx_outputs,
}


def compared(
    path: Path, file_format: str, images: np.ndarray, expected: np.ndarray, allow_nan: bool = False
) -> float | None:
    """The largest difference of the file's outputs relative to the largest output; None if it can't be known here.

    ExportError if it is above what the format is allowed, or the outputs are no numbers, which may be allowed.
    """
    if allow_nan and not np.isfinite(expected).all():
        return None
    is_proof = says_something(expected)
    found = READ_BACK[file_format](path, images) if file_format in READ_BACK else None
    if found is None:
        return None
    difference = relative(expected, found)
    if not difference <= TOLERANCE[file_format]:
        raise ExportError(
            f"the exported {file_format} does not compute what the network does: the largest difference is"
            f" {difference:.3g} of the largest output, and {TOLERANCE[file_format]:g} is allowed; nothing is written"
        )
    return difference if is_proof else None


def says_something(expected: np.ndarray) -> bool:
    """Whether a comparison with these outputs proves something. ExportError for outputs that are no numbers."""
    if not np.isfinite(expected).all():
        raise ExportError("the network's outputs on a random batch are not finite; nothing is written")
    return bool(expected.any())


def relative(expected: np.ndarray, found: np.ndarray) -> float:
    """Not a number if one of the outputs is none or the shapes differ."""
    if expected.shape != found.shape:
        return float("nan")
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def verdict(file_format: str, difference: float | None, expected: np.ndarray) -> str:
    if not np.isfinite(expected).all():
        return (
            "warning: not verified: the network's outputs on a random batch are not finite (--allow_nan true)"
        )
    if not expected.any():
        return (
            "warning: not verified: all outputs of the network on a random batch are zero, as those of a classifier that"
            " was never trained"
        )
    if difference is None:
        return NOT_COMPARED[file_format]
    return f"compared with the network on a random batch: largest difference {difference:.3g} of the largest output"


def describe(
    cfg: Config,
    weights: Path,
    written: Path,
    difference: float | None,
    class_names: list[str],
) -> dict[str, object]:
    """What somebody needs who has only this file, as JSON."""
    shape = input_shape(cfg)
    return {
        "net": cfg.net,
        "num_classes": cfg.num_classes,
        "format": cfg.file_format,
        "sha256": file_sha256(written),
        "input": {"shape": list(shape), "type": "float32", "layout": cfg.input_format, "channels": "RGB"},
        **task.of(cfg).describe(cfg, shape[0]),
        "largest_difference": difference,
        "checkpoint": {"file": weights.name, "sha256": file_sha256(weights)},
        "versions": {"mindspore": ms.__version__, "python": platform.python_version()},
        "options": {name: value for name, value in cfg.to_dict().items() if cfg.option(name).weights},
        "class_names": class_names,
    }
