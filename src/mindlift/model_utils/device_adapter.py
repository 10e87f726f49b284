"""Where does this process run: ranks, device, threads, and the connection to its peers.

Importing this module neither imports mindspore nor does any work. Order in a program:
`read_ranks` -> `check_ranks` -> `choose_device` -> `prepare_environment` (before mindspore is imported)
-> `connect` -> `agree` where rank 0 decides for all.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Generator, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType

from mindlift.errors import DeviceError, MindLiftError, PeerError, RankError
from mindlift.files import private_folder
from mindlift.language import localized
from mindlift.model_utils import devices, mindspore_build
from mindlift.model_utils.ranks import Ranks, check_ranks, in_cloud_job, read_ranks

__all__ = [
    "Ranks",
    "agree",
    "check_ranks",
    "choose_device",
    "connect",
    "cpus_per_rank",
    "in_cloud_job",
    "leave",
    "naming_lost_peers",
    "part",
    "prepare_environment",
    "read_ranks",
    "serve_scheduler",
]

LAUNCHER = "MINDLIFT_LAUNCHER"  # of the ranks of the launch scripts and of rehearsals: their number, a colon, an empty folder
TOPOLOGY_TIMEOUT = "MS_TOPO_TIMEOUT"  # seconds that ranks look for their scheduler and each other
JOIN_S = 300.0
# What a rank hears of a peer that has ended: from the sum, or from the cluster's heartbeat.
LOST_PEER = re.compile(r"Launch kernel failed: \S*AllReduce|state of the cluster is error")
JOINED: list[Ranks] = []  # what this process is a rank of, once all have met
LEAVING_S = 60.0
PARTING_S = 10.0  # of the 15 s that platforms give to a job that they stop
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SLOW_ONEDNN_FROM = (2, 9)  # ships oneDNN 3.10: reference convolutions on AVX-512 CPUs, 30-80 times too slow


def prepare_environment(
    ranks: Ranks,
    env: MutableMapping[str, str] | None = None,
    cpu_flags: frozenset[str] | None = None,
    mindspore_version: str | None = None,
    threads: int | None = None,
    target: str = devices.CPU,
    join_timeout: float | None = None,
) -> None:
    """Set what mindspore reads once, at import. Call it before the first `import mindspore`.

    `target` is the device that `connect` will be called with. Ranks that meet through a scheduler wait `join_timeout`
    seconds for each other; None: as long as the launcher says, else JOIN_S. Values that the user has set stay, unless `threads`
    says otherwise. In msrun's scheduler process this
    call does not return: it serves the cluster until the job ends (see `serve_scheduler`).
    """
    env = os.environ if env is None else env
    if "ONEDNN_MAX_CPU_ISA" not in env:
        version = mindspore_build.installed_version() if mindspore_version is None else mindspore_version
        flags = _cpu_flags() if cpu_flags is None else cpu_flags
        if mindspore_build.numbers(version) >= _SLOW_ONEDNN_FROM and "avx512f" in flags:
            env["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    share = cpus_per_rank(ranks) if threads is None else threads
    for name in THREAD_VARIABLES:
        # importing mindspore sets OMP_NUM_THREADS=1, and msrun hands that on: not a choice of the user's
        inherited = ranks.source == "msrun" and name == "OMP_NUM_THREADS" and env.get(name) == "1"
        if threads is not None or inherited or not env.get(name):
            env[name] = str(share)
    if ranks.source == "rank_table" and ranks.peers_at:
        meet_on_cpus(ranks, env)
    if ranks.size > 1:
        if join_timeout is not None or not env.get(TOPOLOGY_TIMEOUT):
            env[TOPOLOGY_TIMEOUT] = str(round(JOIN_S if join_timeout is None else join_timeout))
        wait_longer(ranks, env, devices.of(target).peer_timeouts)
    # A compile cache (src/mindlift/training/compile_cache.py) that is empty, or used, is no warning. On CPUs MindSpore 2.8
    # warns several times for each operator that works in place, as mindcv's do (expander_fallback.cc).
    quiet = "PIPELINE:3,SESSION:3" if target == devices.CPU else "PIPELINE:3"
    env.setdefault("MS_SUBMODULE_LOG_v", f"{{{quiet}}}")
    # where a graph that does not compile is written; without it, below the current folder
    if not env.get("MS_OM_PATH"):
        env["MS_OM_PATH"] = str(private_folder(f"mindlift-{os.getuid()}"))
    if ranks.is_scheduler:
        serve_scheduler(ranks)


def wait_longer(ranks: Ranks, env: MutableMapping[str, str], timeouts: Sequence[tuple[str, str]]) -> None:
    """Set the variables among `timeouts` (name, seconds) that the user has not, and say so on rank 0."""
    unset = [(name, seconds) for name, seconds in timeouts if not env.get(name)]
    env.update(unset)
    if unset and ranks.is_main:
        shown = ", ".join(f"{name}={seconds}" for name, seconds in unset)
        print(
            localized(f"ranks wait for each other as long as {shown} (seconds); set them to change that"),
            file=sys.stderr,
        )


def meet_on_cpus(ranks: Ranks, env: MutableMapping[str, str]) -> None:
    """The ranks of a rank table find each other through a scheduler: rehearsals have no cards with addresses."""
    host, _, port = ranks.peers_at.rpartition(":")
    env.update(
        MS_ROLE="MS_WORKER",
        MS_WORKER_NUM=str(ranks.size),
        MS_NODE_ID=str(ranks.rank),
        MS_SCHED_HOST=host,
        MS_SCHED_PORT=port,
    )


def cpus_per_rank(ranks: Ranks) -> int:
    """This rank's fair share of the CPUs that the process may use, at least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // ranks.devices_per_node)


def choose_device(
    target: str,
    dev: Path = Path("/dev"),
    plugins: Path | None = None,
    version: str | None = None,
    has_cuda: Callable[[], bool] | None = None,
) -> str:
    """The device for --device_target: Ascend, GPU or CPU; DeviceError if it can't work here.

    Looks at files only, so that the answer comes before mindspore is imported. `plugins` is the folder
    with the plugins of the installed build.
    """
    has_ascend = any(dev.glob("davinci[0-9]*"))
    if target == "auto":
        return "Ascend" if has_ascend else "CPU"
    if target not in ("Ascend", "GPU", "CPU"):
        raise DeviceError(f"--device_target {target}: expected auto, Ascend, GPU or CPU")
    if target == "Ascend" and not has_ascend:
        raise DeviceError(
            f"--device_target Ascend, but this machine has no {dev}/davinci0: run it on an Ascend machine "
            "(in a container, pass the device on), or use --device_target CPU"
        )
    if target == "GPU":
        _check_gpu(
            _plugin_folder() if plugins is None else plugins,
            version or mindspore_build.installed_version(),
            has_cuda or _has_cuda,
        )
    return target


def connect(ranks: Ranks, device_target: str, threads: int | None = None) -> None:
    """Set mindspore's context and, with several ranks, join them for data-parallel training.

    DeviceError if the device does not start, PeerError if the peers can't be reached, RankError if
    mindspore counts the ranks in another way than `ranks`.
    """
    if ranks.is_scheduler:
        serve_scheduler(ranks)
    if (
        ranks in JOINED
    ):  # a program may train and evaluate, one after the other; MindSpore's device is fixed by then
        return
    _set_context(device_target, ranks.device, cpus_per_rank(ranks) if threads is None else threads)
    if ranks.size == 1:
        return
    if ranks.is_main and ranks.split_rings and devices.current().has_rings:
        print(localized(f"warning: {ranks.split_rings}"), file=sys.stderr)  # HCCL's own error names no card
    import mindspore as ms
    from mindspore.communication import get_group_size, get_rank

    _join(ranks)
    rank, size = get_rank(), get_group_size()
    if (rank, size) != (ranks.rank, ranks.size):
        raise RankError(
            f"the launcher ({ranks.source}) says rank {ranks.rank} of {ranks.size}, but mindspore "
            f"says rank {rank} of {size}: unset rank variables that an earlier job left behind"
        )
    ms.set_auto_parallel_context(parallel_mode="data_parallel", gradients_mean=True, device_num=size)


def serve_scheduler(ranks: Ranks) -> None:
    """Be the scheduler of an msrun cluster until its workers are done; ends the process.

    msrun starts the user's script once more for this. It must not train, copy data or write logs.
    """
    _set_context("CPU", 0, 1)
    _join(ranks)  # mindspore itself ends the process when the workers have left
    raise SystemExit(0)


def leave(code: int) -> None:
    """End the process with `code` when all work is done and on disk.

    Under the project's launch scripts, which end the scheduler themselves, without signing off there:
    mindspore's sign-off crashes now and then (SIGSEGV in its RECV_EVENT_LOOP thread, seen with 2.8.0 in 3
    of 69 jobs on a loaded machine), and a finished job would count as failed. Ranks that have not failed go
    together. One that has failed does not sign off either: its job fails whatever the scheduler hears.
    """
    folder, size = launched()
    if folder is None and not (code and JOINED):
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    if folder is not None and (code == 0 or code > 128):
        await_others(folder, size, LEAVING_S)
    os._exit(code)


def launched() -> tuple[Path | None, int]:
    """The folder in which ranks of the project's launch scripts wait for each other, and their number."""
    size, _, folder = os.environ.get(LAUNCHER, "").partition(":")
    return (Path(folder), int(size)) if folder else (None, 1)


def part(ranks: Ranks) -> None:
    """Wait until all ranks have done what they had to do before they end; they must all call this."""
    folder, size = launched()
    if folder is not None:
        await_others(folder, size, PARTING_S)
    elif ranks.size > 1:
        agree(ranks, [0])


def await_others(folder: Path, size: int, timeout_s: float) -> None:
    """Until all `size` ranks have called this, `timeout_s` are over, or the launcher has removed `folder`.

    A rank that sends in the CPU's all-reduce waits for an answer that another thread of its peer gives. A peer that has
    returned from the same all-reduce may not have given it yet; if it ended then, the sender would wait until the
    scheduler calls the peer lost, and fail.
    """
    deadline = time.monotonic() + timeout_s
    with contextlib.suppress(FileNotFoundError):
        (folder / str(os.getpid())).touch()
        while len(os.listdir(folder)) < size and time.monotonic() < deadline:
            time.sleep(0.02)


def agree(ranks: Ranks, values: Sequence[int]) -> list[int]:
    """Rank 0's integers, on every rank. All ranks must pass the same number of them, after `connect`."""
    numbers = [int(value) for value in values]
    wrong = [number for number in numbers if not -(2**31) <= number < 2**31]
    if wrong:
        raise ValueError(f"agree carries 32-bit integers, got {wrong[0]}")
    if ranks.size == 1 or not numbers:
        return numbers
    import numpy as np

    from mindlift.model_utils.collectives import (
        all_sum,  # which needs mindspore, as the rest of this module does not
    )

    offset = 2**31  # sums are of integers that are not negative; the others add zeros
    mine = np.array(numbers, np.int64) + offset if ranks.is_main else np.zeros(len(numbers), np.int64)
    return (all_sum(mine, ranks.size) - offset).tolist()


def _set_context(device_target: str, device_id: int, threads: int) -> None:
    """The one place that knows old and new ways: `set_device` is newer than 2.0, the rest is in 2.0-2.10."""
    import mindspore as ms

    has_number = device_target in ("Ascend", "GPU")
    try:
        is_wanted = ms.get_context("device_target") == device_target and not has_number
        if hasattr(ms, "set_device"):
            # refused in a process that has computed, which is no harm where it computed on what is wanted
            with contextlib.suppress(RuntimeError) if is_wanted else contextlib.nullcontext():
                ms.set_device(device_target, *([device_id] if has_number else []))
        else:
            ms.set_context(device_target=device_target, **({"device_id": device_id} if has_number else {}))
        ms.set_context(mode=ms.GRAPH_MODE)
    except (RuntimeError, ValueError) as err:
        raise DeviceError(
            f"mindspore {ms.__version__} can't use {device_target} device {device_id}: {_first_line(err)}; "
            "check the driver, or use --device_target CPU"
        ) from err
    _set_precision(ms, devices.current().precision_mode)
    _limit_threads(ms, threads)


def _set_precision(ms: ModuleType, mode: str) -> None:
    """Choose the precision of float32 operators, which must happen before the first graph is compiled."""
    if not mode:
        return
    op_precision = getattr(getattr(getattr(ms, "device_context", None), "ascend", None), "op_precision", None)
    if op_precision is not None:  # 2.5 and later
        op_precision.precision_mode(mode)
        return
    # versions before 2.2 need not know the keyword, and have no other way to say this: their own choice stays
    with contextlib.suppress(ValueError):
        ms.set_context(ascend_config={"precision_mode": mode})


def _limit_threads(ms: ModuleType, threads: int) -> None:
    """Bound mindspore's pool of kernel threads, which is as large as the machine otherwise."""
    op_tuning = getattr(getattr(getattr(ms, "device_context", None), "cpu", None), "op_tuning", None)
    # the first way (2.6 and later) may be used once in a process, and builds without the second keep their default
    with contextlib.suppress(RuntimeError, ValueError):
        if op_tuning is not None:
            op_tuning.threads_num(threads)
        else:
            ms.set_context(runtime_num_threads=threads)


def _join(ranks: Ranks) -> None:
    from mindspore.communication import init

    began = time.monotonic()
    try:
        init()
    except (RuntimeError, ValueError) as err:
        at = f" at {ranks.peers_at}" if ranks.peers_at else ""
        who = "the scheduler" if ranks.is_scheduler else f"rank {ranks.rank} of {ranks.size}"
        raise PeerError(
            f"{who} could not join the other ranks{at} ({ranks.source}) within {time.monotonic() - began:.0f} s:"
            f" {_first_line(err)}; look whether all ranks were started, whether another job has taken the port, and"
            " whether MS_ROLE, MS_SCHED_HOST or RANK_TABLE_FILE is left over from an earlier job (unset them), then start again;"
            " --join_timeout sets how long ranks wait"
        ) from err
    JOINED.append(ranks)


@contextlib.contextmanager
def naming_lost_peers(ranks: Ranks) -> Generator[None, None, None]:
    """PeerError for what MindSpore raises in an all-reduce after a peer has ended: a failed kernel, without a reason."""
    try:
        yield
    except RuntimeError as err:
        if isinstance(err, MindLiftError) or ranks.size == 1 or not LOST_PEER.search(str(err)):
            raise
        raise PeerError(
            f"rank {ranks.rank} of {ranks.size} got no answer in a sum over all ranks: another rank has ended or can't be"
            " reached; its log says why. The same command continues from the last checkpoint"
        ) from err


def _check_gpu(plugins: Path, version: str, has_cuda: Callable[[], bool]) -> None:
    if not any(plugins.glob("libmindspore_gpu*")):
        raise DeviceError(
            f"--device_target GPU, but mindspore {version or '(not installed)'} here has no GPU plugin: "
            "install a build with CUDA, or use --device_target CPU"
        )
    if not has_cuda():
        raise DeviceError(
            f"--device_target GPU, but libcuda.so.1 does not load: this machine (or container) has no "
            f"NVIDIA driver for mindspore {version}; install it, or use --device_target CPU"
        )


def _plugin_folder() -> Path:
    spec = importlib.util.find_spec("mindspore")
    return Path(spec.origin or "").parent / "lib" / "plugin" if spec else Path("nowhere")


def _has_cuda() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    match = re.search(r"^flags\s*:(.*)$", text, flags=re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def _first_line(err: BaseException) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return lines[0].split(". ")[0].rstrip(".:")[:300] if lines else type(err).__name__
