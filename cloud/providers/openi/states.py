"""The words of both of OpenI's clusters as our phases. Pure."""

from __future__ import annotations

from cloud.states import Phase

PHASES = {
    "PREPARING": Phase.STARTING, "CONNECTING": Phase.STARTING, "INIT": Phase.STARTING, "CREATING": Phase.STARTING,
    "STARTING": Phase.STARTING, "IMAGE_CREATING": Phase.STARTING, "SUBMIT_TRYING": Phase.STARTING, "SCALING": Phase.RUNNING,
    "WAITING": Phase.QUEUED, "RUNNING": Phase.RUNNING, "STOPPING": Phase.STOPPING, "KILLING": Phase.STOPPING,
    "SUCCEEDED": Phase.SUCCEEDED, "COMPLETED": Phase.SUCCEEDED, "FAILED": Phase.FAILED, "CREATED_FAILED": Phase.FAILED,
    "CREATE_FAILED": Phase.FAILED, "START_FAILED": Phase.FAILED, "IMAGE_FAILED": Phase.FAILED, "SUBMIT_FAILED": Phase.FAILED,
    "LOST": Phase.FAILED, "STOPPED": Phase.STOPPED, "KILLED": Phase.STOPPED, "CANCELED": Phase.STOPPED,
}  # fmt: skip


def phase_of(word: str) -> Phase:
    return PHASES.get(word.upper(), Phase.UNKNOWN)
