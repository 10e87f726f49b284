"""Python's search for unreachable objects, put off where a program makes many that stay, as it does until its first step."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator

BEFORE: list[
    tuple[bool, bool]
] = []  # whether there was a search, and something it leaves out, while it is put off


@contextlib.contextmanager
def put_off() -> Generator[None, None, None]:
    """No search until the end of the outermost of these blocks, or `resume`.

    What is there when a block begins is left out even if somebody asks for a search, as MindSpore does before it compiles.
    """
    is_outermost = not BEFORE
    if is_outermost:
        BEFORE.append((gc.isenabled(), gc.get_freeze_count() > 0))
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if is_outermost:
            resume()


def resume() -> None:
    """As it was before, at once."""
    while BEFORE:
        is_on, leaves_out = BEFORE.pop()
        if not leaves_out:
            gc.unfreeze()
        if is_on:
            gc.enable()
