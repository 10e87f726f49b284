"""The network of an exported MINDIR as TensorBoard's graph.

A MINDIR (mindspore's mind_ir.proto) says of each operation its place among the cells in `domain`, as in
"Default/stem-CifarStem/conv0-Conv2d/Conv2D-op0", which TensorBoard folds by its slashes. What only MindSpore's order
of effects needs (Load, UpdateState, Depend) and tuples are passed through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mindlift.errors import ConfigError, DataError

THROUGH = {"Load": 1, "Depend": 1, "TupleGetItem": 1, "MakeTuple": None}  # how many of their inputs are data
LEFT_OUT = ("UpdateState", "Constant")


def is_model(name: str) -> bool:
    return name.endswith(".mindir")


def read(path: Path) -> Any:
    """The graph of the file as a GraphDef; DataError if it is no MINDIR, ConfigError where mindspore is missing."""
    try:
        from google.protobuf.message import DecodeError
        from mindspore.train.mind_ir_pb2 import ModelProto
    except ImportError as err:
        raise ConfigError(f"reading {path} needs MindSpore here: {err}") from None
    try:
        model = ModelProto.FromString(path.read_bytes())
    except OSError as err:
        raise DataError(f"can't read {path}: {err.strerror}") from None
    except DecodeError:
        raise DataError(f"{path} is no MINDIR file, or cut short; export.py writes one") from None
    if not model.graph.node:
        raise DataError(f"{path} holds no graph; export.py writes one")
    return graph_of(model.graph)


class Drawing:
    """A tensorboardX GraphDef that grows node by node."""

    def __init__(self) -> None:
        from tensorboardX.proto.graph_pb2 import GraphDef

        self.graph = GraphDef()
        self.taken: set[str] = set()

    def put(
        self, name: str, kind: str, inputs: Iterable[str] = (), shapes: Iterable[Iterable[int]] = ()
    ) -> str:
        """Append a node with the shapes of its outputs; returns its name, which has a number where it was taken."""
        from tensorboardX.proto.attr_value_pb2 import AttrValue
        from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        free = next(each for each in names if each not in self.taken)
        self.taken.add(free)
        node = self.graph.node.add(name=free, op=kind, input=list(inputs))
        sizes = [
            TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape]) for shape in shapes
        ]
        if sizes:
            node.attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=sizes)))
        return free


def graph_of(graph: Any) -> Any:
    """A tensorboardX GraphDef of a mindspore GraphProto."""
    drawing = Drawing()
    known: dict[str, list[str]] = {}  # what a name of the MINDIR stands for in TensorBoard's graph

    def resolved(names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(each for name in names for each in known.get(name, [])))

    for each in graph.input:
        known[each.name] = [drawing.put(plain(each.name), "Input", shapes=[each.tensor[0].dims])]
    for each in graph.parameter:
        name = plain(each.name).replace(".", "/")
        known[each.name] = [drawing.put(name, "Parameter", shapes=[each.dims])]
    for node in graph.node:
        kind = kind_of(node.op_type)
        if kind in LEFT_OUT:
            continue
        names = resolved(node.input[: THROUGH.get(kind)])
        if kind not in THROUGH:
            names = [drawing.put(place_of(node, kind), kind, names, shapes_of(node))]
        known.update(dict.fromkeys(node.output, names))
    for number, each in enumerate(graph.output):
        drawing.put(f"output_{number}", "Output", resolved([each.name]))
    return drawing.graph


def kind_of(op_type: str) -> str:
    """Conv2D of "REF::Conv2D:27"."""
    return op_type.replace("REF::", "").partition(":")[0]


def plain(name: str) -> str:
    """The name of an input or parameter without that of its graph."""
    return name.rpartition(":")[2]


def place_of(node: Any, kind: str) -> str:
    """stages/0/conv1/Conv2D-op0: the cells by their names, without their classes."""
    *cells, own = node.domain.split("/") if node.domain else [f"{kind}-{plain(node.name)}"]
    return "/".join([*(cell.partition("-")[0] for cell in cells if cell != "Default"), own])


def shapes_of(node: Any) -> list[list[int]]:
    return [list(part.dims) for each in node.attribute if each.name == "shape" for part in each.tensors]
