"""The machine: device, CPUs, memory, disks, ports, locale, and the variables that say which rank this is."""

from __future__ import annotations

import locale
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mindlift.doctor.finding import OK, PROBLEM, WARNING, Finding, graded, shown
from mindlift.errors import MindLiftError
from mindlift.model_utils import device_adapter
from mindlift.model_utils.ranks import Ranks
from mindlift.model_utils.staging.cache_place import cache_folder

GB = 1 << 30
LEAST_GB, LITTLE_GB = (
    1.0,
    2.0,
)  # of memory: densenet22 took 0.6 GB, DenseNet-100 on digits 1.3 (MindSpore 2.8.0)
LEAST_DISK_GB, LITTLE_DISK_GB = 0.1, 2.0
OUTPUT = Path("output")  # where runs go unless --ckpt_path says otherwise


def all_findings() -> Iterator[Finding]:
    yield device()
    yield ranks(os.environ)
    yield cpus(os.environ, device_adapter.cpus_per_rank(Ranks()), cpu_quota())
    yield memory(available_memory(), memory_limit())
    for name, folder in (
        ("output", OUTPUT),
        ("cache", cache_folder("")),
        ("temporary files", Path(tempfile.gettempdir())),
    ):
        yield disk(name, folder)
    yield ports()
    yield encoding(locale.getpreferredencoding(False), sys.stdout.encoding)


def device(dev: Path = Path("/dev")) -> Finding:
    chosen = device_adapter.choose_device("auto", dev)
    cards = len(list(dev.glob("davinci[0-9]*")))
    why = f"{cards} card(s) at {dev}/davinci*" if cards else f"there is no {dev}/davinci*, so no Ascend card"
    return Finding("device", OK, f"--device_target auto chooses {chosen}: {why}")


def ranks(env: Mapping[str, str]) -> Finding:
    """Variables that a launcher sets and an earlier job may have left behind."""
    advice = "start a new shell, or unset them; launchers set them by themselves"
    try:
        found = device_adapter.read_ranks(env)
    except MindLiftError as err:
        return Finding("ranks", PROBLEM, " ".join(str(err).split()), advice)
    says = f"rank {found.rank} of {found.size}" + (f" by {found.source}" if found.source != "none" else "")
    is_cloud = device_adapter.in_cloud_job(env)
    return graded("ranks", found.size == 1 or is_cloud, says, advice)


def cpus(env: Mapping[str, str], usable: int, quota: float | None) -> Finding:
    says = f"{usable} usable: threads and workers of one rank"
    if quota is not None and quota + 0.5 < usable:
        says += f", but a quota of {quota:g}"
        advice = f"--threads {max(1, int(quota))} --num_parallel_workers {max(1, int(quota))}: more only wait for each other"
        return Finding("cpus", WARNING, says, advice)
    set_by_user = {name: env[name] for name in device_adapter.THREAD_VARIABLES if env.get(name)}
    fewer = [f"{name}={value}" for name, value in set_by_user.items() if value != str(usable)]
    return graded(
        "cpus",
        not fewer,
        says + (f"; the environment has {', '.join(fewer)}" if fewer else ""),
        f"unset {' '.join(set_by_user)}, or say --threads N",
    )


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPUs that a container may use at a time (cgroup v2, then v1); None: all that there are."""
    v2, v1 = words(root / "cpu.max"), words(root / "cpu/cpu.cfs_quota_us")
    period = words(root / "cpu/cpu.cfs_period_us")
    if len(v2) == 2 and v2[0].isdigit():
        return int(v2[0]) / int(v2[1])
    if v1 and period and v1[0].isdigit():
        return int(v1[0]) / int(period[0])
    return None


def words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def memory(available_gb: float | None, limit_gb: float | None) -> Finding:
    if available_gb is None:
        return Finding("memory", WARNING, "unknown: there is no /proc/meminfo", "look at it yourself")
    says = f"{available_gb:.1f} GB available"
    if limit_gb is not None and limit_gb < available_gb:
        available_gb, says = limit_gb, f"{says}, but a limit of {limit_gb:.1f} GB"
    advice = "end other programs: a rank takes 0.6 GB with the smallest network and 1.3 with DenseNet-100, others more"
    return graded(
        "memory", available_gb >= LITTLE_GB, says, advice, WARNING if available_gb >= LEAST_GB else PROBLEM
    )


def available_memory(path: Path = Path("/proc/meminfo")) -> float | None:
    match = re.search(r"MemAvailable:\s*(\d+) kB", path.read_text()) if path.exists() else None
    return int(match[1]) / (1 << 20) if match else None


def memory_limit(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """A container's limit in GB; None: none, or one that is larger than any machine."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        found = words(root / name)
        if found and found[0].isdigit() and int(found[0]) < 1 << 60:
            return int(found[0]) / GB
    return None


def disk(name: str, folder: Path) -> Finding:
    """Room at a folder that may not be there yet, and whether it can be written; nothing is written to find out."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free / GB
    says = f"{free:.1f} GB free at {shown(folder.absolute())}"
    option = {"output": "--ckpt_path", "cache": "--cache_path or MINDLIFT_CACHE"}.get(name, "TMPDIR")
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(name, PROBLEM, f"{says}, but it can't be written", f"choose another place by {option}")
    level = WARNING if free >= LEAST_DISK_GB else PROBLEM
    return graded(
        name, free >= LITTLE_DISK_GB, says, f"free some, or choose another place by {option}", level
    )


def ports() -> Finding:
    """Several ranks on one machine meet at a port of 127.0.0.1, and so do a rehearsal and its store."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as err:
        return Finding(
            "ports",
            WARNING,
            f"a port of 127.0.0.1 can't be opened and reached: {err.strerror or err}",
            "one rank trains without; several need it: look at the firewall or the sandbox",
        )
    return Finding("ports", OK, "ranks can meet at 127.0.0.1")


def encoding(preferred: str, terminal: str | None) -> Finding:
    wanted = ("utf-8", "utf8")
    is_well = preferred.lower() in wanted and (terminal or "utf-8").lower() in wanted
    says = f"{preferred}, output {terminal or 'unknown'}"
    return graded(
        "encoding", is_well, says, "export LC_ALL=C.UTF-8 (or PYTHONUTF8=1): names of files and classes"
    )
