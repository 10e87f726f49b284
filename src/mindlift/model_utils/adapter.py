"""The contract between a job and the place where it runs.

An adapter is used as a `with` block around the training:

- `stage_in() -> Path`: returns a local folder that holds the data. It raises StageError or DataError and
  never returns a folder that is missing. Called by every rank, before the ranks are connected.
- `will_read(files, rounds)`: what gives, if it is needed, the files of that folder in the order in which all ranks of this
  node will read them, so that what is still arriving comes in that order; and all that a training will read, batch by
  batch and with its evaluations, for a disk that does not hold all of it at a time.
- `weights() -> list[Path]`: the local files of `--pretrained`, newest first; [] if none are asked for.
- `output(may_continue, wanted)`: the local folder for runs. With `may_continue`, the furthest unfinished run
  of the fingerprint in `wanted` is brought here before, so that the training continues it.
- `is_left(root)`: whether a run here, which has ended, has to be published still, so that this is all there is to do.
- `follow(root)`: told which folder this run lives in, once it is chosen.
- `publish(file)`: told of every finished checkpoint, after its manifest line is on disk. It must not
  block the training and must not raise.
- leaving the block publishes what is finished, also after a crash; the first error stays the job's error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.backports import Protocol

if TYPE_CHECKING:
    from mindlift.model_utils.streaming.streamer import Rounds
    from mindlift.runs.choose import Wanted


class Adapter(Protocol):
    def __enter__(self) -> Adapter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None: ...

    def stage_in(self) -> Path: ...

    def will_read(
        self, files: Callable[[], Sequence[str]], rounds: Callable[[], Rounds] | None = None
    ) -> None: ...

    def weights(self) -> list[Path]: ...

    def output(self, may_continue: bool, wanted: Wanted) -> Path: ...

    def is_left(self, root: Path) -> bool: ...

    def follow(self, root: Path) -> None: ...

    def publish(self, file: Path) -> None: ...
