"""mindcv's YAML recipes as --config_path.

The meaning of mindcv's names is that of its config.py (0.5.0) and of mindcv/scheduler/dynamic_lr.py, whose formulas are
written out here.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config, mindcv_recipes
from mindlift.training import schedules

RECIPE = """
# system
mode: 0
distribute: True
num_parallel_workers: 8
val_while_train: True

# dataset
dataset: "imagenet"
data_dir: "/data/imagenet"
shuffle: True
batch_size: 32
drop_remainder: True

# augmentation
image_resize: 160
hflip: 0.25
interpolation: "bicubic"
crop_pct: 0.9
color_jitter: [0.3, 0.3, 0.3]

# model
model: "resnet18"
num_classes: 100
pretrained: False
ckpt_path: ""
keep_checkpoint_max: 30
ckpt_save_dir: "./ckpt"
epoch_size: 12
dataset_sink_mode: True
amp_level: "O2"
drop_path_rate: 0.1

# loss
loss: "CE"
label_smoothing: 0.1

# lr scheduler
scheduler: "cosine_decay"
min_lr: 0.0
lr: 0.2
warmup_epochs: 2
decay_epochs: 10

# optimizer
opt: "momentum"
momentum: 0.8
weight_decay: 0.0001
filter_bias_and_bn: True
loss_scale: 512
use_nesterov: False
"""
STEPS = 50  # of an epoch


def load(folder: Path, *more: str, **changes: str) -> config.Config:
    """RECIPE with other lines."""
    lines = [line for line in RECIPE.splitlines() if line.partition(":")[0] not in changes]
    path = folder / "recipe.yaml"
    path.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in changes.items())]))
    return config.load(["--config_path", str(path), *more])


def rates(cfg: config.Config) -> np.ndarray:
    return schedules.lr_table(STEPS, schedules.from_config(cfg, 1, images=0))


def test_names_and_values_are_translated(tmp_path):
    cfg = load(tmp_path)
    wanted = {
        "net": "mindcv:resnet18",
        "dataset": "imagenet",
        "data_dir": "/data/imagenet",
        "per_batch_size": 32,
        "image_size": (160, 160),
        "hflip": 0.25,
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "color_jitter": 0.3,
        "augment": "resized_crop",
        "num_classes": 100,
        "pretrained": "",
        "keep_checkpoint_max": 30,
        "ckpt_path": "./ckpt",
        "save_checkpoint_epochs": 1,
        "max_epoch": 12,
        "amp_level": "O2",
        "drop_path": 0.1,
        "label_smoothing": 0.1,
        "lr": 0.2,
        "warmup_epochs": 2.0,
        "optimizer": "momentum",
        "momentum": 0.8,
        "weight_decay": 1e-4,
        "loss_scale": 512.0,
        "is_dynamic_loss_scale": False,
        "eval_interval": 1,
        "dropout": None,
    }
    assert {name: getattr(cfg, name) for name in wanted} == wanted
    assert config.left_out_of_recipe(cfg) == ""
    assert cfg.origin("momentum") == "recipe.yaml"


def test_the_command_line_comes_first(tmp_path):
    cfg = load(tmp_path, "--net", "resnet50", "--lr", "0.4", "--image_size", "224")
    assert (cfg.net, cfg.lr, cfg.image_size) == ("resnet50", 0.4, (224, 224))


def test_the_cosine_is_mindcvs(tmp_path):
    """Behind the warm-up: cosine_decay_refined_lr with eta_min 0."""
    found = rates(load(tmp_path))
    wanted = [0.1 * (1 + math.cos(math.pi * i / STEPS / 10)) for i in range(10 * STEPS)]
    assert len(found) == 12 * STEPS
    np.testing.assert_allclose(found[2 * STEPS :], wanted, rtol=1e-6, atol=1e-8)
    assert found[0] < found[STEPS] < found[2 * STEPS]


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({"scheduler": "multi_step_decay", "multi_step_decay_milestones": "[3, 6]"}, (3, 6)),
        ({"scheduler": "step_decay", "decay_epochs": "4"}, (4, 8)),
    ],
)
def test_steps_are_counted_from_the_end_of_the_warm_up(tmp_path, changes, epochs):
    """multi_step_lr and step_lr, which mindcv puts behind the warm-up."""
    found = rates(load(tmp_path, **changes, decay_rate="0.1"))
    wanted = [0.2 * 0.1 ** sum(i // STEPS >= epoch for epoch in epochs) for i in range(10 * STEPS)]
    np.testing.assert_allclose(found[2 * STEPS :], wanted, rtol=1e-6)


def test_a_constant_and_a_power(tmp_path):
    constant = rates(load(tmp_path, scheduler="constant"))
    np.testing.assert_allclose(constant[2 * STEPS :], 0.2, rtol=1e-6)
    power = rates(load(tmp_path, scheduler="polynomial_decay", decay_rate="2.0"))
    wanted = [0.2 * (1 - i / STEPS / 10) ** 2 for i in range(10 * STEPS)]
    np.testing.assert_allclose(power[2 * STEPS :], wanted, rtol=1e-5, atol=1e-9)


def test_where_the_warm_up_starts(tmp_path):
    assert load(tmp_path, warmup_factor="0.01").lr_init == pytest.approx(0.002)


def test_what_a_recipe_leaves_out_is_mindcvs_default(tmp_path):
    cfg = load(tmp_path, scheduler="constant", image_resize="", batch_size="null", amp_level="")
    lines = [
        line for line in RECIPE.splitlines() if not line.startswith(("image_resize", "batch_size", "amp"))
    ]
    (tmp_path / "short.yaml").write_text("\n".join(lines))
    cfg = config.load(["--config_path", str(tmp_path / "short.yaml")])
    assert (cfg.image_size, cfg.per_batch_size, cfg.amp_level) == ((224, 224), 128, "O0")


def test_sgd_is_momentum_and_auto_is_dynamic(tmp_path):
    cfg = load(tmp_path, opt="sgd", loss_scale_type="auto")
    assert (cfg.optimizer, cfg.is_dynamic_loss_scale) == ("momentum", True)


def test_cifar_is_padded_and_cropped(tmp_path):
    cfg = load(tmp_path, dataset="cifar10", image_resize="32")
    assert (cfg.augment, cfg.dataset) == ("pad_crop", "cifar10")


def test_a_policy_takes_the_place_of_jitter(tmp_path):
    """As in mindcv's transforms_factory.py: colours are jittered where there is no auto_augment. The deviation of its
    magnitudes is 0.5 whatever is written (auto_augment.py: setdefault in front of the parts).
    """
    cfg = load(tmp_path, auto_augment="randaug-m9-mstd0.7-inc1")
    assert cfg.color_jitter == 0
    assert config.left_out_of_recipe(cfg) == ""


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"auto_augment": "randaug-m9-mstd0.7-inc1"}, {"auto_augment": "rand-m9-inc1-mstd0.5"}),
        ({"auto_augment": "randaug-m7-n3"}, {"auto_augment": "rand-m7-n3-mstd0.5"}),
        ({"auto_augment": "autoaug-mstd1"}, {"auto_augment": "original-mstd0.5"}),
        ({"auto_augment": "autoaugr"}, {"auto_augment": "originalr-mstd0.5"}),
        ({"auto_augment": "3a"}, {"auto_augment": "3a-mstd0.5"}),
        ({"auto_augment": "augmix-m3-w3"}, {"auto_augment": "augmix-m3-w3"}),
        ({"auto_augment": "trivialaugwide"}, {"auto_augment": "trivialaugwide"}),
        ({"vflip": "0.5"}, {"vflip": 0.5}),
        ({"ratio": "[0.5, 2.0]"}, {"crop_ratio": (0.5, 2.0)}),
        ({"scale": "[0.35, 1.0]"}, {"crop_scale": (0.35, 1.0)}),
        (
            {"scale": "[0.08, 1.0]", "ratio": "[0.75, 1.333]"},
            {"crop_scale": (0.08, 1.0), "crop_ratio": (0.75, 4 / 3)},
        ),
        (
            {"re_prob": "0.25"},
            {
                "random_erase": 0.25,
                "random_erase_mode": "const",
                "random_erase_scale": (0.02, 0.33),
                "random_erase_ratio": (0.3, 3.3),
            },
        ),
        ({"re_prob": "0.1", "re_value": "random"}, {"random_erase": 0.1, "random_erase_mode": "pixel"}),
        ({"mixup": "0.2"}, {"mixup_alpha": 0.2, "mixup_shares": "batch", "mixup_prob": 1.0}),
        (
            {"cutmix": "1.0", "cutmix_prob": "0.5"},
            {"cutmix_alpha": 1.0, "mixup_shares": "batch", "mixup_prob": 0.5, "mixup_switch_prob": 0.5},
        ),
        ({"aug_repeats": "3"}, {"aug_repeats": 3}),
        (
            {"aug_splits": "3", "auto_augment": "augmix-m3-w3"},
            {"aug_splits": 3, "auto_augment": "augmix-m3-w3"},
        ),
        ({"mean": "[127.5, 127.5, 127.5]", "std": "[51, 51, 51]"}, {"mean": (0.5,) * 3, "std": (0.2,) * 3}),
        (
            {},
            {
                "auto_augment": "",
                "aug_repeats": 1,
                "aug_splits": 1,
                "random_erase": 0.0,
                "mean": None,
                "mixup_shares": "sample",
            },
        ),
    ],
)
def test_augmentation_is_translated(tmp_path, changes, wanted):
    cfg = load(tmp_path, **changes)
    assert {name: getattr(cfg, name) for name in wanted} == wanted
    assert config.left_out_of_recipe(cfg) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_augment", "randaug-m9-w0"),
        ("auto_augment", "trivialaugwide-m20"),
        ("aug_splits", "2"),
        ("aux_factor", "0.1"),
        ("pretrained", "True"),
        ("lr_epoch_stair", "True"),
        ("shuffle", "False"),
        ("color_jitter", "[0.4, 0.4, 0.1]"),
        ("val_amp_level", "O3"),
        ("drop_overflow_update", "True"),
        ("train_split", "images"),
        ("reduction", "sum"),
    ],
)
def test_what_has_no_counterpart_is_named(tmp_path, key, value):
    cfg = load(tmp_path, **{key: value})
    assert (
        f"recipe.yaml: no counterpart here, so the training goes without: {key} {value}"
        == config.left_out_of_recipe(cfg)
    )


def test_every_option_that_is_translated_to_is_there():
    """One that is not would be left out without a word."""
    assert set(mindcv_recipes.SAME.values()) <= set(config.own_schema().names)


@pytest.mark.parametrize(
    ("kind", "patterns"),
    [("disable", ""), ("auto", "*.gamma,*.beta"), ("norm_and_bias", "*.gamma,*.beta,*.bias")],
)
def test_what_has_no_weight_decay(tmp_path, kind, patterns):
    """optim_factory.py: init_group_params; auto is MindSpore's own filter of norms."""
    assert (
        load(tmp_path, weight_decay_filter=kind, filter_bias_and_bn="False").weight_decay_exclude == patterns
    )


def test_by_default_all_weights_decay(tmp_path):
    """config.py: weight_decay_filter disable; older recipes say filter_bias_and_bn."""
    assert load(tmp_path, filter_bias_and_bn="False").weight_decay_exclude == ""
    assert load(tmp_path).weight_decay_exclude == "*.gamma,*.beta,*.bias"


def test_epsilons_are_those_of_the_optimiser_there(tmp_path):
    """optim_factory.py hands eps (1e-10) on to RMSProp alone; Adam and AdamW have 1e-8 there and here."""
    cfg = load(tmp_path, opt="adamw", eps="0.001")
    assert (cfg.epsilon, config.left_out_of_recipe(cfg)) == (None, "")
    assert load(tmp_path, opt="rmsprop").epsilon == 1e-10
    assert load(tmp_path, opt="rmsprop", eps="0.001").epsilon == 0.001


def test_mixing_has_a_probability(tmp_path):
    """loader.py: cutmix_prob is that of MixUp, too."""
    cfg = load(tmp_path, mixup="0.2", cutmix_prob="0.0")
    assert cfg.mixup_prob == 0
    assert config.left_out_of_recipe(cfg) == ""
    assert load(tmp_path, mixup="0.2").mixup_alpha == 0.2
    assert load(tmp_path, mixup="0.2").mixup_shares == "batch"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opt": "adagrad"}, r"optimizer is 'adagrad'; choose one of momentum"),
        ({"loss": "dice"}, r"loss is 'dice', which has no counterpart here"),
        ({"weight_decay_filter": "some"}, r"weight_decay_filter is 'some', which has no counterpart here"),
        ({"scheduler": "one_cycle"}, r"scheduler is 'one_cycle', which has no counterpart here"),
        ({"lr": "fast"}, r"lr is 'fast', but must be a number"),
        ({"batch_size": "many"}, r"per_batch_size is 'many', but must be a whole number"),
        (
            {"scheduler": "multi_step_decay", "multi_step_decay_milestones": "[x]"},
            r"multi_step_decay_milestones is \['x'\], which has no",
        ),
    ],
)
def test_without_which_it_would_be_another_training_is_an_error(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=rf"recipe.yaml:\d+: {message}"):
        load(tmp_path, **changes)


def test_a_recipe_of_this_project_is_read_as_before(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("net: resnet50\ndataset: digits\nlr: 0.5\nepoch_size: 3\n")
    cfg = config.load(["--config_path", str(path)])
    assert (cfg.net, cfg.lr, cfg.max_epoch, cfg.hflip) == ("resnet50", 0.5, 3, 0.5)
    assert config.left_out_of_recipe(cfg) == ""
