"""Reads the pickles of torch.save without running anything that they name.

A pickle is a program for a small stack machine (Python's pickletools.py describes its instructions). `pickle.load`
imports and calls whatever the program says; here only the instructions that torch.save writes are known, and the
only "calls" are those of vocabulary.CALLS. What another call would give is an Inert, which holds nothing.
"""

from __future__ import annotations

import pickletools
import reprlib
from collections.abc import Callable
from typing import Any

from mindlift import limits
from mindlift.backports import Protocol
from mindlift.errors import CheckpointError
from mindlift.models.weights.vocabulary import (
    CALLS,
    OLD_PARAMETER,
    Blank,
    Global,
    Inert,
    Placed,
    Storage,
    allowed,
    is_part_of_tensors,
    named,
    storage_of,
    with_plain_keys,
)


class Bytes(Protocol):
    """What holds the pickle: a file in memory, which reads no more than it has."""

    def read(self, __count: int) -> bytes: ...

    def readline(self) -> bytes: ...

    def tell(self) -> int: ...


class Mark:
    """Where a group of values begins on the stack."""


def load(file: Bytes) -> tuple[object, dict[str, Storage | Inert]]:
    """The next pickle of `file`, and the storages that it refers to by their keys.

    It consists of dicts, lists, tuples and plain values, with a Placed for each tensor and an Inert for each other
    object. CheckpointError if it has what no training writes, or more than limits.PICKLE_INSTRUCTIONS; what a damaged
    one raises is of any class, as of all decoders: see files.read.
    """
    machine = Machine()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if opcode.name == "STOP":
            return machine.stack.pop(), machine.storages
        if number + machine.copied > limits.PICKLE_INSTRUCTIONS:
            raise CheckpointError(
                f"its pickle has more than {limits.PICKLE_INSTRUCTIONS:,} instructions; save the state_dict() alone"
            )
        machine.do(opcode.name, argument)
    raise EOFError("its pickle has no end")


class Machine:
    """The stack, its marks and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage | Inert] = {}
        self.copied = 0  # elements that calls were given: each may be given the same list again

    def do(self, name: str, argument: Any) -> None:
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif name in ACTIONS:
            ACTIONS[name](self, argument)
        elif name not in ("PROTO", "FRAME"):
            raise CheckpointError(f"its pickle has the instruction {name}, which no file of weights needs")

    def from_mark(self) -> list[Any]:
        """What lies above the last mark, taken off with it."""
        at = len(self.stack) - 1
        while self.stack[at] is not Mark:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("empty stack")
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(allowed(module, name))

    def name_on_stack(self, _: object) -> None:
        module, name = self.pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self.stack.append(allowed(module, name))

    def refer(self, _: object) -> None:
        (reference,) = self.pop(1)
        found = storage_of(reference)
        key = found.key if isinstance(found, Storage) else reference[2]
        if isinstance(key, str):
            self.storages.setdefault(key, found)
        self.stack.append(found)

    def call(self, _: object) -> None:
        function, arguments = self.pop(2)
        self.copied += sum(len(each) for each in arguments if isinstance(each, (list, tuple, dict)))
        if isinstance(function, Global) and str(function) in CALLS:
            self.stack.append(CALLS[str(function)](*arguments))
        elif isinstance(function, Inert) or (
            isinstance(function, Global) and not is_part_of_tensors(function)
        ):
            self.stack.append(Inert(function.of if isinstance(function, Inert) else str(function)))
        else:
            raise CheckpointError(f"its pickle calls {named(function)}, which no file of weights needs")

    def new(self, _: object) -> None:
        kind, arguments = self.pop(2)
        if isinstance(kind, Global) and str(kind) == OLD_PARAMETER:
            self.stack.append(Blank(arguments[0] if arguments else None))
        else:
            self.stack += [kind, arguments]
            self.call(None)

    def new_by_keywords(self, _: object) -> None:
        self.pop(1)
        self.new(None)

    def drop(self, _: object) -> None:
        self.pop(1)

    def drop_to_mark(self, _: object) -> None:
        self.from_mark()

    def collect(self, _: object) -> None:
        """A set, whose elements can't be weights."""
        self.from_mark()
        self.stack.append(Inert("builtins.set"))

    def build(self, _: object) -> None:
        """Attributes of an OrderedDict (its `_metadata`) are left out; an old Parameter's first one is its tensor."""
        target, state = self.pop(2)
        if isinstance(target, Blank):
            target.content = state[0]
        elif not isinstance(target, (dict, Placed, Inert)):
            raise CheckpointError(f"its pickle sets attributes of {reprlib.repr(target)}")
        self.stack.append(target)

    def set_items(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if not isinstance(target, dict):
            raise TypeError("items of what is no dict")
        target.update(with_plain_keys(zip(items[::2], items[1::2])))

    def append(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            return
        if not isinstance(target, list):
            raise TypeError("elements of what is no list")
        target += items


VALUES = {
    "BININT",
    "BININT1",
    "BININT2",
    "INT",
    "LONG",
    "LONG1",
    "LONG4",
    "BINFLOAT",
    "FLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "UNICODE",
    "BINSTRING",
    "SHORT_BINSTRING",
    "STRING",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "BYTEARRAY8",
    "BINUNICODE8",
}
CONSTANTS: dict[str, Callable] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: Mark,
    "EMPTY_SET": lambda: Inert("builtins.set"),
}
ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "GLOBAL": Machine.name,
    "STACK_GLOBAL": Machine.name_on_stack,
    "REDUCE": Machine.call,
    "NEWOBJ": Machine.new,
    "NEWOBJ_EX": Machine.new_by_keywords,
    "FROZENSET": Machine.collect,
    "ADDITEMS": lambda machine, _: machine.append(machine.from_mark()),
    "POP": Machine.drop,
    "POP_MARK": Machine.drop_to_mark,
    "BUILD": Machine.build,
    "BINPERSID": Machine.refer,
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.from_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.pop(3))),
    "LIST": lambda machine, _: machine.stack.append(machine.from_mark()),
    "DICT": lambda machine, _: machine.stack.append(with_plain_keys(zip(*[iter(machine.from_mark())] * 2))),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.from_mark()),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.from_mark()),
}
