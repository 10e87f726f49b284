"""Weights of other sources as files of this project, and lists of what a file holds."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.language import localized

if TYPE_CHECKING:
    import numpy as np

    from mindlift.models.weights.fit import Known
    from mindlift.models.weights.stored import Stored

FORMS = ("ckpt", "safetensors")


def convert(args: argparse.Namespace) -> tuple[str, str]:
    """Write what `args` ask for; returns the file and the network."""
    from mindlift.models.weights.fit import check_values, fitted
    from mindlift.runs import checkpoint

    target = target_of(args)
    path = fetch(args.source)
    known = checkpoint.known_weights(path, average=args.ema == "true", channels=args.weights_channels)
    net = net_of(known, args.net, path)
    classes = args.num_classes or rows_of(known)
    tensors = fitted(known, shapes_of(net, classes, known.needs), head(args.filter_head), str(path))
    if args.allow_nan != "true":
        check_values(tensors, known.origins, str(path))
    write(target, tensors, {name: values[0] for name, values in known.needs.items()})
    numbers = sum(array.size for array in tensors.values())
    how = ", the moving average" * known.is_average + ", BGR made RGB" * known.is_reversed
    how += "".join(f", {said}" for said in known.said)
    how += ", without its head" * bool(args.filter_head and head(True)[0] in known.tensors)
    print(
        localized(
            f"{target}: {net}, {len(tensors)} tensors with {numbers:,} numbers, from {known.layout.source}{how}"
        )
    )
    print(
        localized(
            f"use: --net {net} --num_classes {classes} --pretrained {target}{' --filter_head true' if args.filter_head else ''}{options(others(known.needs))}"
        )
    )
    if classes == 1001 and known.layout.unused_row is not None and not args.filter_head:
        print(
            localized(
                f"row {known.layout.unused_row} of the head is no class of ImageNet; --num_classes 1000 leaves it out"
            )
        )
    return target, net


def target_of(args: argparse.Namespace) -> str:
    """Where to write; ConfigError if --to and --out disagree, or if it is the source."""
    from mindlift.errors import ConfigError
    from mindlift.models.weights.published import is_named

    if not args.out:
        name = args.source.rstrip("/").rpartition("/")[2]
        if is_named(args.source):
            return f"{name.rpartition(':')[2]}.mindlift.{args.to or 'ckpt'}"
        return f"{Path(name).stem}.mindlift.{args.to or 'ckpt'}"
    form = Path(args.out).suffix.lstrip(".")
    if form not in FORMS or args.to not in (None, form):
        raise ConfigError(
            f"--out {args.out}: expected a name that ends with .{args.to or ' or .'.join(FORMS)}"
        )
    if args.out == args.source or (
        Path(args.out).exists() and Path(args.source).exists() and Path(args.out).samefile(args.source)
    ):
        raise ConfigError(f"--out {args.out} is SOURCE itself; choose another name")
    return args.out


def fetch(source: str) -> Path:
    """The local file of SOURCE; of a folder the newest one."""
    from mindlift.model_utils.staging import checkpoints
    from mindlift.model_utils.staging.cache_place import cache_folder
    from mindlift.model_utils.staging.stager import Stager
    from mindlift.runs import named_weights

    if named_weights.is_elsewhere(source):
        stager = Stager(cache_folder(""), lambda line: print(localized(line), file=sys.stderr))
        return checkpoints.fetch(stager, source)[0]
    return named_weights.of_path(Path(source)).files[0]


def net_of(known: Known, wanted: str | None, path: Path) -> str:
    """The variant that the tensors show; CheckpointError if it is none, or not the `wanted` one."""
    from mindlift import models
    from mindlift.errors import CheckpointError, ConfigError
    from mindlift.models.external import names

    if wanted and names.is_external(wanted):
        raise ConfigError(
            f"--net {wanted}: convert reads weights of this project's networks; the other programs take {path} as it is,"
            " as --pretrained"
        )
    if wanted:
        try:
            models.family_of(wanted)
        except KeyError as err:
            raise ConfigError(f"--net: {err.args[0]}") from err
    variants = models.families()[known.family].VARIANTS
    variant_of = models.weight_maps()[known.family].variant_of
    if wanted and wanted in variants and variant_of(known.shapes, {wanted: variants[wanted]}):
        return wanted  # before others that have the same tensors
    found = variant_of(known.shapes, variants)
    if wanted:
        raise CheckpointError(
            f"{path} has weights of {found or known.family} ({known.layout.source}), not of {wanted}"
        )
    if found is None:
        raise CheckpointError(
            f"{path} has weights of a {known.family} ({known.layout.source}) that is none of {', '.join(variants)}"
        )
    return found


def rows_of(known: Known) -> int:
    """Rows of the head; 1 if there is none, for then the head is filtered or found missing."""
    return known.shapes.get("classifier.bias", (1,))[0]


def head(is_filtered: bool) -> tuple[str, ...]:
    from mindlift.models.weights.layouts import HEAD

    return HEAD if is_filtered else ()


def shapes_of(net: str, num_classes: int, needs: Mapping[str, tuple]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of the network that such weights need."""
    from mindlift import models

    built = models.build(
        net, num_classes, {**defaults(), **{name: fitting[0] for name, fitting in needs.items()}}
    )
    return {name: tuple(parameter.shape) for name, parameter in built.parameters_dict().items()}


def write(target: str, tensors: Mapping[str, np.ndarray], network: dict[str, object]) -> None:
    from mindlift.models.weights.write import write_weights
    from mindlift.storage.copying import copy as transfer
    from mindlift.storage.url import is_remote

    if not is_remote(target):
        write_weights(Path(target), tensors, network)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target.rpartition("/")[2]
        write_weights(path, tensors, network)
        transfer.copy_file(str(path), target)


def options(needs: Mapping[str, tuple]) -> str:
    """Options of a network as they are written on a command line, each with a blank before it."""
    from mindlift.models.weights.fit import shown

    return "".join(f" --{name} {shown(values[0])}" for name, values in needs.items())


def others(needs: Mapping[str, tuple]) -> dict[str, tuple]:
    """The options that have another value by default, and so have to be given."""
    plain = defaults()
    return {name: values for name, values in needs.items() if name in plain and plain[name] not in values}


def defaults() -> dict[str, object]:
    from mindlift.model_utils.config.declared import own_schema

    options = own_schema().options.values()
    return {option.name: option.default for option in options}


def show(args: argparse.Namespace) -> None:
    from mindlift import models
    from mindlift.models.weights import fit
    from mindlift.runs import checkpoint

    path = fetch(args.source)
    stored = checkpoint.read_stored(path)
    known = fit.identified(stored, (models.weight_maps(),), args.ema == "true")
    source = (
        f"{known.family} of {known.layout.source}{options(known.needs) and '; needs' + options(known.needs)}"
        if known
        else "not known"
    )
    head = f"{path}: {stored.form}, {len(stored.tensors)} tensors; source: {source}"
    print(head, *rows(stored, known, args.ema == "true"), sep="\n", flush=True)


def rows(stored: Stored, known: Known | None, average: bool) -> Iterator[str]:
    """Name, shape, type and what it becomes, in columns."""
    from mindlift.models.weights import fit

    weights = set(fit.plain_names(stored, average).values())
    targets = {origin: name for name, origin in known.origins.items()} if known else {}
    cells = [(name, str(array.shape), stored.type_of(name)) for name, array in stored.tensors.items()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        is_left = row[0] not in weights or (known and row[0] in known.unused)
        unused = "left out" if is_left else "worked into the head" if known else "?"
        left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        yield f"{left}  -> {targets.get(row[0], unused)}"
