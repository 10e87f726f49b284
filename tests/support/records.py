"""MindRecord shards, made as a user makes them."""

from __future__ import annotations

import subprocess
import sys

from tests.support.programs import ROOT, environment


def convert(*words: object) -> None:
    """`mindlift data` with these words."""
    command = [sys.executable, "-m", "mindlift", "data", *map(str, words)]
    done = subprocess.run(
        command, env=environment(PYTHONPATH=str(ROOT / "src")), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
