"""One folder per provider; `load` imports the one that is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindlift.cloud.job import Job
    from mindlift.cloud.providers.base import Provider


def load(job: Job) -> Provider:
    """The provider that `job` names, with the job's region, endpoint and so on; JobError if it lacks something."""
    return importlib.import_module(f"mindlift.cloud.providers.{job.provider}.client").make(job)
