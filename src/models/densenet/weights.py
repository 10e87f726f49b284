"""Names of DenseNet tensors in other people's checkpoints -> names in this network. Pure.

Sources: the original MindSpore zoo (`backbone.features.denseblock1.cell_list.0.norm1.gamma`), mindcv
(the same without `backbone.`, head `classifier`) and this project. Layers count from 1 or, where
`cell_list` is said, from 0.
"""

from __future__ import annotations

import re

BLOCK = re.compile(r"features\.denseblock(\d+)\.(?:cell_list\.(\d+)|denselayer(\d+))\.(.+)")
TRANSITION = re.compile(r"features\.transition(\d+)\.(?:features\.)?(norm|conv)\.(.+)")
STEM = re.compile(r"features\.(conv0|norm0)\.(.+)")
LAST_NORM = re.compile(r"features\.norm(?:5|_last)\.(.+)")
HEAD = re.compile(r"(?:head\.fc|classifier)\.(weight|bias)")
HEAD_NAMES = ("classifier.weight", "classifier.bias")


def canonical(name: str) -> str:
    """This network's name of a tensor; names it does not know come back unchanged."""
    name = re.sub(r"^(?:network\.)?(?:backbone\.)?", "", name)
    if match := BLOCK.fullmatch(name):
        block, from_zero, from_one, rest = match.groups()
        layer = int(from_zero) if from_zero is not None else int(from_one) - 1
        return f"stages.{2 * (int(block) - 1)}.layers.{layer}.{rest}"
    if match := TRANSITION.fullmatch(name):
        return f"stages.{2 * int(match[1]) - 1}.{match[2]}.{match[3]}"
    if match := STEM.fullmatch(name):
        return f"stem.{match[1]}.{match[2]}"
    if match := LAST_NORM.fullmatch(name):
        return f"norm.{match[1]}"
    if match := HEAD.fullmatch(name):
        return f"classifier.{match[1]}"
    return name
