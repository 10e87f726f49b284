"""The folder of a rehearsed job: what was asked, how far it is, and its logs.

<home>/<job>/request.json  state.json  supervisor.json  supervisor.log  logs/<node>.log  node-<n>/ (the containers)
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mindlift import json_text
from mindlift.cloud.platforms.request import Request, State, from_json
from mindlift.files import expanded, write_atomic
from mindlift.model_utils.staging.node_gate import Process


def home() -> Path:
    """Where rehearsals live: $MINDLIFT_REHEARSALS, else below the user's cache."""
    named = os.environ.get("MINDLIFT_REHEARSALS")
    cache = Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    return Path(expanded(named)) if named else cache / "mindlift" / "rehearsals"


@dataclass(frozen=True)
class JobFolder:
    """The files of one job below `root`."""

    root: Path

    @property
    def id(self) -> str:
        return self.root.name

    @property
    def state_file(self) -> Path:
        return self.root / "state.json"

    @property
    def request_file(self) -> Path:
        return self.root / "request.json"

    @property
    def supervisor_file(self) -> Path:
        return self.root / "supervisor.json"

    def exists(self) -> bool:
        return self.request_file.is_file()

    def node(self, number: int) -> Path:
        """The folder that stands for the file system of a node's container."""
        return self.root / f"node-{number}"

    def log(self, node: int) -> Path:
        return self.root / "logs" / f"worker-{node}.log"

    def request(self) -> Request:
        return from_json(self.request_file.read_text(encoding="utf-8"))

    def state(self) -> State:
        if not self.state_file.exists():
            return State()
        return State(**json_text.read(self.state_file))

    def write_state(self, state: State) -> None:
        write_atomic(self.state_file, json.dumps(asdict(state)) + "\n")

    def write_processes(self, processes: list[Process]) -> None:
        """The supervisor first, then the ranks: what has to be ended if the supervisor can't do it."""
        write_atomic(self.supervisor_file, json.dumps([asdict(process) for process in processes]) + "\n")

    def processes(self) -> list[Process]:
        if not self.supervisor_file.exists():
            return []
        return [Process(**values) for values in json_text.read(self.supervisor_file)]

    def log_lines(self, node: int, after: int = 0) -> list[str]:
        """Whole lines of a node's log from number `after` on."""
        path = self.log(node)
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return text.split("\n")[after:-1]
