"""The adapter of a laptop or a node with its own disks: the data is already here, nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.errors import DataError
from mindlift.files import expanded

if TYPE_CHECKING:
    from mindlift.model_utils.streaming.streamer import Rounds
    from mindlift.runs.choose import Wanted


class LocalAdapter:
    """`default` makes the data set that is used when the configuration names no folder.

    `pretrained` may be a URL even here: `fetch` brings it.
    """

    def __init__(
        self,
        data_dir: str,
        pretrained: str,
        ckpt_path: str,
        default: Callable[[], Path] | None,
        fetch: Callable[[str], list[Path]],
    ):
        self.data_dir, self.pretrained, self.ckpt_path = data_dir, pretrained, ckpt_path
        self.default, self.fetch = default, fetch

    def __enter__(self) -> LocalAdapter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        return None

    def stage_in(self) -> Path:
        """`data_dir` as an existing folder; '' asks for the default. Raises DataError."""
        if not self.data_dir:
            if self.default is None:
                raise DataError("no data folder given; name it with --data_dir")
            return self.default()
        return existing_folder(self.data_dir)

    def will_read(
        self, files: Callable[[], Sequence[str]], rounds: Callable[[], Rounds] | None = None
    ) -> None:
        """Nothing to do: they are here."""

    def weights(self) -> list[Path]:
        return self.fetch(self.pretrained) if self.pretrained else []

    def output(self, may_continue: bool, wanted: Wanted) -> Path:
        return Path(self.ckpt_path)

    def is_left(self, root: Path) -> bool:
        return False

    def follow(self, root: Path) -> None:
        """Nothing to do: results are where the user will look for them."""

    def publish(self, file: Path) -> None:
        """Nothing to do: the checkpoint is where the user will look for it."""


def existing_folder(data_dir: str) -> Path:
    """`data_dir` as the path of a folder that is there; DataError in one line otherwise."""
    path = Path(expanded(data_dir))
    if path.is_dir():
        return path
    if "://" in data_dir:
        raise DataError(
            f"--data_dir {data_dir} is a URL; pass it as --data_url, with --enable_modelarts True"
        )
    what = "is a file, not a folder" if path.exists() else "does not exist"
    raise DataError(f"--data_dir {data_dir} {what}")
