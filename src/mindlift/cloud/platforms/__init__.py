"""What a job finds inside its container: a module for each platform, which is a base.Platform."""

from __future__ import annotations

from mindlift.cloud.platforms import modelarts_v1, modelarts_v2, openi_c2net, openi_qizhi
from mindlift.cloud.platforms.base import Platform
from mindlift.cloud.platforms.container import Container as Container
from mindlift.cloud.platforms.container import scheduler_table as scheduler_table
from mindlift.cloud.platforms.request import Request

PLATFORMS: dict[str, Platform] = {
    "modelarts-v1": modelarts_v1,
    "modelarts-v2": modelarts_v2,
    "openi-qizhi": openi_qizhi,
    "openi-c2net": openi_c2net,
}


def container(request: Request, job_id: str, node: int) -> Container:
    """The container of node `node` on the request's platform, with the platform's own absolute paths."""
    return PLATFORMS[request.platform].container(request, job_id, node)
