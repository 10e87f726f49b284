"""Which options of a training belong together; a ConfigError before anything is opened. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mindlift.errors import ConfigError
from mindlift.training import companions, loss_rules

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

WITH_BETAS = ("adam", "adamw", "lamb", "lion")


def check(cfg: Config) -> None:
    """ConfigError for an option that another one leaves without an effect, and for one whose value can't be."""
    if cfg.nesterov and cfg.optimizer != "momentum":
        raise ConfigError(
            f"--nesterov true has no effect on --optimizer {cfg.optimizer}; leave it out, or pass --optimizer momentum"
        )
    if cfg.betas is not None and cfg.optimizer not in WITH_BETAS:
        raise ConfigError(
            f"--betas has no effect on --optimizer {cfg.optimizer}; leave it out, or choose one of"
            f" {', '.join(WITH_BETAS)}"
        )
    if cfg.betas is not None and (len(cfg.betas) != 2 or max(cfg.betas) >= 1):
        raise ConfigError(
            f"--betas {','.join(map(str, cfg.betas))}: expected two numbers from 0 to below 1, such as 0.9,0.999"
        )
    if cfg.clip_mode != "norm" and not cfg.enable_clip_norm:
        raise ConfigError(
            f"--clip_mode {cfg.clip_mode} has no effect without clipping; pass --enable_clip_norm true too"
        )
    companions.check(cfg)
    loss_rules.check(cfg)
    if cfg.lr_scheduler == "plateau" and cfg.unfreeze_epoch is not None:
        raise ConfigError(
            "--lr_scheduler plateau and --unfreeze_epoch exclude each other: the weights that are unfrozen would begin with a rate"
            " that no evaluation has lowered; drop one"
        )
    check_average(cfg)
    check_teacher(cfg)
    if watches(cfg) and not cfg.evaluates_meanwhile:
        raise ConfigError(
            f"{watching_options(cfg)[0]} goes by evaluations while training; pass --eval_interval 1 or --eval_steps too"
        )


def check_average(cfg: Config) -> None:
    """ConfigError for a moving average that would never begin."""
    if cfg.ema_start_epoch and not cfg.enable_ema:
        raise ConfigError(
            f"--ema_start_epoch {cfg.ema_start_epoch} has no effect without --enable_ema true; leave it out, or add that"
        )
    if cfg.ema_start_epoch >= cfg.max_epoch and cfg.enable_ema:
        raise ConfigError(
            f"--ema_start_epoch {cfg.ema_start_epoch}: the training ends after {cfg.max_epoch} epochs (--max_epoch), before"
            " there is an average; pass a smaller number"
        )


def check_teacher(cfg: Config) -> None:
    """ConfigError for options of a distillation that don't belong together."""
    if bool(cfg.teacher) != bool(cfg.teacher_weights):
        given, lacking = ("teacher", "teacher_weights") if cfg.teacher else ("teacher_weights", "teacher")
        raise ConfigError(
            f"--{given} {getattr(cfg, given)} needs --{lacking} too: a network and its trained weights make a teacher"
        )
    own = ("distill", "distill_alpha", "distill_temperature")
    changed = [name for name in own if getattr(cfg, name) != cfg.default(name)]
    if changed and not cfg.teacher:
        raise ConfigError(
            f"--{changed[0]} {getattr(cfg, changed[0])} has no effect without --teacher; leave it out, or name one"
        )
    if cfg.distill == "hard" and "distill_temperature" in changed:
        raise ConfigError(
            f"--distill_temperature {cfg.distill_temperature:g} has no effect on --distill hard; leave it out, or pass"
            " --distill soft"
        )


def watches(cfg: Config) -> bool:
    """Whether something follows from evaluations while training."""
    return bool(watching_options(cfg))


def watching_options(cfg: Config) -> list[str]:
    given = {"early_stop": cfg.early_stop, "keep_best": cfg.keep_best}
    found = [f"--{name} {value}" for name, value in given.items() if value]
    return found + (["--lr_scheduler plateau"] if cfg.lr_scheduler == "plateau" else [])


def check_metric(cfg: Config, figures: Sequence[str]) -> None:
    """ConfigError for a --best_metric that evaluations of this task don't give."""
    if cfg.best_metric and cfg.best_metric not in figures:
        raise ConfigError(
            f"--best_metric {cfg.best_metric}: {cfg.net} is evaluated by {', '.join(figures)}; choose one of them"
        )
    if metric_of(cfg, figures) == "top5" and cfg.num_classes <= 5:
        raise ConfigError(
            f"--best_metric top5: it is not counted for {cfg.num_classes} classes; choose top1 or loss"
        )


def metric_of(cfg: Config, figures: Sequence[str]) -> str:
    """The figure by which weights are better."""
    return cfg.best_metric or figures[0]
