"""The programs of cloud/jobs/programs, rehearsed on a user's computer: submitted, watched, killed, fetched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.home import Home, wait_for
from tests.support.programs import ROOT

PROGRAMS = ROOT / "cloud/jobs/programs"


def images(folder: Path) -> Path:
    subprocess.run([sys.executable, str(PROGRAMS / "images.py"), str(folder)], check=True)
    return folder


class Rehearsal:
    """A job of the gallery with the outputs `output` in the test's bucket, below run/."""

    def __init__(self, home: Home, file: str, output: str, *words: object):
        self.home, self.output = home, output
        place = [f"{output}=obs://{home.bucket}/run/"]
        done = home.run("submit", "--config", PROGRAMS / file, "--outputs", *place, *words)
        assert done.code == 0, done.err
        self.handle = done.out.strip()
        self.folder = home.job(self.handle)

    def log(self) -> str:
        return "\n".join(self.folder.log_lines(0))

    def says(self, text: str, times: int = 1) -> bool:
        return self.log().count(text) >= times

    def kill_when(self, text: str, stored: str = "", rank: int = 0) -> None:
        """kill -9 of a rank once the job has said `text`, and a file whose name holds `stored` is in the bucket."""
        wait_for(lambda: self.says(text) or self.has_ended(), 240)
        if stored:
            wait_for(lambda: any(stored in key for key in self.home.keys("run/")) or self.has_ended(), 60)
        assert not self.has_ended(), self.log()
        os.kill(self.folder.processes()[rank + 1].pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        return self.folder.state().is_final

    def end(self) -> str:
        """The phase at the end."""
        wait_for(self.has_ended, 400)
        return self.folder.state().phase

    def fetch(self) -> Path:
        folder = self.home.folder / "fetched"
        done = self.home.run("fetch", self.handle, "--out", folder)
        assert done.code == 0, done.err
        return folder


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))
