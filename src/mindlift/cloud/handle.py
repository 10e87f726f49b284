"""How a job is named on a command line: `modelarts://region/project/job`, `openi://owner/repo/id`, `local://job`."""

from __future__ import annotations

from dataclasses import dataclass

from mindlift.cloud.errors import JobError

PARTS = {"modelarts": "region/project/job", "openi": "owner/repo/id", "local": "job"}


@dataclass(frozen=True)
class Handle:
    """A job of a provider; `parts` are what its service needs to find it, the job's id last."""

    provider: str
    parts: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.parts[-1]

    def __str__(self) -> str:
        return f"{self.provider}://{'/'.join(self.parts)}"


def parse(text: str) -> Handle:
    """JobError if it is not a handle."""
    provider, found, rest = text.partition("://")
    parts = tuple(part for part in rest.split("/") if part)
    if not found or provider not in PARTS or len(parts) != len(PARTS[provider].split("/")):
        forms = " or ".join(f"{name}://{form}" for name, form in PARTS.items())
        raise JobError(f"{text!r} is not the handle of a job; expected {forms}, as submit and list print it")
    return Handle(provider, parts)
