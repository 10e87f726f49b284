"""When a file that the program has deleted is deleted in the bucket. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable


class Deletions:
    """Each waits until everything has arrived that was here, and not yet in the bucket, when it was noticed.

    So a checkpoint goes after the one that takes its place has come.
    """

    def __init__(self) -> None:
        self.before: dict[str, set[str]] = {}  # of each deleted file: what has to arrive before

    def notice(self, published: Collection[str], here: Collection[str], waiting: Iterable[str]) -> None:
        """What of `published` is not `here` any more; `waiting` are those here that have not arrived."""
        for name in set(self.before) & set(here):
            del self.before[name]
        gone = set(published) - set(here) - set(self.before)
        if gone:
            after = set(waiting)
            self.before.update((name, set(after)) for name in gone)

    def arrived(self, name: str) -> None:
        for after in self.before.values():
            after.discard(name)

    def done(self, name: str) -> None:
        self.before.pop(name, None)

    def due(self, here: Collection[str], grows: Callable[[str], bool]) -> list[str]:
        """Nothing waits for what is gone itself, or for a log, which never arrives as a whole."""
        return [
            name
            for name, after in self.before.items()
            if all(each not in here or grows(each) for each in after)
        ]
