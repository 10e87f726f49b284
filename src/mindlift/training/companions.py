"""Options that do something only beside another one; a ConfigError for those that are typed without it. Pure.

A recipe may set them for whoever switches the other one on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindlift.errors import ConfigError
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.options import Value, as_yaml

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

MIXED = ("mixup_alpha", "cutmix_alpha")
NEEDS: dict[str, tuple[str, ...]] = {  # option: any of these, as "option" that is on, or "option=value"
    **dict.fromkeys(("mixup_prob", "mixup_shares", "mixup_off_epoch", "mixup_least_images"), MIXED),
    **dict.fromkeys(
        ("random_erase_mode", "random_erase_count", "random_erase_scale", "random_erase_ratio"),
        ("random_erase",),
    ),
    "rand_augment_magnitude": ("rand_augment_num_layers",),
    "train_resize": ("augment=resize_crop",),
    **dict.fromkeys(("ema_decay", "ema_warmup"), ("enable_ema",)),
    "gradient_norm": ("enable_clip_norm",),
    "rmsprop_decay": ("optimizer=rmsprop",),
    "lars_coefficient": ("optimizer=lars",),
    "lr_base_scale": ("lr_base_batch",),
    **dict.fromkeys(("lr_cycle_mul", "lr_cycle_decay"), ("lr_scheduler=cosine_restarts",)),
    "plateau_patience": ("lr_scheduler=plateau",),
    "min_delta": ("early_stop", "lr_scheduler=plateau"),
}


def check(cfg: Config) -> None:
    for name, needs in NEEDS.items():
        if is_typed(cfg, name) and not any(is_on(cfg, need) for need in needs):
            words = " / ".join(f"--{need}".replace("=", " ") for need in needs)
            raise ConfigError(
                f"--{name} {shown(getattr(cfg, name))} has no effect without {words}; leave it out, or pass that too"
            )
    if is_typed(cfg, "mixup_switch_prob") and not all(is_on(cfg, name) for name in MIXED):
        raise ConfigError(
            f"--mixup_switch_prob {cfg.mixup_switch_prob:g} chooses between MixUp and CutMix, which are not both on; leave it"
            " out, or pass --mixup_alpha and --cutmix_alpha"
        )


def is_typed(cfg: Config, name: str) -> bool:
    """With another value than the default."""
    return cfg.origin(name) == COMMAND_LINE and getattr(cfg, name) != cfg.default(name)


def shown(value: Value) -> str:
    return ",".join(f"{each:.6g}" for each in value) if isinstance(value, tuple) else as_yaml(value)


def is_on(cfg: Config, need: str) -> bool:
    name, _, value = need.partition("=")
    return getattr(cfg, name) == value if value else bool(getattr(cfg, name))
