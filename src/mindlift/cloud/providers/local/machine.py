"""Starting, watching and stopping rehearsed jobs. The doubles of services run their jobs by this as well."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from mindlift.checkout import SOURCES
from mindlift.cloud.errors import JobError
from mindlift.cloud.platforms.request import Request, State
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.cloud.providers.local.supervisor import SECRETS, STORE
from mindlift.errors import StorageError

STARTED_WITHIN_S = 30.0


def start(
    home: Path, job_id: str, request: Request, store: StoreAccess, secrets: Mapping[str, str]
) -> JobFolder:
    """Start a job; it runs on when this process ends. JobError if there is one of this id already."""
    folder = JobFolder(home / job_id)
    try:
        folder.root.mkdir(parents=True)
        folder.root.chmod(0o700)  # it holds code that runs, and a log, whatever the umask
    except FileExistsError:
        raise JobError(
            f"there is a rehearsal '{job_id}' already; choose another name, or leave name out"
        ) from None
    folder.request_file.write_text(request.as_json(), encoding="utf-8")
    environment = {**os.environ, SECRETS: json.dumps(dict(secrets)), STORE: json.dumps(asdict(store))}
    with open(folder.root / "supervisor.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mindlift.cloud.providers.local.supervisor", str(folder.root)],
            cwd=SOURCES,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + STARTED_WITHIN_S
    while not folder.state_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StorageError(f"the rehearsal did not start; see {folder.root / 'supervisor.log'}")
        time.sleep(0.02)
    return folder


def state(folder: JobFolder) -> State:
    """How far a job is. Of one whose supervisor was killed, what it left is ended."""
    found = folder.state()
    processes = folder.processes()
    if found.is_final or not processes or not processes[0].is_gone():
        return found
    found = folder.state()  # it may have written its last word meanwhile
    if found.is_final:
        return found
    for process in processes[1:]:
        if not process.is_gone():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    found = replace(
        found, phase="failed", reason="the process that ran the rehearsal was killed", ended_at=time.time()
    )
    folder.write_state(found)
    return found


def stop(folder: JobFolder) -> None:
    """Ask a job to end; one that has ended stays as it is."""
    processes = folder.processes()
    if not folder.state().is_final and processes and not processes[0].is_gone():
        os.kill(processes[0].pid, signal.SIGTERM)


def jobs(home: Path) -> Iterator[JobFolder]:
    """All jobs, newest first."""
    found = [JobFolder(path) for path in home.iterdir()] if home.is_dir() else []
    known = [folder for folder in found if folder.exists()]
    return iter(sorted(known, key=lambda folder: folder.state().created_at, reverse=True))
