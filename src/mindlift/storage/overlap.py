"""How two places lie to each other, whatever their spelling."""

from __future__ import annotations

import os

from mindlift.errors import TransferError
from mindlift.storage.url import PathLike, local_path, parse


def relation(source: PathLike, target: PathLike) -> str:
    """same; inside: the target is in the source; around: the source is in the target; apart."""
    first, second = whereabouts(source), whereabouts(target)
    if first == second:
        return "same"
    if second.startswith(f"{first}/"):
        return "inside"
    return "around" if first.startswith(f"{second}/") else "apart"


def whereabouts(url: PathLike) -> str:
    """Equal for equal places: links of local paths are resolved, `s3://b//k/` is `obs://b/k`."""
    remote = parse(url)
    path = f"obs://{remote.bucket}/{remote.key}" if remote else os.path.realpath(local_path(url))
    return path.rstrip("/")


def refuse_overlap(source: PathLike, target: PathLike, delete: bool = False) -> None:
    """TransferError for a folder that would be copied into itself, or mirrored over one that it is in."""
    found = relation(source, target)
    if found == "inside" or (found == "around" and delete):
        raise TransferError(f"refused to copy {source} to {target}: one of the two folders is in the other")
