"""PyTorch's files, .pth and .pt, without PyTorch.

The format since 1.6 is a zip archive: `<name>/data.pkl` with the structure and `<name>/data/<key>` with the numbers
of each storage. The one before is a stream: a magic number, a version, facts of the machine, the structure, the keys
of the storages (five pickles), and for each storage its length and its numbers.
"""

from __future__ import annotations

import io
import mmap
import re
import reprlib
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np

from mindlift import limits
from mindlift.errors import CheckpointError
from mindlift.models.weights import pickled
from mindlift.models.weights.stored import BFLOAT16, WIDTHS, Budget, Stored, check_members, flat, view
from mindlift.models.weights.vocabulary import STORAGE_TYPES, Blank, Global, Inert, Placed, Storage, needless

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
# Where trainings put the weights beside other things; the first that is there counts.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "model_state",
    "checkpoint",
    "state_dict_ema",
    "model_ema",
    "ema",
    "ema_state_dict",
    "params_ema",
)
# Under keys of other names: the dict with the most tensors, unless the key says that it is something else.
BESIDE = re.compile(r"optim|sched|scaler|loss|criterion|metric|rng|amp", re.IGNORECASE)
Tensors = Dict[str, np.ndarray]
Read = Callable[[Storage], bytes]
State = Tuple[List[str], Dict[str, Placed]]


def read_zip(path: Path) -> Stored:
    """A file of the format since PyTorch 1.6. CheckpointError if it is not of tensors, or would take more than it has."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        check_members(archive.infolist(), size)
        prefix = root_of(archive)
        structure = entry(archive, f"{prefix}data.pkl")
        if structure.file_size > limits.PICKLE_BYTES:
            raise CheckpointError(
                f"its pickle has {structure.file_size:,} bytes, more than {limits.PICKLE_BYTES:,}; save the state_dict() alone"
            )
        content, _ = pickled.load(io.BytesIO(archive.read(structure)))

        def read(storage: Storage) -> bytes:
            info = entry(archive, f"{prefix}data/{storage.key}")
            if info.file_size != storage.count * WIDTHS[storage.kind]:
                raise CheckpointError(
                    f"storage {storage.key} has {info.file_size} bytes for {storage.count} numbers of {storage.kind}"
                )
            return archive.read(info)

        return tensors_of(content, read, size)


def root_of(archive: zipfile.ZipFile) -> str:
    """The folder of the archive that holds everything, with a slash; CheckpointError if it is another kind of zip."""
    names = archive.namelist()
    roots = [name[: -len("data.pkl")] for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if not roots:
        raise CheckpointError("it is a zip archive without the data.pkl that PyTorch writes")
    root = min(roots, key=len)
    if f"{root}constants.pkl" in names:
        raise CheckpointError("it is a TorchScript program and not a file of weights; save its state_dict()")
    if f"{root}byteorder" in names and archive.read(entry(archive, f"{root}byteorder")) != b"little":
        raise CheckpointError("it was written by a big-endian machine")
    return root


def entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """CheckpointError if it is missing, or compressed: PyTorch never does that, and a few bytes could become many."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise CheckpointError(f"it is damaged: {name} is missing") from None
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"{name} in it is compressed or encrypted, which PyTorch never does")
    return info


def read_legacy(path: Path) -> Stored:
    """A file of the format before PyTorch 1.6. CheckpointError if it is not of tensors, or would take more than it has."""
    with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as file:
        (magic, _), (version, _), (machine, _) = pickled.load(file), pickled.load(file), pickled.load(file)
        if magic != MAGIC_NUMBER or version != LEGACY_VERSION:
            raise CheckpointError(f"it has the version {reprlib.repr(version)}; known is {LEGACY_VERSION}")
        if not isinstance(machine, dict) or not machine.get("little_endian", True):
            raise CheckpointError("it was written by a big-endian machine")
        content, storages = pickled.load(file)
        keys, _ = pickled.load(file)
        places = storage_places(file, keys, storages)

        def read(storage: Storage) -> bytes:
            if storage not in places:
                raise CheckpointError(f"storage {storage.key} is missing, or has two types or lengths")
            return file[places[storage] : places[storage] + storage.count * WIDTHS[storage.kind]]

        return tensors_of(content, read, len(file))


def storage_places(
    file: mmap.mmap, keys: object, storages: Mapping[str, Storage | Inert]
) -> dict[Storage, int]:
    """Where the numbers of each storage begin, from here to the end of a legacy file; CheckpointError if it is short."""
    places = {}
    for key in keys if isinstance(keys, list) else []:
        storage, count = storages.get(key) if isinstance(key, str) else None, file.read(8)
        if isinstance(storage, Inert):
            raise CheckpointError(unknown_storage("it", storage))
        if storage is None or len(count) < 8 or struct.unpack("<q", count)[0] != storage.count:
            raise CheckpointError(f"it is damaged or cut short at storage {reprlib.repr(key)}")
        places[Storage(storage.key, storage.kind, storage.count)] = file.tell()
        end = file.tell() + storage.count * WIDTHS[storage.kind]
        if end > len(file):
            raise CheckpointError(f"it is cut short: {len(file)} bytes, at least {end} expected")
        file.seek(end)
    return places


def tensors_of(content: object, read: Read, size: int) -> Stored:
    """The tensors of the state dict in `content`, of a file of `size` bytes; each storage is read once."""
    numbers: dict[Storage, np.ndarray] = {}
    tensors, types = {}, {}
    path, state = Wrapped().state_dict(content)
    budget = Budget(size)
    for name, tensor in state.items():
        storage = tensor.storage
        if isinstance(storage, Inert):
            raise CheckpointError(unknown_storage(f"tensor {name}", storage))
        if not isinstance(storage, Storage) or type(tensor.offset) is not int:
            raise CheckpointError(f"tensor {name} has no storage")
        root = Storage(storage.key, storage.kind, storage.count)
        if root not in numbers:
            numbers[root] = flat(read(root), root.kind)
        tensors[name] = view(numbers[root], storage.offset + tensor.offset, tensor.shape, tensor.strides)
        budget.take(tensors[name].nbytes)
        if storage.kind == BFLOAT16:
            types[name] = BFLOAT16
    return Stored("pytorch", tensors, types, said=tuple(path))


def unknown_storage(who: str, storage: Inert) -> str:
    return f"{who} has a storage of {storage.of}; known are {', '.join(STORAGE_TYPES)} of torch"


class Wrapped:
    """Finds the tensors in what trainings wrap around them. What each dict holds is found once for each depth: it may be
    in itself, or in another one many times.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[int, int], State | CheckpointError] = {}

    def state_dict(self, content: object, depth: int = 0) -> State:
        """Name -> tensor, and what to say of where they were. CheckpointError for none."""
        place = id(content), depth
        if place not in self.found:
            try:
                self.found[place] = self.search(content, depth)
            except CheckpointError as err:
                self.found[place] = err
        found = self.found[place]
        if isinstance(found, CheckpointError):
            raise found
        return found

    def search(self, content: object, depth: int) -> State:
        if isinstance(content, dict) and depth < limits.WRAPPED_DEPTH:
            chosen, others = self.wrapped(content, depth)
            if chosen is not None:
                said, found = self.state_dict(content[chosen], depth + 1)
                beside = f", not from {', '.join(map(repr, others))}" if others else ""
                return [f"taken from '{chosen}'{beside}", *said], found
            own = own_tensors(content)
            check_made(content)
            if own:
                return [], own
        if isinstance(content, (Inert, Global)):
            raise CheckpointError(needless(content.of if isinstance(content, Inert) else content))
        held = (
            f"a dict of {', '.join(map(str, list(content)[:5]))}"
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise CheckpointError(
            f"it holds {held:.200} and no dict of named tensors; save the state_dict() of the network"
        )

    def wrapped(self, content: dict, depth: int) -> tuple[str | None, list[str]]:
        """The key of the dict in `content` to take, None for `content` itself, and the keys of others that would do."""
        inner = [key for key in WRAPPERS if isinstance(content.get(key), dict)]
        known = [key for key in inner if self.has_tensors(content[key], depth + 1)]
        if known:
            return known[0], known[1:]
        if any("." in name for name in own_tensors(content)):
            return None, []
        counts: dict[int, int] = {}
        for key, value in content.items():
            if is_candidate(key, value) and id(value) not in counts:
                counts[id(value)] = len(own_tensors(value))
        sizes = {key: counts[id(value)] for key, value in content.items() if is_candidate(key, value)}
        other = sorted((key for key, size in sizes.items() if size), key=lambda key: (-sizes[key], key))
        return (other[0], other[1:]) if other else (None, [])

    def has_tensors(self, content: dict, depth: int) -> bool:
        try:
            return bool(self.state_dict(content, depth))
        except CheckpointError:
            return False


def is_candidate(key: object, value: object) -> bool:
    """Whether a dict may hold the weights by its name, which is none of WRAPPERS."""
    return isinstance(key, str) and isinstance(value, dict) and not BESIDE.search(key)


def own_tensors(content: dict) -> dict[str, Placed]:
    """Those that a dict holds itself."""
    opened = {key: value.content if isinstance(value, Blank) else value for key, value in content.items()}
    return {str(key): value for key, value in opened.items() if isinstance(value, Placed)}


def check_made(content: dict) -> None:
    """CheckpointError for a tensor that is made in a way that is not known here, such as a quantised one."""
    for name, value in content.items():
        if isinstance(value, Inert) and value.of.startswith("torch.") and "._rebuild_" in value.of:
            raise CheckpointError(
                f"tensor {name} is made by {value.of}, which is not read; save plain tensors"
            )
