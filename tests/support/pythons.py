"""The Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def find_python(version: str) -> str:
    """A Python of a version such as 3.8, on PATH or of pyenv; '' if there is none that can make environments."""
    kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    for path in (*sorted(kept.glob(f"{version}.*/bin/python{version}")), shutil.which(f"python{version}")):
        if (
            path
            and not subprocess.run([path, "-c", "import venv"], capture_output=True, check=False).returncode
        ):
            return str(path)
    return ""
