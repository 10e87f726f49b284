"""Runs a program of the project on a CPU in the form that it has on an Ascend:

    python -m tests.support.ascend_form CHIP PROGRAM [--option value ...]

CHIP is MindSpore's name of it, such as ascend910 or ascend910b. What a CPU can't do has a stand-in: the queue of the
device ("Unsupported op [InitDataSetQueue] on CPU") ends on the host, and the float status never reports an overflow.
All else - forms of the networks, precision, operators, order of events - is what a card would run.
"""

from __future__ import annotations

import dataclasses
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def choose_device(target: str, *_: object) -> str:
    return "Ascend" if target == "auto" else target


def connected(cell: Any, handover: Any) -> tuple[Callable[[], Any], Callable[[], None]]:
    """The stand-in of sink.connected: the transfer pipeline is the real one, and its end is on the host."""
    from mindlift.training import sink

    iterator = sink.transfer(handover).create_tuple_iterator(num_epochs=1)
    return (lambda: cell(*next(iterator))), iterator.stop


def install(chip: str) -> None:
    """Make this process take its CPU for the Ascend `chip`."""
    import mindspore.ops as ops
    from mindspore.ops.operations import math_ops

    from mindlift.model_utils import device_adapter, devices
    from mindlift.training import sink

    set_context = device_adapter._set_context
    device_adapter.choose_device = choose_device
    device_adapter._set_context = lambda _, *rest: set_context("CPU", 0, *rest[1:])
    facts = dataclasses.replace(devices.of(devices.ASCEND, chip), precision_mode="")  # which a CPU refuses
    devices.current = lambda: facts
    sink.connected = connected
    math_ops.NPUClearFloatStatusV2 = math_ops.NPUGetFloatStatusV2 = lambda: ops.Identity()


def main(arguments: list[str]) -> None:
    chip, program, *sys.argv[1:] = arguments
    sys.argv[0] = str(ROOT / program)
    sys.path.insert(0, str(ROOT))
    install(chip)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
