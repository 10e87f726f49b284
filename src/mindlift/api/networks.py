"""Networks by name."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift import models
from mindlift.api import job
from mindlift.errors import ConfigError
from mindlift.model_utils import device_adapter, devices, mindspore_build
from mindlift.model_utils.config import config, declared, programs
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import nearest, show
from mindlift.model_utils.ranks import Ranks
from mindlift.models.weights import published
from mindlift.refused_paths import naming_refused_paths
from mindlift.runs import named_weights, provenance

if TYPE_CHECKING:
    import mindspore.nn as nn

IMAGENET_CLASSES = 1000
PROG = "export.py"  # a network as it is used, with weights that are finished
MORE = ("seed", "filter_head", "stage_timeout")  # than export.py has a use for


def list_models(pattern: str = "*") -> list[str]:
    """The names that `create_model` and `--net` take, in alphabetical order; `pattern` is of the shell, such as `res*`.

    Does not import mindspore.

    >>> list_models("res*")
    ['resnet101', 'resnet50']
    """
    names = sorted(name for variants in models.networks().values() for name in variants)
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


@naming_refused_paths()
def create_model(
    name: str,
    num_classes: int | None = None,
    pretrained: str | PathLike[str] = "",
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **options: object,
) -> nn.Cell:
    """The network `name`, one of `list_models()`, as the programs build it.

    It takes (N, 3, H, W) float32 images, normalised, and gives (N, num_classes) float32 logits; one that segments gives
    (N, num_classes, H, W). `num_classes` None is that of the run that the weights are of, else 1000. `pretrained` names
    weights as `--pretrained` does: a run's folder, a checkpoint, a URL, a file of torchvision, timm and others, or their
    name, such as `"timm:resnet50.a1_in1k"` (docs/weights.md); without it the network is random, by `seed`. `options` are those of the network itself, by the names
    of `--help`: `stem_pool="same"`, `amp_level="O2"`, `filter_head=True`. Of a run's weights they are the run's.

    With `features_only` the result gives a tuple of float32 feature maps instead, the largest first, and says in
    `feature_info` for each its `module`, `channels` and `reduction` (of height and width). `out_indices` chooses some of
    them, as in timm.

    The cell is in evaluation mode; `set_train()` changes that. Sets mindspore's device as the programs do; the mode (graph
    or PyNative) stays the caller's.
    Raises ConfigError for an unknown name or option, CheckpointError for weights that don't fit.

    >>> maps = create_model("resnet50", features_only=True, out_indices=(2, 4))  # doctest: +SKIP
    >>> [(each.channels, each.reduction) for each in maps.feature_info]  # doctest: +SKIP
    [(512, 8), (2048, 32)]
    """
    if out_indices is not None and not features_only:
        raise ConfigError(
            f"out_indices {out_indices} needs features_only=True, which has maps to choose from"
        )
    known = list_models()
    name = dict(declared.own_schema().options["net"].spellings).get(str(name), name)
    if name not in known:
        near = nearest(str(name), known)
        raise ConfigError(f"unknown net {show(name)}{near}; list_models() has those that there are")
    given = {"net": name, **({} if num_classes is None else {"num_classes": num_classes}), **options}
    check_options(name, options)
    file, cfg = of_weights(pretrained, given)
    ranks, device = Ranks(device=cfg.device_id or 0), device_adapter.choose_device(cfg.device_target)
    mindspore_build.check(cfg.any_mindspore)
    device_adapter.prepare_environment(ranks, threads=cfg.threads, target=device)
    mindspore_build.load()
    import mindspore as ms

    mode = ms.get_context("mode")
    device_adapter.connect(ranks, device, cfg.threads)
    ms.set_context(mode=mode)  # the caller's
    from mindlift.models.features import FeatureMaps
    from mindlift.tasks import network as networks

    least = models.family_of(name).least_side(name)
    height, width = cfg.image_size
    network = networks.network(
        cfg.replace(image_size=(max(least, height), max(least, width))), devices.current()
    )
    if file is not None:
        networks.load_pretrained(cfg, network, file, to_train=True)
    return FeatureMaps(network, out_indices) if features_only else network


def check_options(net: str, given: Mapping[str, object]) -> None:
    """ConfigError for an option that makes no difference to a network, such as a training's; unknown ones pass."""
    names = declared.own_schema().names
    own = {*models.options_of(models.family_of(net)), *MORE}
    for key in given:
        option = names.get(key)
        if option and option.name not in own and not programs.has_use(PROG, option):
            raise ConfigError(
                f"create_model: {key} makes no difference to a network by itself; give it to load_config()"
            )


def of_weights(pretrained: str | PathLike[str], given: dict[str, object]) -> tuple[Path | None, Config]:
    """The file of the weights, and the configuration of the network: of their run, if they have one, else by itself."""
    alone = config.of_network({"num_classes": IMAGENET_CLASSES, "pretrained": pretrained, **given}, PROG)
    if not pretrained:
        return None, alone
    published.check(alone.pretrained, alone.net)
    file = named_weights.find(job.fetch(alone, alone.pretrained), Path()).files[0]
    if provenance.run_of(file) is None:
        return file, alone
    return file, config.of_options({"pretrained": str(file)}, PROG).replace(**given)
