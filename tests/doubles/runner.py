"""What the doubles of services run jobs with: the rehearsal of src/mindlift/cloud/providers/local, or a script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from mindlift.cloud.platforms.request import Request, State
from mindlift.cloud.providers.local import machine
from mindlift.cloud.providers.local.folder import JobFolder
from mindlift.cloud.providers.local.keeper import StoreAccess


class Runner(Protocol):
    def start(self, job_id: str, request: Request) -> None: ...
    def state(self, job_id: str) -> State: ...
    def log(self, job_id: str, node: int) -> list[str]: ...
    def stop(self, job_id: str) -> None: ...


@dataclass
class ScriptedRunner:
    """Jobs whose states and logs a test sets by hand; they start as queued."""

    requests: dict[str, Request] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    logs: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def start(self, job_id: str, request: Request) -> None:
        self.requests[job_id] = request
        self.states[job_id] = State()

    def state(self, job_id: str) -> State:
        return self.states[job_id]

    def set(self, job_id: str, **changes: object) -> None:
        self.states[job_id] = replace(self.states[job_id], **changes)  # type: ignore[arg-type]

    def log(self, job_id: str, node: int) -> list[str]:
        return self.logs.get((job_id, node), [])

    def stop(self, job_id: str) -> None:
        if not self.states[job_id].is_final:
            self.set(job_id, phase="stopped")


@dataclass
class LocalRunner:
    """Jobs as real processes, in the contract of the request's platform."""

    home: Path
    store: StoreAccess

    def folder(self, job_id: str) -> JobFolder:
        return JobFolder(self.home / job_id)

    def start(self, job_id: str, request: Request) -> None:
        machine.start(self.home, job_id, request, self.store, {})

    def state(self, job_id: str) -> State:
        return machine.state(self.folder(job_id))

    def log(self, job_id: str, node: int) -> list[str]:
        return self.folder(job_id).log_lines(node)

    def stop(self, job_id: str) -> None:
        machine.stop(self.folder(job_id))
