"""One network of another package as a family of this project: see mindlift.models.Family and WeightMap."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping

import mindspore.nn as nn
import yaml

from mindlift import yaml_text
from mindlift.errors import ConfigError
from mindlift.models.external import cells, conventions, names, peers
from mindlift.models.weights.layouts import OURS, Layout, Shapes

# What other packages call what this project has an option for. A network gets what it has a parameter for.
SPELLINGS = {
    "image_size": ("image_size", "img_size"),
    "dropout": ("drop_rate", "dropout_rate", "dropout"),
    "drop_path": ("drop_path_rate", "drop_path", "drop_connect_rate"),
}
WITHOUT = {"aux_logits": False}  # classifiers beside the one that counts, which only train
CONVENTIONS = "conventions"  # of --net_args: whose the network computes by, see models/external/peers.py
TWICE = re.compile(r"multiple values for (?:keyword )?argument '(\w+)'")
BUILTIN_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class External:
    """A Family with one network, and its WeightMap: its own names, and those of other files that can be told."""

    NETWORK: Mapping[str, object] = {"net_args": None}

    def __init__(self, net: str):
        names.check(net)
        self.net = net
        self.__name__ = f"external.{net}"
        self.VARIANTS = {net: net}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.class_name = self.net_args = self.way = ""  # of the network that was built last
        self.again: Callable[[int], cells.Logits] | None = None

    def build(
        self,
        variant: str,
        num_classes: int,
        on_cpu: bool,
        *,
        image_size: tuple[int, int],
        eval_image_size: tuple[int, int] | None,
        dropout: float | None,
        drop_path: float | None,
        net_args: str,
    ) -> nn.Cell:
        """The network with a `num_classes`-way head, tried with one image. ConfigError for what it has no use for."""
        wanted = {"dropout": dropout, "drop_path": drop_path}
        make = maker(self.net)
        given = parsed(net_args, self.net, make)
        self.net_args, self.way = net_args or "", str(given.pop(CONVENTIONS, ""))
        arguments = {
            **image_argument(make, image_size),
            **own_arguments(self.net, make, wanted),
            **given,
        }
        self.again = functools.partial(made, self.net, make, arguments, self.way)
        network = self.again(num_classes)
        sizes = [image_size, *([eval_image_size] if eval_image_size not in (None, image_size) else [])]
        cells.check(network, self.net, num_classes, [size for size in sizes if size])
        self.shapes, self.class_name = shapes_of(network), class_name(network.network)
        return network

    def least_side(self, variant: str) -> int:
        """Not known; `build` tries the sizes that are wanted."""
        return 1

    @functools.lru_cache(maxsize=None)  # noqa: B019  as many as networks that are named
    def head(self) -> tuple[str, ...]:
        """The tensors whose shapes are those of the number of classes, found by another network with one class more."""
        assert self.again is not None, "after build"
        before = self.again(2)
        other = shapes_of(self.again(3))
        return tuple(name for name, shape in shapes_of(before).items() if other.get(name) != shape)

    def layout_of(self, shapes: Shapes) -> Layout | None:
        """Tensors that have most of the network's names are this network's, whoever wrote them; so are those of timm and
        torchvision that models/external/peers.py knows, if the network computes as theirs does.
        """
        source = peers.source_of(self.class_name, self.shapes, shapes)
        if source is not None:
            return Layout(
                source.name,
                peers.rename_of(source, self.shapes),
                {"net_args": self.arguments_of(source)},
                fold=peers.fold_of(source, self.shapes),
                unused=(peers.UNUSED,),
                head=self.head,
                constants=peers.constants_of(self.shapes),
            )
        shared = len(self.shapes.keys() & shapes.keys())
        needs = {"net_args": (without_way(self.net_args),)} if self.way else {}
        return Layout(OURS, needs=needs, head=self.head) if 2 * shared > len(self.shapes) else None

    def arguments_of(self, source: peers.Source) -> tuple[str, ...]:
        """The --net_args with which the network computes what that of `source` does."""
        if self.way in source.ways:
            return (self.net_args,)
        rest = without_way(self.net_args)
        return tuple(f"{rest}{',' if rest else ''}{CONVENTIONS}={word}" for word in source.ways)

    def variant_of(self, shapes: Shapes, variants: Mapping[str, object]) -> str | None:
        return next((net for net in variants if net == self.net), None)


def without_way(net_args: str) -> str:
    return re.sub(rf",?\s*\b{CONVENTIONS}\s*=\s*\w*", "", net_args).strip(" ,")


def class_name(network: nn.Cell) -> str:
    return f"{type(network).__module__}.{type(network).__qualname__}"


def shapes_of(network: nn.Cell) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in network.parameters_dict().items()}


@functools.lru_cache(maxsize=None)
def of(net: str) -> External:
    """The family of one network, made once; ConfigError if it is not there."""
    return External(net)


def maker(net: str) -> Callable[..., object]:
    """What makes the network; ConfigError if there is none, or if its module can't be imported."""
    package, name = names.parts(net)
    try:
        if package == names.MINDCV:
            importlib.import_module("mindcv.models")
            registry = importlib.import_module("mindcv.models.registry")
            return functools.partial(registry.model_entrypoint(name), pretrained=False, in_channels=3)
        module = importlib.import_module(package)
    except Exception as err:  # a stranger's module does what it likes while it is imported
        raise ConfigError(f"--net {net}: importing {package} failed: {cells.reason(err)}") from err
    found = getattr(module, name, None)
    if not callable(found):
        callables = sorted(each for each, value in own_callables(module))
        has = ", ".join(callables[:8]) or "none"
        raise ConfigError(f"--net {net}: {package} has no function or class '{name}'; it has {has}")
    if "num_classes" not in parameters_of(found):
        raise ConfigError(
            f"--net {net} takes no num_classes; write `def {name}(num_classes): ...` that returns a mindspore.nn.Cell"
        )
    return found


def own_callables(module: types.ModuleType) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if (
            callable(value)
            and not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
        ):
            yield name, value


def parameters_of(make: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """What `make` takes by name: its own parameters, and where it hands others on, those of the cells that it makes."""
    found: dict[str, inspect.Parameter] = {}
    sources: list[Callable[..., object]] = [make, *made_by(make)]
    for each in sources:
        for name, parameter in inspect.signature(each).parameters.items():
            if parameter.kind in BUILTIN_KINDS:
                found.setdefault(name, parameter)
    return found


def made_by(make: Callable[..., object]) -> list[type[nn.Cell]]:
    """The classes of cells that a function with **kwargs names, or a function of its module that it calls."""
    function = make.func if isinstance(make, functools.partial) else make
    if not isinstance(function, types.FunctionType) or not hands_on(function):
        return []
    found: list[type[nn.Cell]] = []
    for inner in [function, *called_by(function)]:
        for name in inner.__code__.co_names:
            value = inner.__globals__.get(name)
            if isinstance(value, type) and issubclass(value, nn.Cell):
                found.append(value)
    return found


def hands_on(function: types.FunctionType) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def called_by(function: types.FunctionType) -> list[types.FunctionType]:
    values = [function.__globals__.get(name) for name in function.__code__.co_names]
    return [
        value
        for value in values
        if isinstance(value, types.FunctionType) and value.__module__ == function.__module__
    ]


def image_argument(make: Callable[..., object], size: tuple[int, int]) -> dict[str, object]:
    """The size of the images as the network takes it, where it does and has another default."""
    known = parameters_of(make)
    for name in SPELLINGS["image_size"]:
        if name in known:
            default = known[name].default
            value: object = size if isinstance(default, (tuple, list)) else size[0]
            same = (
                tuple(default) == size if isinstance(default, (tuple, list)) else (default, default) == size
            )
            return {} if same or (not isinstance(value, tuple) and size[0] != size[1]) else {name: value}
    return {}


def own_arguments(
    net: str, make: Callable[..., object], wanted: Mapping[str, float | None]
) -> dict[str, object]:
    """The options that somebody has set, as the network calls them; ConfigError for one that it has not."""
    known = parameters_of(make)
    found: dict[str, object] = dict(pair for pair in WITHOUT.items() if pair[0] in known)
    for option, value in wanted.items():
        if value is None:
            continue
        name = next((each for each in SPELLINGS[option] if each in known), "")
        if not name:
            raise ConfigError(f"--{option} {value:g} has no effect on {net}; leave it out")
        found[name] = value
    return found


def parsed(text: str, net: str, make: Callable[..., object]) -> dict[str, object]:
    """`depth=12,dim=[64, 128]` as arguments; ConfigError for text that is none, or that the network does not take."""
    if not text:
        return {}
    try:
        given = yaml_text.parse("{" + re.sub(r"(\w+)\s*=\s*", r"\1: ", text) + "}")
    except yaml.YAMLError:
        given = None
    if (
        not isinstance(given, dict)
        or None in given.values()
        or not all(isinstance(key, str) for key in given)
    ):
        raise ConfigError(f"--net_args {text}: expected name=value, with commas between several")
    unknown = sorted(given.keys() - parameters_of(make).keys() - {CONVENTIONS})
    if unknown:
        takes = ", ".join(sorted(parameters_of(make).keys() - {"pretrained", "in_channels", "num_classes"}))
        raise ConfigError(f"--net_args {text}: {net} takes no {unknown[0]}; it takes {takes or 'nothing'}")
    return given


def made(
    net: str, make: Callable[..., object], arguments: Mapping[str, object], way: str, num_classes: int
) -> cells.Logits:
    """The adapted network. What its maker settles itself, such as the size of its images, is left to it."""
    given = dict(arguments)
    while True:
        try:
            network = cells.adapt(make(num_classes=num_classes, **given), net)
            if way:
                conventions.apply(network.network, way_of(network.network, net, way))
            return network
        except ConfigError:
            raise
        except Exception as err:  # whatever a stranger's program raises
            settled = TWICE.search(str(err)) if isinstance(err, TypeError) else None
            if settled and settled[1] in (*SPELLINGS["image_size"], *WITHOUT) and settled[1] in given:
                del given[settled[1]]
                continue
            shown = ", ".join(f"{name}={value}" for name, value in given.items())
            raise ConfigError(
                f"--net {net} can't be made{f' with {shown}' if shown else ''}: {cells.reason(err)}"
            ) from err


def way_of(network: nn.Cell, net: str, way: str) -> peers.Conventions:
    known = peers.ways_of(class_name(network), shapes_of(network))
    if way not in known:
        others = f"choose {' or '.join(sorted(known))}, or leave it out" if known else "leave it out"
        raise ConfigError(f"--net_args {CONVENTIONS}={way}: not known of {net}; {others}")
    return known[way]
