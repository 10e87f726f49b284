"""Packages of services that trainings are shown by, where somebody has installed them beside the project:

    pip install --target ~/.cache/mindlift/loggers wandb

They are no part of its environment, because each brings dozens of others.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(os.environ.get("MINDLIFT_LOGGERS") or "~/.cache/mindlift/loggers").expanduser()


def has(package: str) -> bool:
    return (FOLDER / package / "__init__.py").is_file()
