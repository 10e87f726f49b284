"""What needs the network, imported when it is first called: `import moxing` itself is fast and loads no library for it."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from mindlift.forks import FORKS

THREADS = 16  # that copy at the same time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mindlift.storage.copying.copy import Report
    from mindlift.storage.store import Store
    from mindlift.storage.url import PathLike


def places() -> ModuleType:
    with FORKS.importing():
        from mindlift.storage import places

    return places


def copies() -> ModuleType:
    with FORKS.importing():
        from mindlift.storage.copying import copy

    return copy


def locate(url: PathLike) -> tuple[Store, str]:
    return places().locate(url)


def exists(url: PathLike) -> bool:
    return places().exists(url)


def set_auth(**given: object) -> None:
    places().set_auth(**given)


def copy_file(source: str, target: str) -> Report:
    return copies().copy_file(source, target)


def copy_tree(
    source: str,
    target: str,
    names: Sequence[str] | None = None,
    threads: int = THREADS,
    processes: bool | int = True,
) -> Report:
    return copies().copy_tree(source, target, names, threads, processes)


def copy_chosen(source: str, target: str, accepts: Callable[[str], bool]) -> Report:
    """A folder's files that `accepts` wants, by their names relative to it."""
    return copies().copy_tree(source, target, threads=THREADS, accepts=accepts)
