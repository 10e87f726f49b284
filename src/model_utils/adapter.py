"""The contract between a job and the place where it runs.

An adapter is used as a `with` block around the training:

- `stage_in(data_url) -> Path`: returns a local folder that holds the data. It raises StageError or
  DataError and never returns a folder that is missing. Safe to call from every rank.
- `publish(file)`: told of every finished checkpoint, after its manifest line is on disk. It must not
  block the training and must not raise.
- leaving the block publishes what is finished, also after a crash; the first error stays the job's error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Adapter(Protocol):
    def __enter__(self) -> Adapter: ...

    def __exit__(self, *error: object) -> None: ...

    def stage_in(self, data_url: str) -> Path: ...

    def publish(self, file: Path) -> None: ...
