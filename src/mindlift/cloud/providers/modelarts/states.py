"""ModelArts' phases (REST v2, status.phase) as ours. Pure."""

from __future__ import annotations

from mindlift.cloud.states import Phase

PHASES = {
    "Creating": Phase.STARTING,
    "Pending": Phase.QUEUED,
    "Running": Phase.RUNNING,
    "Completed": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Abnormal": Phase.FAILED,
    "Terminating": Phase.STOPPING,
    "Terminated": Phase.STOPPED,
}


def phase_of(word: str) -> Phase:
    return PHASES.get(word, Phase.UNKNOWN)


def words_for(phase: Phase) -> list[str]:
    """The service's words for one of our phases."""
    return [word for word, found in PHASES.items() if found is phase]
