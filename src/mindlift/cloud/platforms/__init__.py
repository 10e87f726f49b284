"""What a job finds inside its container: one module per platform, each with `container(request, job_id, node)`."""

from __future__ import annotations

import importlib

from mindlift.cloud.platforms.container import Container as Container
from mindlift.cloud.platforms.container import scheduler_table as scheduler_table
from mindlift.cloud.platforms.request import Request


def container(request: Request, job_id: str, node: int) -> Container:
    """The container of node `node` on the request's platform, with the platform's own absolute paths."""
    name = request.platform.replace("-", "_")
    return importlib.import_module(f"mindlift.cloud.platforms.{name}").container(request, job_id, node)
