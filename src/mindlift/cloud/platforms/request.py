"""What a platform is told about a job, and what it knows of it later, free of any service's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Tuple

Sources = Tuple[Tuple[str, str], ...]  # (name, URL)


@dataclass(frozen=True)
class Request:
    """A job as a service would hand it to its machines. URLs are obs://bucket/folder/."""

    platform: str  # modelarts-v1, modelarts-v2, openi-qizhi or openi-c2net
    name: str
    code_url: str
    boot_file: str
    parameters: Sources = ()
    data_url: str = ""
    train_url: str = ""
    log_url: str = ""
    datasets: Sources = ()  # OpenI: selected data sets and models
    models: Sources = ()
    nodes: int = 1
    cards: int = 1
    run_method: str = "rank_table"
    access: str = "parameter"
    environment: Mapping[str, str] = field(default_factory=dict)  # with secrets in it
    retries: int = 0
    unconditional_retry: bool = False
    restart: str = "in_place"
    max_hours: float = 0.0
    python: str = ""  # of a rehearsal's containers; '': the one that rehearses

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def from_json(text: str) -> Request:
    values = json.loads(text)
    for name in ("parameters", "datasets", "models"):
        values[name] = tuple((first, second) for first, second in values[name])
    return Request(**values)


@dataclass(frozen=True)
class State:
    """How far a job is. `phase` is one of queued, starting, running, stopping, succeeded, failed, stopped."""

    phase: str = "queued"
    reason: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    restarts: int = 0
    exit_code: int | None = None

    @property
    def is_final(self) -> bool:
        return self.phase in ("succeeded", "failed", "stopped")
