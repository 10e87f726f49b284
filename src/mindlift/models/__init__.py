"""The families of networks: one folder each, found by name. See docs/adding.md."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mindlift.backports import Protocol

if TYPE_CHECKING:
    import mindspore.nn as nn

    from mindlift.models.weights.layouts import WeightMap

HERE = Path(__file__).parent


class Family(Protocol):
    """What a family's network module has, and `TASK` where that is not classification."""

    @property
    def __name__(self) -> str: ...

    @property
    def VARIANTS(self) -> Mapping[str, object]:
        """By name; what a value means is the family's own business."""

    @property
    def build(self) -> Callable[..., nn.Cell]:
        """(variant, num_classes, on_cpu, *, options): those of default_config.yaml that the family has a use for."""

    def least_side(self, variant: str) -> int:
        """The smallest height and width of an image."""


def families() -> dict[str, Family]:
    """Family name -> its network module. Imports all of them, and so mindspore."""
    folders = sorted(path.parent.name for path in HERE.glob("*/network.py"))
    return {
        name: cast(Family, importlib.import_module(f"mindlift.models.{name}.network")) for name in folders
    }


def networks(folder: Path = HERE) -> dict[str, list[str]]:
    """Family -> its networks, read from the text of network.py: importing it takes MindSpore and seconds."""
    found = {}
    for path in sorted(folder.glob("*/network.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        values = {
            getattr(each.targets[0], "id", ""): each.value for each in body if isinstance(each, ast.Assign)
        }
        variants = values["VARIANTS"]
        assert isinstance(variants, ast.Dict), path
        found[path.parent.name] = [ast.literal_eval(key) for key in variants.keys if key]
    return found


def weight_maps() -> dict[str, WeightMap]:
    """Family name -> its weights module: the layouts of the files it can read. Imports no mindspore."""
    folders = sorted(path.parent.name for path in HERE.glob("*/weights.py"))
    return {
        name: cast("WeightMap", importlib.import_module(f"mindlift.models.{name}.weights"))
        for name in folders
    }


def family_of(net: str) -> Family:
    """The network module that has variant `net`; KeyError names those there are."""
    modules = families()
    for module in modules.values():
        if net in module.VARIANTS:
            return module
    known = sorted(variant for module in modules.values() for variant in module.VARIANTS)
    raise KeyError(f"unknown net '{net}'; known: {', '.join(known)}")


def task_of(net: str) -> str:
    """What the variant is trained for, as its family's TASK says; see src/mindlift/tasks/base.py."""
    return getattr(family_of(net), "TASK", "classification")


def options_of(family: Family) -> tuple[str, ...]:
    """The options that the family's `build` takes by name."""
    parameters = inspect.signature(family.build).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def options_of_others(net: str) -> list[str]:
    """The options that other families have and that of `net` has not."""
    own = set(options_of(family_of(net)))
    return sorted({name for module in families().values() for name in options_of(module)} - own)


def build(net: str, num_classes: int, options: Mapping[str, object], on_cpu: bool = False) -> nn.Cell:
    """The network cell; of `options` it takes those that its family has.

    `on_cpu` lets a family compute the same function in the way that is fast there.
    """
    module = family_of(net)
    return module.build(net, num_classes, on_cpu, **{name: options[name] for name in options_of(module)})
