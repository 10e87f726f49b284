"""What each key of a job file does with each provider: it is sent, it is refused, or it has no effect, and says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from mindlift.cloud.job import FIELDS, Job
from mindlift.cloud.providers.base import Check

SENT = "sent"
REFUSED = "refused: "  # and why; what instead
NO_EFFECT = "no effect: "  # and why


def checks(job: Job, effects: Mapping[str, str], provider: str) -> Iterator[Check]:
    """A failed check for each key that is given and that `provider` has no place for; a note for idle ones."""
    idle = []
    for name, effect in effects.items():
        if not is_given(job, name):
            continue
        if effect.startswith(REFUSED):
            says, _, advice = effect[len(REFUSED) :].partition("; ")
            yield Check(name, False, says, advice)
        elif effect.startswith(NO_EFFECT):
            idle.append(f"{name} ({effect[len(NO_EFFECT) :]})")
    if idle:
        yield Check("no effect", None, f"{provider} does nothing with {', '.join(idle)}")


def is_given(job: Job, name: str) -> bool:
    """Whether `job` asks for something else than the key's default."""
    return bool(getattr(job, name) != default_of(name))


def default_of(name: str) -> object:
    field = FIELDS[name]
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]
