"""Python's search for unreachable objects, put off where a program makes many that all stay: a twelfth of a start's time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def put_off() -> Generator[None, None, None]:
    """No search meanwhile, and none through what is there now even if somebody asks, as MindSpore does before it compiles."""
    is_on, has_frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if not has_frozen:
            gc.unfreeze()
        if is_on:
            gc.enable()
