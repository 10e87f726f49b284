"""MindSpore's checkpoints, .ckpt."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.errors import CheckpointError

if TYPE_CHECKING:
    import mindspore as ms


@contextlib.contextmanager
def no_log() -> Generator[None, None, None]:
    """Without log lines: mindspore would log a failure that it raises as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def read(path: Path) -> dict[str, ms.Parameter]:
    """All entries of a checkpoint file; raises CheckpointError if it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    import mindspore as ms

    try:
        with no_log():
            return ms.load_checkpoint(str(path))
    except (ValueError, TypeError, RuntimeError) as err:
        raise CheckpointError(f"can't read checkpoint {path}: damaged or not a MindSpore checkpoint") from err
