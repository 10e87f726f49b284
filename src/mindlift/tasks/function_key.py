"""A key of what a network computes: equal for equal parameters in equal cells, whatever options and files they came from."""

from __future__ import annotations

import hashlib
import json

import mindspore as ms
import mindspore.nn as nn


def function_key(network: nn.Cell) -> str:
    """SHA-256 of all that decides the results of `network`: its cells with their settings, parameters and constants.

    That an option was forgotten can't happen, as it could in a list of them: one that changes results changes a cell.
    """
    digest = hashlib.sha256()
    of_every_cell = vars(nn.Cell()).keys()
    for name, cell in network.cells_and_names():
        digest.update(f"\n{name} {type(cell).__qualname__} ".encode())
        own = {key: value for key, value in vars(cell).items() if key not in of_every_cell and key[0] != "_"}
        settings = {key: setting(value) for key, value in own.items()}
        digest.update(
            json.dumps({key: value for key, value in settings.items() if value}, sort_keys=True).encode()
        )
    for parameter in network.get_parameters():
        digest.update(f"\n{parameter.name} {content(parameter)}".encode())
    return digest.hexdigest()


def setting(value: object) -> str:
    """An attribute of a cell as text; '' for what is none of its settings, such as cells and parameters."""
    if isinstance(value, ms.Parameter):
        return ""
    if isinstance(value, ms.Tensor):
        return content(value)
    if isinstance(value, ms.ops.Primitive):
        return f"{value.name} {sorted((key, setting(each)) for key, each in value.attrs.items())}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(setting, value))})"
    is_plain = value is None or isinstance(value, (bool, int, float, str, type(ms.float32)))
    return repr(value) if is_plain else ""


def content(tensor: ms.Tensor) -> str:
    array = tensor.asnumpy()
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
