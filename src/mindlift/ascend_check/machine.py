"""What is installed on this machine, from files and versions only."""

from __future__ import annotations

import glob
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from mindlift.doctor import machine, software
from mindlift.model_utils import mindspore_build
from mindlift.runs.revision import code_revision

DRIVER = "/usr/local/Ascend"
TOOLKIT_VARIABLES = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_AICPU_PATH")
# driver and firmware keep version.info; CANN has had a file below its architecture's folder, and version.cfg
DRIVER_FILES = ("driver/version.info", "firmware/version.info")
TOOLKIT_FILES = (
    "*-linux/ascend_toolkit_install.info",
    "*-linux/ascend_ops_install.info",
    "version.cfg",
    "*/version.info",
)
TOOLKITS = ("cann", "ascend-toolkit/latest", "nnae/latest")
MOST_LINES = 20


def facts(env: Mapping[str, str]) -> dict[str, object]:
    return {
        "revision": code_revision(),
        "mindspore": mindspore_build.installed_version(),
        "python": platform.python_version(),
        "packages": software.installed(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver()).strip()}",
        "processor": software.cpu_model(),
        "cpus": os.cpu_count(),
        "memory": machine.memory(machine.available_memory(), machine.memory_limit()).says,
        "cards": cards(),
        "version_files": version_files(Path(DRIVER), env),
    }


def cards(dev: Path = Path("/dev")) -> int:
    return len(list(dev.glob("davinci[0-9]*")))


def version_files(root: Path, env: Mapping[str, str]) -> dict[str, list[str]]:
    """The lines about versions in the files of driver, firmware and CANN, by path."""
    toolkits = [env[name] for name in TOOLKIT_VARIABLES if env.get(name)] + [
        str(root / each) for each in TOOLKITS
    ]
    patterns = [str(root / each) for each in DRIVER_FILES]
    patterns += [str(Path(folder) / each) for folder in toolkits for each in TOOLKIT_FILES]
    found = {}
    for path in dict.fromkeys(
        os.path.realpath(each) for pattern in patterns for each in sorted(glob.glob(pattern))
    ):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as err:
            found[path] = [f"can't be read: {err.strerror}"]
            continue
        found[path] = [line.strip() for line in lines if "version" in line.lower()][:MOST_LINES]
    return found
