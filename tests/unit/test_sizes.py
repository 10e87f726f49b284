"""Sizes that belong together follow each other, or what is odd about them is said."""

from __future__ import annotations

import pytest

from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config, sizes
from mindlift.model_utils.config.recipes import recipes

DENSENET = "--net densenet121 --dataset imagenet"
RESNET = "--net resnet50 --dataset imagenet"
BIT = "--net bit_r101x3 --dataset cifar10"
RULE = f"--config_path {ROOT}/src/mindlift/models/bit/recipes/hyperrule.yaml"
DIGITS = "--net densenet22 --dataset digits"
SEGMENT = "--net deeplab_v3_s16 --dataset voc"
NAMES = ("image_size", "eval_image_size", "train_resize", "eval_resize", "crop_pct")


def sizes_of(argv: str, prog: str = "train.py") -> tuple:
    cfg = config.load(argv.split(), prog=prog)
    return tuple(getattr(cfg, name) for name in NAMES)


# 256 for 224: resize and crop of torchvision's presets (references/classification) and of the DenseNet recipe; BiT's rule
# gives 160 for 128 and 512 for 480 as two pairs of its own (bit_hyperrule.py), so that a ratio is meant between them.
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (DENSENET, ((224, 224), None, None, 256, None)),
        (f"{DENSENET} --image_size 64", ((64, 64), None, None, 73, None)),
        (f"{DENSENET} --image_size 448", ((448, 448), None, None, 512, None)),
        (f"{DENSENET} --image_size 112,56", ((112, 56), None, None, 128, None)),
        (f"{DENSENET} --height 112 --width 112", ((112, 112), None, None, 128, None)),
        (f"{DENSENET} --eval_image_size 448", ((224, 224), (448, 448), None, 512, None)),
        (f"{DENSENET} --image_size 64 --eval_resize 256", ((64, 64), None, None, 256, None)),
        (f"{DENSENET} --eval_resize 224", ((224, 224), None, None, 224, None)),
        (RESNET, ((224, 224), None, None, 256, 0.875)),
        (f"{RESNET} --image_size 64", ((64, 64), None, None, 256, 0.875)),
        (f"{RESNET} --eval_resize 240", ((224, 224), None, None, 240, None)),
        (f"{RESNET} --image_size 64 --eval_resize 64", ((64, 64), None, None, 64, None)),
        (BIT, ((160, 160), (192, 192), (192, 192), 256, None)),
        (f"{BIT} --image_size 80", ((80, 80), None, (96, 96), 256, None)),
        (f"{BIT} --image_size 80,160", ((80, 160), None, (96, 192), 256, None)),
        (f"{BIT} --image_size 80 --train_resize 90", ((80, 80), None, (90, 90), 256, None)),
        (RULE, ((128, 128), None, (160, 160), 128, None)),
        (f"{RULE} --dataset imagenet --image_size 64", ((64, 64), None, (80, 80), 64, None)),
        (
            f"{RULE} --dataset imagenet --image_size 480 --train_resize 512 --eval_resize 480",
            ((480, 480), None, (512, 512), 480, None),
        ),
        (DIGITS, ((8, 8), None, None, 256, None)),
        (f"{DIGITS} --image_size 32", ((32, 32), None, None, 256, None)),
        (SEGMENT, ((513, 513), None, None, 256, None)),
        (f"{SEGMENT} --crop_size 257", ((257, 257), None, None, 256, None)),
    ],
)
def test_sizes_follow(argv, expected):
    assert sizes_of(argv) == expected
    if "--train_resize" not in argv:
        assert sizes_of(argv, "export.py")[:2] == expected[:2]
        assert sizes_of(argv, "export.py")[3:] == expected[3:]


def test_a_recipe_that_gives_only_image_size(tmp_path):
    """The default of eval_resize was 256 whatever was cropped from it."""
    file = tmp_path / "r.yaml"
    file.write_text("net: densenet22\ndataset: imagenet\nimage_size: 64\n")
    assert sizes_of(f"--config_path {file}")[3] == 73
    file.write_text("net: densenet22\ndataset: imagenet\nimage_size: 64\neval_resize: 80\n")
    assert sizes_of(f"--config_path {file}")[3] == 80
    assert sizes_of(f"--config_path {file} --image_size 32")[3] == 40


def test_two_ways_to_say_it_exclude_each_other():
    with pytest.raises(
        ConfigError, match="--eval_resize 73 and --crop_pct 0.9 are two ways .*; give one of them"
    ):
        sizes_of(f"{RESNET} --eval_resize 73 --crop_pct 0.9")
    assert sizes_of(f"{RESNET} --eval_resize 73 --crop_pct null")[3:] == (73, None)


def test_where_a_size_is_from_can_be_seen():
    cfg = config.load(f"{DENSENET} --image_size 64".split())
    assert cfg.origin("eval_resize") == "image_size"
    assert config.load(DENSENET.split()).origin("eval_resize") == "default_config.yaml"
    assert config.load(f"{RESNET} --eval_resize 64".split()).origin("crop_pct") == "--eval_resize"


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (f"{DENSENET} --image_size 64 --eval_resize 256", "looks at 6 % of each picture: it crops 64 x 64"),
        (
            f"{DENSENET} --image_size 299 --eval_resize 256",
            "crops 299 x 299 pixels from an image of --eval_resize 256",
        ),
        (f"{DENSENET} --image_size 64", ""),
        (f"{DENSENET} --image_size 128 --eval_resize 256", ""),
        (f"{RESNET} --image_size 64", ""),
        (DIGITS, ""),
        (SEGMENT, ""),
    ],
)
def test_what_is_odd_is_said(argv, part):
    found = sizes.mismatch(config.load(argv.split()).to_dict())
    assert (part in found) if part else not found


@pytest.mark.parametrize("recipe", sorted(recipes(ROOT).values()), ids=lambda path: path.stem)
def test_the_sizes_of_recipes_are_what_their_files_say(recipe):
    cfg = config.load(["--config_path", str(recipe)])
    assert {cfg.origin(name) for name in NAMES} <= {"default_config.yaml", recipe.name}
    assert not sizes.mismatch(cfg.to_dict())
