"""What export.py, predict.py and `mindlift features` do before mindspore is imported: options, files, names of classes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mindlift.api.job import Job, check_program, fetch, say_what_is_odd
from mindlift.data.multilabel import rules as multilabel
from mindlift.errors import ConfigError, DeviceError
from mindlift.language import localized
from mindlift.model_utils import device_adapter, devices, mindspore_build
from mindlift.model_utils.config import programs
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import as_yaml
from mindlift.model_utils.local_adapter import LocalAdapter
from mindlift.model_utils.ranks import Ranks
from mindlift.models.external import names
from mindlift.runs import provenance
from mindlift.runs.named_weights import is_elsewhere

if TYPE_CHECKING:
    from mindlift.model_utils.named_images import Image

AIR_IS_DEPRECATED = (
    "MindSpore has deprecated AIR and will remove it; export MINDIR, which MindSpore Lite runs on Ascend 310, and"
    " MindSpore on the other devices"
)
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg")
FEATURE_SUFFIXES = (".npy", ".npz")


def start(cfg: Config, prog: str) -> Job:
    """The job of one process that needs no data set; what is wrong with options and files is found here."""
    check_program(cfg, prog)
    device = device_adapter.choose_device(cfg.device_target)
    mindspore_build.check(cfg.any_mindspore)
    if not cfg.model_file:
        names.check(cfg.net)
    multilabel.check(cfg)
    check_outputs(cfg)
    if prog == "export.py":
        check_export(cfg, device)
    elif prog == "predict.py":
        check_predict(cfg)
    else:
        check_features(cfg)
    ranks = Ranks(device=cfg.device_id or 0)
    adapter = LocalAdapter("", cfg.pretrained, cfg.ckpt_path, None, functools.partial(fetch, cfg))
    here = Job(cfg, ranks, device, device_adapter.cpus_per_rank(ranks), adapter, trains=False)
    if not cfg.model_file and not is_elsewhere(cfg.pretrained):
        from mindlift.models.weights import forms

        named = here.weights()
        if named.taken:
            print(localized(named.taken))
        forms.form_of(named.files[0])
    say_what_is_odd(cfg)
    device_adapter.prepare_environment(ranks, threads=cfg.threads, target=device)
    return here


def check_outputs(cfg: Config) -> None:
    """ConfigError for a file or a folder that could not be written in the end."""
    if cfg.output_dir and Path(cfg.output_dir).exists() and not Path(cfg.output_dir).is_dir():
        raise ConfigError(f"--output_dir {cfg.output_dir} is a file; name a folder")
    for name in ("output_json", "output_csv", "contact_sheet", "file_name", "output_dir", "output_features"):
        value = getattr(cfg, name)
        folder = Path(value).parent
        if not value or not programs.has_use(cfg.program, cfg.option(name)):
            continue
        if Path(value).is_dir() and name != "output_dir":
            raise ConfigError(f"--{name} {value} is a folder; name a file")
        if not folder.is_dir():
            raise ConfigError(f"--{name} {value}: there is no folder {folder}; make it first")
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"--{name} {value}: can't write to the folder {folder.absolute()}")
    sheet = cfg.contact_sheet
    if sheet and not sheet.lower().endswith(SHEET_SUFFIXES):
        raise ConfigError(
            f"--contact_sheet {sheet}: expected a name that ends with {', '.join(SHEET_SUFFIXES)}"
        )


def check_export(cfg: Config, device: str) -> None:
    """DeviceError for AIR where MindSpore can't write it; elsewhere a line that it is deprecated."""
    if cfg.file_format != "AIR":
        return
    if not devices.of(device).writes_air:
        raise DeviceError(
            f"--file_format AIR: MindSpore writes AIR on an {devices.ASCEND} device only, and this job runs on {device}."
            f" {AIR_IS_DEPRECATED}"
        )
    print(localized(f"--file_format AIR: {AIR_IS_DEPRECATED}"), file=sys.stderr)


def check_named(cfg: Config, prog: str) -> None:
    """ConfigError for a command line without images."""
    if not cfg.inputs:
        raise ConfigError(f"no images named; write {prog} RUN IMAGE_OR_FOLDER (see --help)")


def check_predict(cfg: Config) -> None:
    if cfg.top_k > cfg.num_classes and cfg.origin("top_k") == COMMAND_LINE:
        raise ConfigError(f"--top_k {cfg.top_k}: the network has {cfg.num_classes} classes")
    known = provenance.find(cfg.to_dict())
    if isinstance(known, provenance.Model):
        if cfg.scales != cfg.default("scales"):
            height, width = known.shape[2:]
            raise ConfigError(
                f"--scales {as_yaml(cfg.scales)}: {known.path} takes images of {height} x {width} only; leave it out, or use"
                " the checkpoint, whose network takes images of any size"
            )
        provenance.check_content(known)


def check_features(cfg: Config) -> None:
    if not cfg.output_features.lower().endswith(FEATURE_SUFFIXES):
        raise ConfigError(
            f"--output_features {cfg.output_features}: expected a name that ends with {' or '.join(FEATURE_SUFFIXES)}"
        )


def images(cfg: Config, words: Sequence[str], until: ExitStack) -> list[Image]:
    """The images that `words` name, those at URLs brought here, or arriving until `until` closes."""
    from mindlift.model_utils.named_images import find_images  # brings the whole storage layer
    from mindlift.model_utils.staging.cache_place import cache_folder
    from mindlift.model_utils.staging.stager import Stager

    stager = Stager(cache_folder(cfg.cache_path), say, cfg.progress, cfg.stage_timeout)
    return find_images(words, stager, cfg.stage, until)


def say(line: str) -> None:
    print(localized(line), flush=True)


def class_names(cfg: Config) -> list[str]:
    """One name per class: of --class_names, else as far as they are known of the weights, else `class 7`."""
    from mindlift.data import class_names as names

    if cfg.class_names:
        return names.load(Path(cfg.class_names), cfg.num_classes, cfg.allow_unused_classes)
    known = provenance.find(cfg.to_dict())
    if isinstance(known, provenance.Model):
        return [str(name) for name in known.facts["class_names"]]
    trained = provenance.class_names(known.root) if known else remote_names(cfg)
    if len(trained) == cfg.num_classes:
        return trained
    folder = provenance.data_folder(known.config) if known else None
    return names.of_training(cfg.dataset, folder, cfg.num_classes) or names.numbered(cfg.num_classes)


def remote_names(cfg: Config) -> list[str]:
    """Those of weights from elsewhere, which are fetched by now or brought here now."""
    return provenance.class_names(fetch(cfg, cfg.pretrained)[0]) if is_elsewhere(cfg.pretrained) else []
