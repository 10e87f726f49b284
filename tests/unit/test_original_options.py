"""Options and defaults of the original models' programs: each is an option here, by its own name or a later one."""

from __future__ import annotations

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config

# The flags of the original DenseNet and their defaults for 121 and 100.
ORIGINAL = {
    "num_classes": (1000, 10),
    "image_size": ((224, 224), (32, 32)),
    "per_batch_size": (32, 64),
    "lr_scheduler": ("cosine_annealing", "exponential"),
    "lr": (0.1, 0.1),
    "lr_epochs": ((30, 60, 90, 120), (150, 225, 300)),
    "lr_gamma": (0.1, 0.1),
    "eta_min": (0.0, 0.0),
    "max_epoch": (120, 300),
    "warmup_epochs": (0.0, 0.0),
    "weight_decay": (1e-4, 1e-4),
    "momentum": (0.9, 0.9),
    "label_smooth": (False, False),
    "label_smooth_factor": (0.1, 0.1),
    "log_interval": (100, 100),
    "ckpt_path": ("outputs_imagenet/", "outputs_cifar10/"),
    "ckpt_interval": (50000, 3124),
    "is_save_on_master": (True, True),
    "is_distributed": (True, True),
    "is_dynamic_loss_scale": (False, False),
    "pretrained": ("", ""),
    "data_dir": ("", ""),
    "color_jitter": (0.4, 0.4),
    "hflip": (0.5, 0.5),
}


@pytest.mark.parametrize("name", sorted(ORIGINAL))
def test_defaults_of_the_original_flags(name):
    big = config.load(["--net", "densenet121", "--dataset", "imagenet"])
    small = config.load(["--net", "densenet100", "--dataset", "cifar10"])
    assert (getattr(big, name), getattr(small, name)) == ORIGINAL[name]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("train_data_dir", "data_dir"),
        ("train_pretrained", "pretrained"),
        ("ckpt_files", "pretrained"),
        ("ckpt_file", "pretrained"),
        ("save_ckpt_path", "ckpt_path"),
    ],
)
def test_later_names_of_the_original_flags(alias, name):
    assert getattr(config.load([f"--{alias}", "x"]), name) == "x"


# The default_config.yaml of hw666666666666/BigTransfer, and what each key is here with its recipe.
BIT_MODEL, BIT_DATA = "BiT-M-R101x3", "cifar-10-batches-bin"
BIT = {
    "model_name": (BIT_MODEL, "net", "bit_r101x3"),
    "dataset_name": (BIT_DATA, "dataset", "cifar10"),
    "num_classes": ("10", "num_classes", 10),
    "image_height": ("160", "image_size", (160, 160)),
    "image_width": ("160", "image_size", (160, 160)),
    "num_parallel_workers": ("16", "num_parallel_workers", 16),
    "batch_size": ("64", "per_batch_size", 64),
    "rand_augment_num_layers": ("2", "rand_augment_num_layers", 2),
    "rand_augment_magnitude": ("20", "rand_augment_magnitude", 20.0),
    "mixup_alpha": ("0.5", "mixup_alpha", 0.5),
    "num_epochs": ("200", "max_epoch", 200),
    "lr_init": ("0.02", "lr_init", 0.02),
    "lr_decay": ("0.98", "lr_decay", 0.98),
    "lr_warmup_epochs": ("6.0", "warmup_epochs", 6.0),
    "lr_num_epochs_per_decay": ("2.5", "lr_num_epochs_per_decay", 2.5),
    "momentum": ("0.9", "momentum", 0.9),
    "decay": ("0.9", "rmsprop_decay", 0.9),
    "weight_decay": ("0.00004", "weight_decay", 4e-5),
    "enable_ema": ("True", "enable_ema", True),
    "ema_decay": ("0.9999", "ema_decay", 0.9999),
    "enable_clip_norm": ("True", "enable_clip_norm", True),
    "gradient_norm": ("1.0", "gradient_norm", 1.0),
    "label_smoothing": ("0.1", "label_smoothing", 0.1),
    "data_path": ("d", "data_dir", "d"),
    "output_path": ("o", "ckpt_path", "o"),
    "save_checkpoint_path": ("o", "ckpt_path", "o"),
    "load_path": ("w", "pretrained", "w"),
    "checkpoint_path": ("w", "pretrained", "w"),
    "pretrain_ckpt": ("w", "pretrained", "w"),
    "device_target": ("Ascend", "device_target", "Ascend"),
    "device_id": ("0", "device_id", 0),
    "rank_id": ("0", "rank", 0),
    "rank_size": ("1", "group_size", 1),
    "run_distribute": ("True", "is_distributed", True),
    "run_eval": ("True", "run_eval", True),
    "save_checkpoint": ("True", "save_checkpoint", True),
    "save_checkpoint_epochs": ("10", "save_checkpoint_epochs", 10),
    "keep_checkpoint_max": ("80", "keep_checkpoint_max", 80),
    "freeze_layer": ("", "freeze_layer", ""),
    "filter_head": ("False", "filter_head", False),
    "enable_cache": ("False", "enable_cache", False),
    "enable_modelarts": ("True", "enable_modelarts", True),
    "data_url": ("s3://b/d", "data_url", "s3://b/d"),
    "multi_data_url": ("[]", "multi_data_url", "[]"),
    "train_url": ("s3://b/r", "train_url", "s3://b/r"),
    "ckpt_url": ("s3://b/w", "ckpt_url", "s3://b/w"),
    "result_url": ("s3://b/r", "result_url", "s3://b/r"),
}
BIT_EXPORT = {
    "file_name": ("BiT", "file_name", "BiT"),
    "file_format": ("MINDIR", "file_format", "MINDIR"),
    "batch_size_export": ("1", "batch_size_export", 1),
}
# What the program itself sets, and the recipe therefore too.
BIT_FIXED = {
    "optimizer": "rmsprop",
    "epsilon": 1.0,
    "is_dynamic_loss_scale": True,
    "loss_scale": 2.0**24,
    "loss_scale_window": 100,
    "train_resize": (192, 192),
    "eval_image_size": (192, 192),
    "interpolation": "bicubic",
    "lr": 0.02,
}


@pytest.mark.parametrize("key", BIT)
def test_every_key_of_bigtransfers_configuration_is_a_flag(key):
    word, name, value = BIT[key]
    flags = {"model_name": BIT_MODEL, "dataset_name": BIT_DATA, key: word}
    cfg = config.load([part for flag, text in flags.items() for part in (f"--{flag}", text)])
    assert getattr(cfg, name) == value
    assert {name: getattr(cfg, name) for name in BIT_FIXED} == BIT_FIXED


@pytest.mark.parametrize("key", BIT_EXPORT)
def test_bigtransfers_keys_of_an_export_are_flags_of_export(key):
    word, name, value = BIT_EXPORT[key]
    flags = ["--model_name", BIT_MODEL, "--dataset_name", BIT_DATA, f"--{key}", word]
    assert getattr(config.load(flags, prog="export.py"), name) == value
    with pytest.raises(ConfigError, match=f"train.py has no use for --{key}"):
        config.load(flags)


def test_bigtransfers_recipe_has_the_values_of_its_configuration():
    """But those that say where things are or which weights they are."""
    cfg = config.load(["--net", "bit_r101x3", "--dataset", "cifar10"])
    places = (
        "path",
        "url",
        "ckpt",
        "device",
        "rank_",
        "enable_modelarts",
        "filter_head",
        "num_parallel_workers",
        "lr_init",
    )
    for key, (_, name, value) in BIT.items():
        if not any(place in key for place in places):
            assert getattr(cfg, name) == value, key
