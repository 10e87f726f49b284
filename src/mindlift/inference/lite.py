"""An exported model run by MindSpore Lite, which needs no mindspore and runs on Ascend 310.

The names are those of Lite's documentation of Python, https://mindspore.cn/lite/api/en/r2.8.0/mindspore_lite/ with
mindspore_lite.Context.html, and https://www.mindspore.cn/lite/api/en/r2.10.0/_modules/mindspore_lite/model.html; they are
in 2.0.0 as well.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from mindlift.backports import package_version
from mindlift.errors import CheckpointError, DeviceError
from mindlift.model_utils import devices
from mindlift.runs.provenance import Model

PACKAGE = "mindspore_lite"
DOWNLOADS = "https://www.mindspore.cn/lite/docs/en/r2.10.0/use/downloads.html"
INSTALL = f"install the wheel of {PACKAGE} for your MindSpore and Python from {DOWNLOADS}"


def is_installed() -> bool:
    """Without importing it."""
    return importlib.util.find_spec(PACKAGE) is not None


def imported() -> Any:
    """The package; DeviceError if it is not here or a library that it needs is missing."""
    try:
        import mindspore_lite
    except ImportError as err:
        raise DeviceError(
            f"can't import {PACKAGE}: {err}; {INSTALL}, and CANN if it is to use an Ascend device"
        ) from err
    return mindspore_lite


def version() -> str:
    """Of the installed package; '' if its metadata doesn't say."""
    return package_version("mindspore-lite")


class LiteModel:
    """A MINDIR file as a function of images (N, 3, H, W) float32, on a device that has a `lite_target`.

    CheckpointError if Lite can't build the file, DeviceError if it can't run it.
    """

    def __init__(self, model: Model, device: str, device_id: int, threads: int):
        lite, facts = imported(), devices.of(device)
        self.name = f"{PACKAGE} {version()}".rstrip()
        self.place = f"{device} device {device_id}" if facts.has_number else device
        self.is_channels_last = model.layout == "NHWC"
        self.model = lite.Model()
        try:
            context = lite.Context()
            context.target = [facts.lite_target]
            context.cpu.thread_num = threads
            if facts.has_number:
                getattr(context, facts.lite_target).device_id = device_id
            self.model.build_from_file(str(model.path), lite.ModelType.MINDIR, context)
        except RuntimeError as err:
            raise CheckpointError(
                f"{self.name} can't build {model.path} for {self.place}: {_first_line(err)}; its log above says why: a"
                f" Lite older than the MindSpore that exported ({_exporter(model)}) can't read the file, and not every"
                " Lite has every operator"
            ) from err

    def __call__(self, images: np.ndarray) -> np.ndarray:
        pixels = images.transpose(0, 2, 3, 1) if self.is_channels_last else images
        inputs = self.model.get_inputs()
        try:
            inputs[0].set_data_from_numpy(np.ascontiguousarray(pixels))
            return self.model.predict(inputs)[0].get_data_to_numpy()
        except RuntimeError as err:
            raise DeviceError(
                f"{self.name} can't run the model on {self.place}: {_first_line(err)}; its log above says why"
            ) from err


def _exporter(model: Model) -> str:
    return str(model.facts.get("versions", {}).get("mindspore", "of unknown version"))


def _first_line(err: Exception) -> str:
    return next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)
