"""Which data sets are streamed, and which options go with that. Pure: by the configuration alone."""

from __future__ import annotations

import math

from mindlift.errors import ConfigError
from mindlift.model_utils.config.frozen import Config

WHOLE = ("cifar10",)  # data sets that are read as a whole before the first step
FEW = 64 << 20  # bytes of their files that are under way at a time: two or three, those first that are read
STREAMED = ("imagenet", "multilabel", "voc", *WHOLE)


def why_copied(cfg: Config) -> str:
    """Why the data set can't be streamed; '' if it can."""
    if cfg.dataset not in STREAMED:
        return f"--dataset {cfg.dataset} is small"
    if cfg.stage_mode == "node_shards":
        return "with --stage_mode node_shards each node has its own shards"
    return ""


def has_parts(cfg: Config) -> bool:
    """Whether images are rows of shards, which are fetched one by one."""
    return cfg.dataset not in WHOLE and (cfg.data_format == "mindrecord" or bool(cfg.data_file))


def check(cfg: Config, is_streamed: bool) -> None:
    """ConfigError for options that such data has no use for."""
    is_streamed = is_streamed and cfg.stage != "copy"
    if cfg.data_index and not (is_streamed and cfg.dataset not in WHOLE and not has_parts(cfg)):
        raise ConfigError(
            f"--data_index {cfg.data_index}: an index is for data that is streamed; pass --stage stream or auto with class"
            " folders, labels.csv or lists of image files, or leave it out"
        )
    if cfg.cache_gb and not (is_streamed and cfg.dataset not in WHOLE):
        raise ConfigError(
            f"--cache_gb {cfg.cache_gb:g}: a disk that holds a part of the data is for data that is streamed image by"
            " image; pass --stage stream or auto with image files or MindRecord shards of them, or leave it out"
        )


def under_way_bytes(cfg: Config) -> float:
    """How many bytes of its files come at a time."""
    return FEW if cfg.dataset in WHOLE else math.inf
