"""What differs by the device that a program computes on: the one list, which docs/architecture.md explains.

Everything else asks `current()` (or `of(name)` before MindSpore is imported) for a fact and names no device. What a
device is called and how it is started is in device_adapter.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mindlift.errors import ConfigError

CPU, GPU, ASCEND = "CPU", "GPU", "Ascend"
TARGETS = (ASCEND, GPU, CPU)
ANY = "any"  # a network in the form that every device has operators for, in float32: of exported models
ATLAS_910A = "ascend910"  # MindSpore's name of the first generation (mindspore/amp.py, _ascend_910a_target)
INF_NAN_CHIPS = ("ascend910b", "ascend910_93")  # infinities stay infinities unless the user wants saturation
OVERFLOW_MODE = "MS_ASCEND_CHECK_OVERFLOW_MODE"
# In seconds. Ranks compile the first step for minutes each and not equally long, and rank 0 alone saves checkpoints.
# CONNECT is what ModelArts' launcher sets (HCCL's own 120 s is too short; 120 - 7200). EXEC is about twice HCCL's own
# 1836 s; CANN rounds it down to a multiple of 68 on Atlas training cards, which 3604 is (CANN, HCCL_EXEC_TIMEOUT).
HCCL_TIMEOUTS = (("HCCL_CONNECT_TIMEOUT", "1800"), ("HCCL_EXEC_TIMEOUT", "3604"))
# The eight cards of an Atlas 910A server are two rings of four. Fewer than all eight must be of one ring
# (mindspore-ai/models, utils/hccl_tools/hccl_tools.py); later servers have no such rule.
RING, RING_SERVER = 4, 8
RINGED = "Atlas 910A"


@dataclass(frozen=True)
class Device:
    """Facts about one kind of device. `chip` is MindSpore's name of an Ascend's SoC, '' where it is not known."""

    target: str
    chip: str = ""
    amp_level: str = "O0"  # what --amp_level auto means
    has_number: bool = False  # several of them in a machine, told apart by --device_id
    has_queue: bool = False  # data sets can be sent to a queue of the device (sink mode)
    computes_by_itself: bool = False  # a step may return before it is computed: reading its loss waits
    has_cpu_kernels: bool = False  # networks take the form that is fast with MindSpore's kernels for CPUs
    kernels: str = ""  # the library of this project's own kernels (models/cpu), '' for none
    saturates: bool = False  # an overflow gives the largest number and a NaN 0, and sets the float status
    normalises: bool = False  # training images travel as uint8 (N, H, W, 3) and are normalised in the graph
    has_bfloat16: bool = False  # as far as the name of the chip is known
    precision_mode: str = ""  # of float32 operators: MindSpore's word, '' where there is no such setting
    peer_timeouts: tuple[tuple[str, str], ...] = ()  # variables that say how long ranks wait for each other
    fuses_all_reduces: bool = False
    has_rings: bool = False  # not every set of cards of a server can be joined, see RING
    writes_air: bool = False
    lite_target: str = ""  # MindSpore Lite's name of it, '' where Lite is not used here
    meets_by_node_id: bool = False  # ranks find each other by MS_NODE_ID and a scheduler, not by a rank table
    includes_310: bool = False  # Ascend 310s have this name, too, which MindSpore has left to Lite

    def kernels_at(self, amp_level: str) -> str:
        """The library for what is computed at this precision, '' for none: its kernels take float32 alone."""
        return self.kernels if (self.amp_level if amp_level == "auto" else amp_level) == "O0" else ""


def of(target: str, chip: str = "", env: Mapping[str, str] = os.environ) -> Device:
    """The facts of a device by MindSpore's names of it.

    Which chips saturate is MindSpore's own rule (mindspore/amp.py, `_all_finite`). `precision_mode` is the default of
    MindSpore's Chinese documents (2.5 and master, device_context.ascend.op_precision.precision_mode); it is set because
    the English ones and `set_context` say force_fp16 for the first generation, which takes vector operators down, too.
    """
    if target == CPU:
        return Device(CPU, has_cpu_kernels=True, lite_target="cpu", meets_by_node_id=True)
    if target == GPU:
        return Device(GPU, has_number=True, computes_by_itself=True)
    if target == ANY:
        return Device(ANY)
    keeps_infinities = chip in INF_NAN_CHIPS and env.get(OVERFLOW_MODE) != "SATURATION_MODE"
    return Device(
        ASCEND,
        chip,
        amp_level="O3",
        has_number=True,
        has_queue=True,
        computes_by_itself=True,
        saturates=not keeps_infinities,
        normalises=True,
        has_bfloat16=chip in ("", *INF_NAN_CHIPS),
        precision_mode="must_keep_origin_dtype" if chip in INF_NAN_CHIPS else "allow_fp32_to_fp16",
        peer_timeouts=HCCL_TIMEOUTS,
        fuses_all_reduces=True,
        has_rings=chip in (ATLAS_910A, ""),
        writes_air=True,
        lite_target="ascend",
        includes_310=True,
    )


def check_sink(wanted: bool | None, device: Device) -> None:
    """ConfigError where sink mode is wanted and the device has no queue."""
    if wanted and not device.has_queue:
        raise ConfigError(
            f"--dataset_sink_mode true needs {ASCEND}, but this job runs on {device.target}; leave it out"
        )


def check_precision(dtype: str, level: str, device: Device, trains: bool) -> None:
    """ConfigError for bfloat16 where the device has no operators for it, and for a training where nothing would use it.

    MindSpore's documents (r2.3 to 2.5, "bfloat16 Datatype Support Status"): only Ascend has operators, and of these the
    first generation has none (mint.nn.functional.batch_norm and others: "not supported on Atlas training series").
    """
    is_float32 = (device.amp_level if level == "auto" else level) == "O0"
    if dtype != "bfloat16" or (is_float32 and not trains):
        return
    if not device.has_bfloat16:
        where = f"{device.target} {device.chip}".strip()
        raise ConfigError(
            f"--amp_dtype bfloat16 needs an Ascend 910B or later, but this job runs on {where}; pass --amp_dtype float16"
        )
    if is_float32:
        raise ConfigError(
            "--amp_dtype bfloat16 has no effect with --amp_level O0; leave it out, or pass O1, O2 or O3"
        )


def current() -> Device:
    """The device that MindSpore's context is set to, as it is without kernels of this project."""
    import mindspore as ms

    target = ms.get_context("device_target")
    return of(target, chip_name() if target == ASCEND else "")


def chip_name() -> str:
    """MindSpore's name of the Ascend SoC; '' where this version can't tell."""
    from mindspore._c_expression import MSContext

    context = MSContext.get_instance()
    return context.get_ascend_soc_version() if hasattr(context, "get_ascend_soc_version") else ""
