"""Starting the probe, and what its end means."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TypedDict

from mindlift import json_text
from mindlift.checkout import SOURCES
from mindlift.doctor import probe
from mindlift.doctor.finding import OK, PROBLEM, Finding

NAMES = {False: "import", True: "training"}
ADVICE = {
    signal.SIGILL: "this CPU lacks instructions that this build uses: install MindSpore for this machine",
    signal.SIGKILL: "the system may have ended it for want of memory: look at `memory` above and at dmesg",
    signal.SIGSEGV: "a damaged or mixed installation is likely: make clean setup",
}
USUAL_ADVICE = "reinstall it (make clean setup); if that does not help, report this with the whole output"


class Reached(TypedDict, total=False):
    """What a probe tells, line by line."""

    imported: str  # MindSpore's version
    import_seconds: float
    computed: bool
    steps: int
    train_seconds: float
    step_seconds: float
    memory_mb: float
    error: str


@dataclass
class Ended:
    """What a probe told, how it ended, and the last line that it said beside that."""

    reached: Reached = field(default_factory=lambda: Reached())
    code: int | None = 0  # None: it was ended at the deadline
    last_line: str = ""


def run(device: str, trains: bool, deadline_s: float) -> Ended:
    """The probe in a session of its own, which is ended as a whole at the deadline."""
    command = [sys.executable, "-m", "mindlift.doctor.probe", device, *(["train"] if trains else [])]
    process = subprocess.Popen(
        command,
        cwd=SOURCES,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    code: int | None
    try:
        out, err = process.communicate(timeout=deadline_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if code is None:
        out, err = process.communicate()
    return read(out, err, code)


def read(out: str, err: str, code: int | None) -> Ended:
    reached = Reached()
    for line in out.splitlines():
        if line.startswith(probe.MARK):
            reached.update(json_text.parse(line[len(probe.MARK) :]))
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    return Ended(reached, code, lines[-1][:300] if lines else "")


def finding(ended: Ended, device: str, trains: bool, deadline_s: float) -> Finding:
    """One line on it."""
    found, name = ended.reached, NAMES[trains]
    if ended.code == 0 and (found.get("computed") or found.get("steps") == probe.STEPS):
        says = f"mindspore {found['imported']} in {found['import_seconds']:.1f} s"
        if not trains:
            return Finding(name, OK, f"{says}, and it computes on {device}")
        return Finding(
            name,
            OK,
            f"{says}; {found['steps']} steps of {probe.SMALLEST} on {device} in {found['train_seconds']:.1f} s, of which the second"
            f" took {found['step_seconds']:.2f} s; {found['memory_mb']:.0f} MB",
        )
    at = "after the import" if "imported" in found else "while mindspore was being imported"
    if ended.code is None:
        return Finding(
            name,
            PROBLEM,
            f"not done after {deadline_s:.0f} s, {at}",
            "is the machine busy? --deadline S waits longer",
        )
    if "error" in found:
        return Finding(name, PROBLEM, found["error"], "the message says what to do")
    if ended.code < 0:
        number = signal.Signals(-ended.code)
        return Finding(name, PROBLEM, f"ended by {number.name} {at}", ADVICE.get(number, USUAL_ADVICE))
    return Finding(name, PROBLEM, f"failed with exit code {ended.code} {at}: {ended.last_line}", USUAL_ADVICE)
