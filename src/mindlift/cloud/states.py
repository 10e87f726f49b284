"""The phases of a job, whatever a service calls them."""

from __future__ import annotations

from enum import Enum

from mindlift.language import N_


class Phase(Enum):
    """Where a job stands. A service's own words go through a dict with UNKNOWN as default."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED)


WORDS = (
    N_("queued"),
    N_("starting"),
    N_("running"),
    N_("stopping"),
    N_("succeeded"),
    N_("failed"),
    N_("stopped"),
    N_("unknown"),
)


def known_phases() -> str:
    return ", ".join(phase.value for phase in Phase)
