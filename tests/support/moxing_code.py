"""Code that imports moxing, run in a process of its own; and what it takes to reach a store."""

from __future__ import annotations

import subprocess
import sys
import threading

from tests.support.programs import ROOT, environment

ODD = "数据 a+b%41&c?#é"


def credentials(minio) -> dict[str, str]:
    return {
        "S3_ENDPOINT": minio.endpoint,
        "ACCESS_KEY_ID": minio.access_key,
        "SECRET_ACCESS_KEY": minio.secret_key,
    }


def wait_until(condition, seconds: float = 20) -> None:
    event = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError("not within the time")


def run_code(code: str, **env: str) -> subprocess.CompletedProcess:
    variables = environment(PYTHONPATH=str(ROOT / "compat"), **env)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
