"""A program of others, rehearsed by the supervisor of this process: folders in place of a store's URLs."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from mindlift.cloud.platforms.request import Request, State
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.cloud.providers.local.supervisor import Supervisor

NOWHERE = StoreAccess("http://127.0.0.1:9", "nobody", "nothing", "given")


@dataclass(frozen=True)
class Rehearsed:
    folder: JobFolder
    state: State

    @property
    def lines(self) -> list[str]:
        """What the program has said, without the platform's lines."""
        return [line for line in self.folder.log_lines(0) if "Service Log]" not in line]

    @property
    def platform(self) -> str:
        return "\n".join(line for line in self.folder.log_lines(0) if "Service Log]" in line)

    @property
    def root(self) -> Path:
        return self.folder.node(0)


def rehearse(home: Path, program: str, job: str = "job", **changes: object) -> Rehearsed:
    """Runs `program`, the text of main.py, in a job of its own. Only a job that fails keeps its containers."""
    code = home / "code" / job
    code.mkdir(parents=True, exist_ok=True)
    (code / "main.py").write_text(textwrap.dedent(program))
    given = {
        "platform": "modelarts-v2",
        "launcher": "none",
        "is_own": False,
        "access": "direct",
        "python": sys.executable,
        **changes,
    }
    request = Request(name=job, code_url=f"{code}/", boot_file="main.py", **given)  # type: ignore[arg-type]
    folder = JobFolder(home / "jobs" / job)
    folder.root.mkdir(parents=True)
    folder.request_file.write_text(request.as_json())
    supervisor = Supervisor(folder, NOWHERE, {})
    supervisor.run()
    return Rehearsed(folder, folder.state())
