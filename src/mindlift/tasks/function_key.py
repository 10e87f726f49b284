"""A key of what a network computes: equal for equal parameters in equal cells, whatever options and files they came from."""

from __future__ import annotations

import enum
import functools
import hashlib
import types
from collections.abc import Iterable, Mapping

import mindspore as ms
import mindspore.nn as nn
import numpy as np
from mindspore.common.initializer import Initializer

OF_MINDSPORE = {"_cell_init_args", "_func_graph_flags"}  # has addresses; is not of the forward pass
PLAIN = (bool, int, float, complex, str, bytes, range, slice, np.generic, np.dtype, ms.Type)


def function_key(network: nn.Cell) -> str:
    """SHA-256 of all that decides the results of `network`: its cells with their settings, parameters and constants.

    That an option was forgotten can't happen, as it could in a list of them: one that changes results changes a cell.
    The same in every process and before and after the network's use.
    """
    return hashlib.sha256(Description(network).text().encode()).hexdigest()


class Description:
    """A network as text. What a cell holds is described by its content, and by its name if it has one here."""

    def __init__(self, network: nn.Cell):
        self.cells = dict(network.cells_and_names())
        self.parameters = {parameter.name: parameter for parameter in network.get_parameters()}
        self.names = {id(each): name for name, each in {**self.cells, **self.parameters}.items()}
        self.of_every_cell = vars(nn.Cell()).keys() | OF_MINDSPORE
        self.inside: list[object] = []

    def text(self) -> str:
        cells = [f"{name}: {self.of_cell(cell)}" for name, cell in self.cells.items()]
        parameters = [f"{name}: {content(each.asnumpy())}" for name, each in self.parameters.items()]
        return "\n".join(cells + parameters)

    def of_cell(self, cell: nn.Cell) -> str:
        own = {name: value for name, value in vars(cell).items() if name not in self.of_every_cell}
        return f"{name_of(type(cell))} {self.of_mapping(own)}"

    def of(self, value: object) -> str:
        """The same for equal values in every process; TypeError for what has no such text."""
        if isinstance(value, Initializer):  # what it has drawn is in a parameter
            return ""
        if id(value) in self.names and isinstance(value, (nn.Cell, ms.Parameter)):
            return f"<{self.names[id(value)]}>"
        if value is None or isinstance(value, PLAIN):
            return repr(value)
        if isinstance(value, ms.Tensor):
            return content(value.asnumpy())
        if isinstance(value, np.ndarray):
            return content(value)
        if isinstance(value, (type, enum.Enum)):
            return name_of(value) if isinstance(value, type) else str(value)
        if any(value is each for each in self.inside):
            return "<around it>"
        self.inside.append(value)
        try:
            return self.of_structure(value)
        finally:
            self.inside.pop()

    def of_structure(self, value: object) -> str:
        if isinstance(value, nn.Cell):  # in a list of Python's, so that the network does not know it
            return self.of_cell(value) + self.of_all(value.cells()) + self.of_all(value.get_parameters())
        if isinstance(value, (tuple, list)):
            return self.of_all(value)
        if isinstance(value, (set, frozenset)):
            return " ".join(sorted(map(self.of, value)))
        if isinstance(value, Mapping):
            return self.of_mapping(value)
        if isinstance(value, types.FunctionType):
            outer = [cell.cell_contents for cell in value.__closure__ or ()]
            given = (value.__defaults__, value.__kwdefaults__, outer)
            return f"{name_of(value)} {self.of(value.__code__)} {self.of(given)}"
        if isinstance(value, types.CodeType):
            return f"{value.co_code!r} {value.co_names} {self.of(value.co_consts)}"
        if isinstance(value, types.MethodType):
            return f"{name_of(value)} of {self.of(value.__self__)}"
        if isinstance(value, types.BuiltinFunctionType):
            return name_of(value)
        if isinstance(value, functools.partial):
            return self.of([value.func, value.args, value.keywords])
        if hasattr(value, "__dict__"):  # an operator, or an object of somebody's own
            return f"{name_of(type(value))} {self.of_mapping(vars(value))}"
        raise TypeError(f"a cell holds a {type(value).__qualname__}, which can't be described")

    def of_all(self, values: Iterable[object]) -> str:
        return f"({', '.join(map(self.of, values))})"

    def of_mapping(self, values: Mapping) -> str:
        return (
            f"{{{', '.join(sorted(f'{self.of(key)}: {self.of(value)}' for key, value in values.items()))}}}"
        )


def name_of(thing: type | types.FunctionType | types.MethodType | types.BuiltinFunctionType) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def content(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
