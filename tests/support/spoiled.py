"""Copies through a proxy that spoils their exchanges."""

from __future__ import annotations

import os
from pathlib import Path

from mindlift.storage.copying.copy import copy_tree
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault
from tests.support.servers import LEAST_PART, MB
from tests.support.transfers import Bucket, content, parts

SMALL, LARGE = os.urandom(100_000), os.urandom(3 * MB + 17)
IN_PARTS = os.urandom(2 * LEAST_PART + 17)
DOWN = {"k/small": SMALL, "k/large": LARGE}
UP = {"k/small": SMALL, "k/parts": IN_PARTS}


class Spoiled:
    """A bucket, a proxy before it that URLs lead through, and a folder of this machine."""

    def __init__(self, bucket: Bucket, proxy: FaultProxy, folder: Path):
        self.bucket, self.proxy, self.folder = bucket, proxy, folder

    def down(self) -> dict[str, bytes]:
        """What is in the folder after a download."""
        copy_tree(self.bucket.url("p"), str(self.folder / "to"), processes=False)
        return content(self.folder / "to")

    def up(self) -> dict[str, bytes]:
        copy_tree(str(self.folder / "from"), self.bucket.url("up"), processes=False)
        return self.bucket.content("up/")

    def across(self) -> dict[str, bytes]:
        copy_tree(self.bucket.url("p"), self.bucket.url("copied"), processes=False)
        return self.bucket.content("copied/")

    def visible(self, direction: str) -> dict[str, bytes]:
        if direction == "down":
            return content(self.folder / "to") if (self.folder / "to").exists() else {}
        return self.bucket.content("up/" if direction == "up" else "copied/")

    def is_clean(self) -> bool:
        """Nothing is left that nobody sees."""
        return not parts(self.folder) and not self.bucket.uploads()


def arguments(fault: Fault) -> dict:
    """A fault counts its uses: every test gets its own."""
    return {name: value for name, value in vars(fault).items() if name != "used"}
