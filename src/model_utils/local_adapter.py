"""The adapter of a laptop or a node with its own disks: the data is already here, nothing is copied."""

from __future__ import annotations

from pathlib import Path

from src.model_utils.errors import DataError


class LocalAdapter:
    """`default` makes the data set that is used when the configuration names no folder."""

    def __init__(self, default=None):
        self.default = default

    def __enter__(self) -> LocalAdapter:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def stage_in(self, data_url: str) -> Path:
        """`data_url` as an existing folder; '' asks for the default. Raises DataError."""
        if not data_url:
            if self.default is None:
                raise DataError("no data folder given; name it with --data_dir")
            return self.default()
        path = Path(data_url).expanduser()
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "does not exist"
            raise DataError(f"--data_dir {data_url} {what}")
        return path

    def publish(self, file: Path) -> None:
        """Nothing to do: the checkpoint is where the user will look for it."""
