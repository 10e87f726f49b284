"""The contract of a platform. tests/contract/test_platforms.py runs it on all. Pure."""

from __future__ import annotations

from typing import Protocol

from mindlift.cloud.platforms.container import Container
from mindlift.cloud.platforms.request import Request


class Platform(Protocol):
    """What the machines of a service give to a job. Each platform is a module with these names."""

    @property
    def SERVICE(self) -> str:
        """The service as it signs its own lines of a log."""

    @property
    def DROPPED(self) -> frozenset[str]:
        """The user's own parameters that never reach the program."""

    def container(self, request: Request, job_id: str, node: int) -> Container:
        """Node `node` of the job, with the platform's own absolute paths; the user's variables win."""

    def variables(self, request: Request, job_id: str, node: int) -> dict[str, str]:
        """What the platform itself sets on that node."""

    def arguments(self, request: Request) -> tuple[str, ...]:
        """What follows the boot file, in the platform's order."""
