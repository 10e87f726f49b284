"""Which loss a training minimises, and which options belong to it; a ConfigError before anything is opened. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindlift.data.classification import class_weights
from mindlift.data.multilabel import rules
from mindlift.errors import ConfigError

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

OF_LOSS = {
    "bce_sum": "bce",
    "bce_target_threshold": "bce",
    "bce_pos_weight": "bce",
    "focal_gamma": "focal",
    "focal_alpha": "focal",
    "asl_gamma_neg": "asl",
    "asl_gamma_pos": "asl",
    "asl_clip": "asl",
    "jsd_alpha": "jsd",
}
LEAST_VIEWS = 2  # of an image, that can be compared
FOR_SEVERAL = ("bce", "focal", "asl")


def check(cfg: Config) -> None:
    """ConfigError for options of another loss, and for a loss that does not fit the labels."""
    loss, is_multilabel = cfg.loss, cfg.dataset == rules.NAME
    if loss == "auto":
        loss = "bce" if is_multilabel else "cross_entropy"
    for name, belongs in OF_LOSS.items():
        if getattr(cfg, name) != cfg.default(name) and belongs != loss:
            raise ConfigError(
                f"--{name} {getattr(cfg, name)} has no effect on --loss {loss}; leave it out, or pass --loss {belongs}"
            )
    if is_multilabel and loss not in FOR_SEVERAL:
        raise ConfigError(
            f"--loss {loss} is for images of one class, and --dataset {rules.NAME} has several labels for each; choose one of"
            f" {', '.join(FOR_SEVERAL)}"
        )
    if not is_multilabel and loss == "asl" and cfg.asl_clip != cfg.default("asl_clip"):
        raise ConfigError(
            f"--asl_clip {cfg.asl_clip:g} has no effect on images of one class, whose asymmetric loss is of softmax; leave it"
            " out"
        )
    if is_multilabel and cfg.class_weights == class_weights.BALANCED:
        raise ConfigError(
            f"--class_weights {class_weights.BALANCED} is for images of one class; for --dataset {rules.NAME} pass"
            f" --bce_pos_weight {class_weights.BALANCED}, which weighs labels where they are there, or a number for each label"
        )
    if cfg.label_smooth and cfg.label_smoothing:
        raise ConfigError(
            f"--label_smooth and --label_smoothing {cfg.label_smoothing:g} are two ways to smooth; choose one"
        )
    class_weights.given(cfg)
    class_weights.pos_weight(cfg)
    if loss == "jsd":
        check_jsd(cfg)


def check_jsd(cfg: Config) -> None:
    """ConfigError for what the Jensen-Shannon loss has no use for."""
    if cfg.aug_splits < LEAST_VIEWS:
        raise ConfigError(
            f"--loss jsd compares several views of each image, and --aug_splits is {cfg.aug_splits}; pass --aug_splits 3"
        )
    if cfg.class_weights:
        raise ConfigError(
            f"--class_weights {cfg.class_weights} has no place in --loss jsd, whose views are to be answered alike whatever their"
            " class; leave it out, or pass --sampler balanced"
        )
