"""What a service's error codes mean for the caller: wait, give up, or check whether something was created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EVERY = frozenset(["*"])
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Code:
    """One documented code. Calls are the kinds that clients name: create, cancel, log, show, list, output, look up.

    `passes` holds the calls for which the same request may succeed later; EVERY: all of them. `leaves_doubt` is
    True where a creation that got this code may have created a job all the same.
    """

    name: str  # the service's own word for it
    advice: str = ""
    passes: frozenset[str] = NONE
    leaves_doubt: bool = False

    def is_passing(self, call: str) -> bool:
        return self.passes == EVERY or call in self.passes


def passing(*calls: str) -> frozenset[str]:
    return frozenset(calls)


def of(table: Mapping[str, Code], code: str) -> Code | None:
    """None for a code that no document names: its HTTP status alone tells what to do."""
    return table.get(code)
