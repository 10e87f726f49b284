"""What wrappers put before the names of tensors, and how to do without. Pure.

`names` are name -> name in the file.
"""

from __future__ import annotations

from typing import Mapping

# Of data parallel, torch.compile, training cells, and feature extractors.
WRAPPERS = ("module.", "_orig_mod.", "network.", "backbone.")
# Of networks inside of somebody's own one, beside parts of other names (a head, a loss).
INNER = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "base_model.")


def of_wrappers(names: Mapping[str, str]) -> list[str]:
    """The wrappers' prefixes that all names begin with, outermost first."""
    found: list[str] = []
    rest = list(names)
    while True:
        prefix = next((one for one in WRAPPERS if rest and all(name.startswith(one) for name in rest)), "")
        if not prefix:
            return found
        found.append(prefix)
        rest = [name[len(prefix) :] for name in rest]


def another(names: Mapping[str, str]) -> str:
    """A prefix to try without, where nobody knows the names: one that all have, or most if it is a usual one; or ''."""
    firsts = [name.partition(".")[0] + "." for name in names if "." in name]
    if firsts and len(firsts) == len(names) and len(set(firsts)) == 1:
        return firsts[0]
    for prefix in INNER:
        if 2 * firsts.count(prefix) > len(names) and len(without(names, prefix)) == len(names):
            return prefix
    return ""


def without(names: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The names without `prefix`, where they have it."""
    return {
        name[len(prefix) :] if name.startswith(prefix) else name: origin for name, origin in names.items()
    }
