"""The families of networks: one folder each, found by name. See docs/adding.md.

Other packages can have families too, and any network can be named by where it is: models/external/names.py.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mindlift.backports import Protocol
from mindlift.errors import ConfigError
from mindlift.models.external import names

if TYPE_CHECKING:
    import mindspore.nn as nn

    from mindlift.models.external.family import External
    from mindlift.models.weights.layouts import WeightMap

HERE = Path(__file__).parent
OF_EVERY_NETWORK = {"image_size", "eval_image_size"}  # some are built for a size, but all have images of one
OF_OTHERS = {"net_args"}  # options that networks of other packages alone take


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


def packages() -> dict[str, str]:
    """Family name -> the package with its modules: this project's, then those that other packages announce."""
    folders = sorted(path.parent.name for path in HERE.glob("*/network.py"))
    own = {name: f"mindlift.models.{name}" for name in folders}
    return {**names.announced(), **own}


def families() -> dict[str, Family]:
    """Family name -> its network module. Imports all of them, and so mindspore."""
    return {name: cast(Family, imported(name, "network")) for name in packages()}


def imported(family: str, module: str) -> object:
    """A module of a family; ConfigError for one of another package that can't be imported."""
    package = packages()[family]
    if package.startswith("mindlift."):
        return importlib.import_module(f"{package}.{module}")
    names.folder_of(family)
    try:
        return importlib.import_module(f"{package}.{module}")
    except Exception as err:  # a stranger's module does what it likes while it is imported
        reason = f"{type(err).__name__}: {' '.join(str(err).split())}"
        raise ConfigError(
            f"the family '{family}' ({package}): importing its {module}.py failed: {reason}"
        ) from err


def networks(folder: Path = HERE) -> dict[str, list[str]]:
    """Family -> its networks, read from the text of network.py: importing it takes MindSpore and seconds."""
    found = {path.parent.name: variants_in(path) for path in sorted(folder.glob("*/network.py"))}
    if folder == HERE:
        for name in names.announced().keys() - found.keys():
            found[name] = variants_in(names.folder_of(name) / "network.py")
    return found


def variants_in(path: Path) -> list[str]:
    """The keys of VARIANTS, which is written as a dict; ConfigError if it is not."""
    return list(variants_of(path.read_text(encoding="utf-8"), path))


@functools.lru_cache(maxsize=None)  # a start asks ten times
def variants_of(text: str, path: Path) -> tuple[str, ...]:
    body = ast.parse(text).body
    values = {getattr(each.targets[0], "id", ""): each.value for each in body if isinstance(each, ast.Assign)}
    variants = values.get("VARIANTS")
    if not isinstance(variants, ast.Dict):
        raise ConfigError(f"{path}: VARIANTS must be written as a dict, whose keys are names of networks")
    return tuple(ast.literal_eval(key) for key in variants.keys if key)


def weight_maps() -> dict[str, WeightMap]:
    """Family name -> its weights module: the layouts of the files it can read. Imports no mindspore."""
    return {name: cast("WeightMap", imported(name, "weights")) for name in packages()}


def weight_map(family: str) -> WeightMap:
    """That of one family, or of a network that is a family of its own."""
    return external(family) if names.is_external(family) else cast("WeightMap", imported(family, "weights"))


def external(net: str) -> External:
    """A network of another package; ConfigError if it is not there. Imports mindspore."""
    from mindlift.models.external import family

    return family.of(net)


def family_of(net: str) -> Family:
    """The network module that has variant `net`; KeyError names those there are."""
    if names.is_external(net):
        return external(net)
    return cast(Family, imported(family_name(net), "network"))


def family_name(net: str) -> str:
    """The family that has variant `net`, which is its own if it is named by where it is."""
    if names.is_external(net):
        return net
    known = networks()
    found = next((name for name, variants in known.items() if net in variants), None)
    if found is None:
        every = sorted(variant for variants in known.values() for variant in variants)
        raise KeyError(f"unknown net {net!r}; known: {', '.join(every)}; or {names.HOW_TO_NAME}")
    return found


def file_name(net: str) -> str:
    """The network's name as a part of a file's name."""
    return net.replace(names.MARK, "_")


def head_of(net: str) -> tuple[str, ...]:
    """The tensors of the network's classifier, after it was built."""
    if names.is_external(net):
        return external(net).head()
    from mindlift.models.weights.layouts import HEAD

    return HEAD


def task_of(net: str) -> str:
    """What the variant is trained for, as its family's TASK says; see src/mindlift/tasks/base.py."""
    if names.is_external(net):
        return "classification"
    return getattr(family_of(net), "TASK", "classification")


def options_of(family: Family) -> tuple[str, ...]:
    """The options that the family's `build` takes by name."""
    parameters = inspect.signature(family.build).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


def options_of_others(net: str) -> list[str]:
    """The options that other families have and that of `net` has not."""
    own = set(options_of(family_of(net)))
    every = {name for module in families().values() for name in options_of(module)}
    return sorted((every | OF_OTHERS) - own - OF_EVERY_NETWORK)


def build(net: str, num_classes: int, options: Mapping[str, object], on_cpu: bool = False) -> nn.Cell:
    """The network cell; of `options` it takes those that its family has.

    `on_cpu` lets a family compute the same function in the way that is fast there.
    """
    module = family_of(net)
    return module.build(net, num_classes, on_cpu, **{name: options[name] for name in options_of(module)})
