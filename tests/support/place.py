"""Which rank of how many, for what asks only that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0
