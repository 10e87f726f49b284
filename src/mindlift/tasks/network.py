"""From the configuration to a network with its weights."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import mindspore.nn as nn

from mindlift import models
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.devices import Device, check_precision
from mindlift.models import batch_norms, layers, precision, recompute
from mindlift.models.cpu import cells as kernels
from mindlift.models.weights import layouts
from mindlift.models.weights.fit import Known, shortened
from mindlift.runs import checkpoint


def network(cfg: Config, device: Device, folded: bool = False, trained_by: int = 0) -> nn.Cell:
    """The seeded network of cfg.net in the form and precision for `device`, before any weights are loaded.

    A `folded` one has no batch norms behind its convolutions; layers.refill gives it its weights. `trained_by` is the
    number of ranks that train it together, 0 for a network that is not trained.
    """
    check_precision(cfg.amp_dtype, cfg.amp_level, device, trains=trained_by > 0)
    ms.set_seed(cfg.seed)
    try:
        check_image_size(cfg)
        check_options(cfg)
        net = models.build(cfg.net, cfg.num_classes, cfg.to_dict(), on_cpu=device.has_cpu_kernels)
    except KeyError as err:
        raise ConfigError(str(err.args[0])) from err
    if folded:
        layers.fold(net)
    if trained_by and cfg.sync_bn:
        batch_norms.synchronise(net, trained_by, cfg.net)
    if trained_by and cfg.recompute:
        recompute.apply(net, cfg.net)
    library = device.kernels_at(cfg.amp_level)
    if library:
        kernels.apply(net, library)
    level = device.amp_level if cfg.amp_level == "auto" else cfg.amp_level
    return precision.apply(net, level, cfg.amp_dtype)


def inference_network(cfg: Config, net: nn.Cell, device: Device) -> nn.Cell:
    """What to evaluate `net` with: its folded form, or itself if nothing in it folds. See layers.refill."""
    return network(cfg, device, folded=True) if any(layers.foldable(net)) else net


def check_image_size(cfg: Config) -> None:
    least = models.family_of(cfg.net).least_side(cfg.net)
    for name in ("image_size", "eval_image_size"):
        size = getattr(cfg, name)
        if size is not None and min(size) < least:
            height, width = size
            raise ConfigError(
                f"--{name} {height},{width}: {cfg.net} needs at least {least} in both directions"
            )


def check_options(cfg: Config) -> None:
    """ConfigError for an option that somebody set and that this network does not have."""
    for name in models.options_of_others(cfg.net):
        if getattr(cfg, name) != cfg.default(name):
            raise ConfigError(
                f"--{name} {getattr(cfg, name)} (from {cfg.origin(name)}) has no effect on {cfg.net}; leave it out"
            )


def network_options(cfg: Config) -> dict[str, object]:
    """The options that decide what this network computes with the same weights."""
    return layouts.network_options(models.weight_map(models.family_name(cfg.net)).NETWORK, cfg.to_dict())


def load_pretrained(cfg: Config, net: nn.Cell, path: Path, to_train: bool = False) -> str:
    """Fill `net` from a file of this project or of a source that the family's weights.py knows.

    Returns a line that says which weights were taken, where there was or should have been a choice, or ''. Weights of
    a part of the network are enough only `to_train`.
    """
    options = checkpoint.LoadOptions(
        models.head_of(cfg.net) if cfg.filter_head else (),
        cfg.enable_ema,
        cfg.weights_channels,
        cfg.allow_nan,
    )
    values = {**cfg.to_dict(), **network_options(cfg)}
    known = checkpoint.load_weights(path, net, models.family_name(cfg.net), values, options)
    if known.layout.lacks and not to_train:
        raise CheckpointError(
            f"{path} ({known.layout.source}) has the backbone only; train {cfg.net} with it first"
        )
    said = describe_loaded(known, cfg.enable_ema)
    dropped = [name for name in options.without if name in known.tensors]
    if dropped:
        rows = len(known.tensors[dropped[0]])
        said.append(f"without its head of {rows} classes (--filter_head true), so that a new one starts")
    return f"{path}: {', '.join(said)}" if said else ""


def describe_loaded(known: Known, wants_average: bool) -> list[str]:
    """What a user should know of the weights that were taken."""
    said = list(known.said)
    if known.is_average:
        said.append("its moving average of the weights")
    elif wants_average:
        said.append("its weights, for it has no moving average of them")
    if known.layout.lacks:
        said.append(f"backbone only, from {known.layout.source}; all behind it starts new")
    if known.is_reversed:
        said.append("trained on BGR, so the first convolution's input channels were reversed")
    if known.unused and not known.layout.lacks:
        said.append(f"without {shortened(list(known.unused))}")
    return said
