"""Options of images to classify that can't be meant, each as one line."""

from __future__ import annotations

from collections.abc import Sequence

from mindlift.data.classification.mixing import SAMPLE
from mindlift.errors import ConfigError
from mindlift.model_utils.config.frozen import Config

CROPPED = ("crop_scale", "crop_ratio")
RANGES = (*CROPPED, "random_erase_scale", "random_erase_ratio")
CHANNELS = (1, 3)
COLOURS = ("color_jitter", "grayscale", "gaussian_blur")
CHANGES = (*COLOURS, "auto_augment", "rand_augment_num_layers", "random_erase")  # what makes views differ


def check_statistics(cfg: Config) -> None:
    """ConfigError for mean or std that are neither one number nor one for each channel."""
    for name, given in (("mean", cfg.mean), ("std", cfg.std)):
        if given is not None and len(given) not in CHANNELS:
            raise ConfigError(
                f"--{name} {shown(given)} has {len(given)} numbers; pass one, or three for red, green and blue"
            )


def check_augmentation(cfg: Config) -> None:
    """ConfigError for what would have no effect, or none that can be meant."""
    check_crop(cfg)
    check_mixing(cfg)
    check_views(cfg)
    for name in RANGES:
        check_range(cfg, name)
    for name in CROPPED:
        if cfg.augment != "resized_crop" and getattr(cfg, name) != cfg.option(name).default:
            raise ConfigError(
                f"--{name} {shown(getattr(cfg, name))} has no effect with --augment {cfg.augment}; pass --augment"
                " resized_crop, or leave it out"
            )
    if cfg.auto_augment and cfg.rand_augment_num_layers:
        raise ConfigError(
            f"--auto_augment {cfg.auto_augment} and --rand_augment_num_layers {cfg.rand_augment_num_layers} are two"
            " policies; choose one"
        )


def check_crop(cfg: Config) -> None:
    """ConfigError if there is nothing to crop image_size from."""
    if cfg.augment != "resize_crop":
        return
    height, width = cfg.image_size
    if cfg.train_resize is None or cfg.train_resize[0] < height or cfg.train_resize[1] < width:
        given = "not set" if cfg.train_resize is None else "{},{}".format(*cfg.train_resize)
        raise ConfigError(
            f"--augment resize_crop crops {height},{width} from --train_resize, which is {given}; pass at least"
            f" {height},{width}"
        )


def check_mixing(cfg: Config) -> None:
    """ConfigError for batches whose images would be mixed with themselves (see mixing.Mixer)."""
    is_alone = cfg.per_batch_size == 1 or (
        cfg.mixup_shares == SAMPLE and cfg.aug_repeats % cfg.per_batch_size == 0
    )
    for name in ("mixup_alpha", "cutmix_alpha"):
        if getattr(cfg, name) and is_alone:
            raise ConfigError(
                f"--{name} {getattr(cfg, name):g} mixes the images of a batch, and with --per_batch_size {cfg.per_batch_size} and"
                f" --aug_repeats {cfg.aug_repeats} each image would be mixed with itself; pass another --per_batch_size"
            )


def check_views(cfg: Config) -> None:
    """ConfigError for views of an image that would be mixed up, or all be the same."""
    if cfg.aug_splits == 1:
        if cfg.random_erase_resplit:
            raise ConfigError(
                "--random_erase_resplit true leaves the first of several views whole, and --aug_splits is 1; leave it out, or pass"
                " --aug_splits 3"
            )
        return
    for name in ("mixup_alpha", "cutmix_alpha"):
        if getattr(cfg, name):
            raise ConfigError(
                f"--{name} {getattr(cfg, name):g} and --aug_splits {cfg.aug_splits} exclude each other: the views of an image"
                " have its label, a mixed one's has two; drop one"
            )
    if not any(getattr(cfg, name) for name in CHANGES):
        raise ConfigError(
            f"--aug_splits {cfg.aug_splits} makes equal views of each image, because nothing changes its colours or form; pass"
            " --auto_augment augmix-m3-w3, or --color_jitter 0.4"
        )


def check_range(cfg: Config, name: str) -> None:
    given: Sequence[float] = getattr(cfg, name)
    if len(given) != 2 or not given[0] <= given[1]:
        default = shown(cfg.option(name).default)
        raise ConfigError(
            f"--{name} {shown(given)} is no range; pass the least and the greatest value, such as {default}"
        )


def shown(values: object) -> str:
    assert isinstance(values, tuple)
    return ",".join(f"{value:.6g}" for value in values)
