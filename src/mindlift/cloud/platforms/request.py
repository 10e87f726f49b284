"""What a platform is told about a job, and what it knows of it later, free of any service's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Tuple

from mindlift import json_text

Words = Tuple[str, ...]
Sources = Tuple[Tuple[str, str], ...]  # (name, URL)


@dataclass(frozen=True)
class Request:
    """A job as a service would hand it to its machines. URLs are obs://bucket/folder/."""

    platform: str  # modelarts-v1, modelarts-v2, openi-qizhi or openi-c2net
    name: str
    code_url: str
    boot_file: str
    command: str = ""  # a line for a shell, in place of the boot file
    arguments: Words = ()  # the user's own words
    inputs: Sources = ()
    outputs: Sources = ()
    models: Sources = ()  # OpenI: selected models
    log_url: str = ""
    nodes: int = 1
    cards: int = 1
    launcher: str = "rank_table"
    access: str = "parameter"
    environment: Mapping[str, str] = field(default_factory=dict)  # with secrets in it
    retries: int = 0
    unconditional_retry: bool = False
    restart: str = "in_place"
    max_hours: float = 0.0
    isolation: str = "auto"
    python: str = ""  # of a rehearsal's containers; '': the one that rehearses
    code_sha256: str = ""  # of the files that were sent; '': not compared
    is_own: bool = True  # False: a program that knows nothing of MindLift

    @property
    def train_url(self) -> str:
        """Where the first output goes; '' for none."""
        return self.outputs[0][1] if self.outputs else ""

    def has(self, option: str) -> bool:
        """Whether the user's own words set this option."""
        return any(word == f"--{option}" or word.startswith(f"--{option}=") for word in self.arguments)

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


def from_json(text: str) -> Request:
    """The request of a rehearsal's folder; what a later or earlier version wrote beside it is left out."""
    known = {item.name for item in fields(Request)}
    values = {name: value for name, value in json_text.parse(text).items() if name in known}
    values["arguments"] = tuple(values.get("arguments", ()))
    for name in ("inputs", "outputs", "models"):
        values[name] = tuple((first, second) for first, second in values.get(name, ()))
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
