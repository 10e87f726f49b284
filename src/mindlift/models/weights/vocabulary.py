"""What the pickles of torch.save may name: storages, tensors in them, and the few calls that put them together.

Each of these is a class or a function of this file, which arranges what it is given and does nothing else. What a
training keeps beside its weights (an argparse.Namespace, numbers of NumPy, dates, paths) becomes an Inert.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mindlift.errors import CheckpointError

STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
DTYPES = {
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "double",
    "float",
    "half",
    "long",
    "int",
    "short",
}


@dataclass
class Blank:
    """An object made without arguments, whose content a later instruction gives: PyTorch's old Parameter."""

    content: object = None


@dataclass(frozen=True)
class Placed:
    """A tensor that is still in its storage; offset and strides count elements."""

    storage: object
    offset: int
    shape: tuple
    strides: tuple


@dataclass(frozen=True)
class Storage:
    """Numbers in the file: the key they are filed under, a key of stored.WIDTHS, and how many there are."""

    key: str
    kind: str
    count: int
    offset: int = 0


@dataclass(frozen=True)
class Global:
    """A name that the pickle would import. Nothing is imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Inert:
    """In place of an object of a class that is no part of any tensor: nothing of it is made, and only its class kept."""

    of: str


def placed(storage: Storage, offset: int, shape: Iterable, strides: Iterable, *_: object) -> Placed:
    return Placed(storage, offset, tuple(shape), tuple(strides))


def with_plain_keys(items: Iterable[tuple] = ()) -> dict:
    """A dict of texts and numbers. Under other keys there are no weights, and to hash a tuple that holds one tuple
    twice, and so on, would take for ever.
    """
    return {key: value for key, value in items if isinstance(key, (str, int, float, type(None)))}


def with_default(factory: object = None, items: Iterable[tuple] = ()) -> dict:
    """collections.defaultdict; what it would call for keys that it lacks is left out."""
    return with_plain_keys(items)


CALLS: dict[str, Callable] = {
    "collections.OrderedDict": with_plain_keys,
    "collections.defaultdict": with_default,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": placed,
    "torch._utils._rebuild_tensor_v2": placed,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
}
# Nothing of a pickle is run; a file with one of these was made to do harm, and is refused as a whole.
HARMFUL_MODULES = (
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "runpy",
    "shutil",
    "socket",
    "pty",
    "importlib",
    "ctypes",
)
HARMFUL = {f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__", "breakpoint")}
OLD_PARAMETER = "torch.nn.parameter.Parameter"


def named(value: object) -> str:
    """For a message: the name of a Global, and never more than a little of anything else."""
    return str(value) if isinstance(value, Global) else reprlib.repr(value)


def storage_of(reference: object) -> Storage | Inert:
    """The storage behind ('storage', type, key, device, count[, None or (view's key, offset, count)]).

    An Inert for numbers of a type that is not known: only a tensor that is to be read needs them.
    """
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        what = reference[0] if isinstance(reference, tuple) and reference else reference
        raise CheckpointError(
            f"it refers to {reprlib.repr(what)} outside of its pickle; only storages of tensors are read"
        )
    _, kind, key, _, count, *part = reference
    if not isinstance(kind, Global) or kind.module not in ("torch", "torch.storage"):
        raise CheckpointError(
            f"it has a storage of {named(kind)}; known are {', '.join(STORAGE_TYPES)} of torch"
        )
    if kind.name not in STORAGE_TYPES:
        return Inert(str(kind))
    offset = part[0][1] if part and part[0] else 0
    if not isinstance(key, str):
        raise CheckpointError(f"it has a storage filed under {reprlib.repr(key)}")
    if type(count) is not int or type(offset) is not int or min(count, offset) < 0:
        raise CheckpointError(f"storage {key} has {reprlib.repr(count)} numbers at {reprlib.repr(offset)}")
    return Storage(key, STORAGE_TYPES[kind.name], count, offset)


def is_part_of_tensors(name: Global) -> bool:
    """Whether it is a name that tensors are made with; all others are of what lies beside them."""
    is_type = name.module in ("torch", "torch.storage") and name.name in STORAGE_TYPES
    return is_type or str(name) in CALLS or (name.module == "torch" and name.name in DTYPES)


def allowed(module: str, name: str) -> Global:
    """CheckpointError for a name that only an attack needs."""
    found = Global(module, name)
    harmless = str(found).replace("__builtin__.", "builtins.", 1)
    if module.partition(".")[0] in HARMFUL_MODULES or harmless in HARMFUL:
        raise CheckpointError(needless(found))
    return found


def needless(what: object) -> str:
    return f"it would run or make {what}, which a file of weights does not need; save the state_dict() alone"
