"""What a training on a folder of photos takes where nobody names a data set or a recipe, and what it says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift.data import folder_check
from mindlift.data import own_folder as folders
from mindlift.data.classification.split import open_split
from mindlift.errors import CheckpointError, ConfigError, DataError
from mindlift.model_utils.config import config
from mindlift.runs.paths import RunPaths
from mindlift.tasks.classification import task as classify
from mindlift.training import own_folder
from mindlift.training.own_folder import OwnFolder, batch_size, epochs
from tests.support.weight_sources import stored_of


def made(root: Path, **counts: int) -> Path:
    """A folder with so many files in each class folder; `train__cat=3` is 3 in train/cat."""
    for name, count in counts.items():
        folder = root.joinpath(*name.split("__"))
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number}.jpg").write_bytes(b"")
    return root


def chosen(*words: object, size: int = 1) -> tuple[config.Config, list[str]]:
    own = OwnFolder(size)
    cfg = config.load([str(word) for word in words], planner=own)
    return cfg, own_folder.lines(cfg, own, size)


@pytest.fixture
def photos(tmp_path) -> Path:
    return made(tmp_path / "photos", cat=50, dog=50, horse=50)


@pytest.fixture
def weights(tmp_path) -> Path:
    """Names and shapes of torchvision's ResNet-50."""
    path = tmp_path / "resnet50.safetensors"
    save_file(
        {
            name: np.zeros(array.shape, np.float32)
            for name, array in stored_of("torchvision resnet50").tensors.items()
        },
        path,
    )
    return path


def test_nothing_but_a_folder_and_weights(photos, weights):
    cfg, said = chosen("--data_dir", photos, "--net", "resnet50", "--pretrained", weights)
    assert (cfg.net, cfg.dataset, cfg.num_classes, cfg.filter_head) == ("resnet50", "imagenet", 3, True)
    assert (cfg.image_size, cfg.crop_pct, cfg.normalize) == ((224, 224), 0.875, "imagenet"), "of its recipe"
    assert (cfg.validation_split, cfg.per_batch_size, cfg.max_epoch) == (0.2, 8, 20), "120 images to train on"
    assert (cfg.lr, cfg.lr_base_batch, cfg.lr_scheduler, cfg.momentum) == (0.001, 4, "cos", 0.9)
    assert (cfg.run_eval, cfg.eval_interval, cfg.keep_best, cfg.save_checkpoint_epochs) == (True, 1, 1, 1)
    assert (cfg.max_epoch, cfg.origin("max_epoch")) == (20, "the images")
    assert cfg.skip_corrupt
    assert len(said) == 5
    assert "150 of 3 classes (cat, dog, horse)" in said[0]
    assert "30 of them" in said[0]
    assert f"from the weights of {weights} with a new head for 3 classes, which sees 224 x 224" in said[1]
    assert "20 epochs of 15 steps of 8 images, learning rate 0.002" in said[2]
    assert all(
        f"--{name}" in "".join(said) for name in ("validation_split", "net", "max_epoch", "lr", "config_path")
    )


def test_the_command_line_counts_more(photos):
    words = [
        "--max_epoch",
        3,
        "--per_batch_size",
        4,
        "--validation_split",
        0.5,
        "--eval_interval",
        0,
        "--num_classes",
        5,
    ]
    cfg, said = chosen("--data_dir", photos, "--allow_unused_classes", *words)
    assert (cfg.net, cfg.max_epoch, cfg.per_batch_size, cfg.num_classes) == ("resnet50", 3, 4, 5)
    assert "75 of them" in said[0]
    assert "from random weights" in said[1]
    assert "3 epochs of 18 steps of 4" in said[2]
    assert "evaluation: at the end" in said[3]
    assert "best" not in said[3].partition("(")[0]


def test_the_epochs_follow_the_batch_that_somebody_wants(photos):
    assert chosen("--data_dir", photos, "--per_batch_size", 30)[0].max_epoch == 100, "4 steps each"
    assert chosen("--data_dir", photos, "--per_batch_size", 2)[0].max_epoch == 25, "60 steps each"


@pytest.mark.parametrize("other", ["val", "valid", "validation", "test"])
def test_another_split_is_taken_for_the_evaluation(tmp_path, other):
    root = made(tmp_path, train__cat=20, train__dog=20, **{f"{other}__cat": 2, f"{other}__dog": 2})
    cfg, said = chosen("--data_dir", root)
    assert (cfg.num_classes, cfg.validation_split, cfg.per_batch_size) == (2, 0, 8)
    assert f"those of {root / other} evaluate it" in said[0]


def test_a_test_set_beside_a_validation_set_is_left_alone(tmp_path):
    names = [f"{split}__{name}" for split in ("train", "val", "test") for name in ("cat", "dog")]
    assert (
        f"{tmp_path / 'test'} is left for you"
        in chosen("--data_dir", made(tmp_path, **dict.fromkeys(names, 9)))[1][0]
    )


def test_a_folder_that_is_named_for_the_evaluation(photos, tmp_path):
    other = made(tmp_path / "other", cat=3)
    cfg, said = chosen("--data_dir", photos, "--eval_data_dir", other)
    assert (cfg.validation_split, cfg.eval_data_dir) == (0, str(other))
    assert f"those of {other} evaluate it" in said[0]


# images, ranks: images per step on each rank
@pytest.mark.parametrize(
    ("images", "size", "batch"),
    [
        (1000, 1, 32),
        (320, 1, 32),
        (319, 1, 16),
        (100, 1, 8),
        (9, 1, 8),
        (3, 1, 3),
        (1000, 2, 16),
        (1000, 8, 8),
        (9, 2, 4),
    ],
)
def test_the_batch(images, size, batch):
    assert batch_size(images, size) == batch


@pytest.mark.parametrize(
    ("steps", "fine_tuning", "count"),
    [
        (10, True, 30),
        (20, True, 15),
        (29, True, 11),
        (300, True, 5),
        (10, False, 100),
        (50, False, 30),
        (500, False, 20),
    ],
)
def test_the_epochs(steps, fine_tuning, count):
    assert epochs(steps, fine_tuning) == count


# network: its size of images, and mean and deviation, those of the recipe that is most like photos
@pytest.mark.parametrize(
    ("net", "side", "normalize"),
    [
        ("resnet50", 224, "imagenet"),
        ("resnet101", 224, "imagenet"),
        ("densenet121", 224, "imagenet"),
        ("inception_v4", 299, "imagenet"),
        ("bit_r50x1", 224, "half"),
        ("bit_r152x4", 224, "half"),
        ("densenet100", 32, "half"),
        ("densenet22", 8, "half"),
    ],
)
def test_images_of_a_network(photos, net, side, normalize):
    cfg, _ = chosen("--data_dir", photos, "--net", net)
    assert (cfg.image_size, cfg.normalize, cfg.enable_ema) == ((side, side), normalize, False)


def test_sizes_follow_one_another(photos):
    cfg, _ = chosen("--data_dir", photos, "--net", "bit_r50x1", "--image_size", 448)
    assert (cfg.image_size, cfg.eval_resize) == (
        (448, 448),
        512,
    ), "256 for 224, as in most evaluations on ImageNet"


def run_of(base: Path, classes: list[str], **options: object) -> Path:
    """A run with a checkpoint, of weights that nobody reads."""
    paths = RunPaths(base / "20260101-000000").create()
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    paths.config.write_text(config.load(words).to_yaml(origins=True))
    paths.classes.write_text(json.dumps(classes))
    (paths.checkpoints / "net.ckpt").write_bytes(b"\n")
    return paths.root


def test_from_a_run_its_network_and_its_images(photos, tmp_path):
    run = run_of(tmp_path / "a", ["cat", "dog"], net="densenet22", dataset="digits", image_size=16)
    cfg, said = chosen("--data_dir", photos, "--pretrained", run)
    assert (cfg.net, cfg.image_size, cfg.normalize, cfg.filter_head) == ("densenet22", (16, 16), "half", True)
    assert cfg.lr == 0.001
    same = run_of(tmp_path / "b", ["cat", "dog", "horse"], net="densenet22", dataset="digits")
    cfg, said = chosen("--data_dir", photos, "--pretrained", same)
    assert not cfg.filter_head
    assert f"from the weights of {same} with their head" in said[1]


def test_options_that_the_source_of_the_weights_needs(photos, tmp_path):
    """timm standardises BiT's weights with an epsilon of 1e-8: docs/weights.md."""
    tensors = {
        name: np.zeros(array.shape, np.float32) for name, array in stored_of("timm bit_r50x1").tensors.items()
    }
    save_file(tensors, tmp_path / "timm.safetensors")
    cfg, _ = chosen("--data_dir", photos, "--net", "bit_r50x1", "--pretrained", tmp_path / "timm.safetensors")
    assert (cfg.std_eps, cfg.origin("std_eps")) == (1e-8, "timm.safetensors")


def test_weights_in_a_bucket(photos):
    cfg, _ = chosen("--data_dir", photos, "--net", "resnet50", "--pretrained", "obs://bucket/resnet50.pth")
    assert (cfg.filter_head, cfg.lr) == (True, 0.001)


def test_where_a_recipe_counts(photos, tmp_path):
    named = ["--data_dir", photos, "--net", "resnet50"]
    recipe = config.load(["--net", "resnet50", "--dataset", "imagenet", "--data_dir", str(photos)])
    assert chosen(*named, "--dataset", "imagenet") == (recipe, [])
    cifar = made(tmp_path / "cifar", x=0)
    (cifar / "data_batch_1.bin").write_bytes(b"")
    assert chosen("--data_dir", cifar, "--net", "densenet22")[0].dataset == "digits"
    assert chosen("--net", "densenet22")[0].dataset == "digits"
    assert chosen("--data_dir", photos, "--net", "deeplab_v3_r26_s16", "--dataset", "voc")[0].dataset == "voc"
    with pytest.raises(ConfigError, match="no recipe for net 'deeplab_v3_r26_s16' on dataset 'digits'"):
        chosen("--data_dir", photos, "--net", "deeplab_v3_r26_s16")
    with pytest.raises(ConfigError, match="unknown net 'resnet5'"):
        chosen("--data_dir", photos, "--net", "resnet5")
    assert chosen(*named, "--data_format", "mindrecord")[1] == []


def test_what_is_wrong_is_one_line(photos, weights, tmp_path):
    with pytest.raises(DataError, match="--data_dir .*nowhere does not exist"):
        chosen("--data_dir", tmp_path / "nowhere", "--net", "resnet50")
    loose = made(tmp_path / "some", loose=3) / "loose"
    with pytest.raises(
        DataError, match="loose has 3 images, but no class folders; put the images of each class"
    ):
        chosen("--data_dir", loose)
    with pytest.raises(CheckpointError, match="no such checkpoint: .*nothing.pth"):
        chosen("--data_dir", photos, "--pretrained", tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="has weights of resnet .*, not of densenet"):
        chosen("--data_dir", photos, "--net", "densenet121", "--pretrained", weights)


def test_what_a_folder_holds(tmp_path):
    found = folders.look(made(tmp_path / "a", b=2, a=1, **{".hidden": 3}))
    assert found is not None
    assert (found.classes, found.counts, found.evaluated) == (["a", "b"], [1, 2], None)
    with pytest.raises(DataError, match=r"empty has class folders \(a\), but no image in them"):
        folders.look(made(tmp_path / "empty", a=0))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(
        DataError, match=r"nothing has neither class folders .* nor CIFAR's data_batch_\*\.bin"
    ):
        folders.look(tmp_path / "nothing")


def test_an_evaluation_of_the_run_counts_what_was_held_out(photos, tmp_path):
    run = run_of(
        tmp_path,
        ["cat", "dog", "horse"],
        net="resnet50",
        dataset="imagenet",
        data_dir=photos,
        validation_split=0.2,
        seed=7,
    )
    other = made(tmp_path / "other", cat=1)

    def split(*words: object) -> tuple[str, float, int]:
        cfg = config.load(["--pretrained", str(run), *map(str, words)], prog="eval.py")
        return cfg.data_dir, cfg.validation_split, cfg.seed

    assert split() == (str(photos), 0.2, 7)
    assert split("--data_dir", photos) == (str(photos), 0.2, 7), "the same images"
    assert split("--data_dir", other) == (str(other), 0.0, 7), "none of those were trained on"
    assert split("--eval_data_dir", other)[1] == 0.0
    assert split("--data_dir", other, "--validation_split", 0.5)[1] == 0.5


def test_the_two_sides_of_a_split(tmp_path):
    """Every image is on one side, each class keeps its label, and the log of an evaluation says what it reads."""
    root = made(tmp_path, b=10, a=5)
    cfg, _ = chosen("--data_dir", root, "--net", "densenet22")
    options = classify.options(cfg, 1)
    sides = [open_split(options, root, train=train) for train in (True, False)]
    names = [{(file, int(label)) for file, label in zip(each.names, each.labels)} for each in sides]
    assert [len(each) for each in names] == [12, 3]
    everything = {
        (f"{root}/{name}/{n}.jpg", label)
        for name, label, count in (("a", 0, 5), ("b", 1, 10))
        for n in range(count)
    }
    assert names[0] | names[1] == everything
    assert sides[0].classes == sides[1].classes == ["a", "b"]
    whole = open_split(replace(options, validation_split=0.0), root, train=False)
    assert len(whole) == 15


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["--dataset", "digits", "--net", "densenet22"],
            "is for class folders of image files, not for --dataset digits",
        ),
        (
            ["--dataset", "imagenet", "--eval_data_dir", "{other}"],
            "the images to evaluate on are in .*other already",
        ),
        (
            ["--dataset", "imagenet", "--data_dir", "{both}"],
            "the images to evaluate on are in .*both/val already",
        ),
    ],
)
def test_splits_that_there_are_already(photos, tmp_path, words, problem):
    places = {name: tmp_path / name for name in ("other", "both")}
    made(places["other"], cat=1)
    made(places["both"], train__cat=1, val__cat=1)
    words = [word.format(**places) for word in words]
    cfg = config.load(["--data_dir", str(photos), "--net", "resnet50", "--validation_split", "0.2", *words])
    with pytest.raises(DataError, match=f"--validation_split 0.2.*{problem}"):
        folder_check.check(cfg, Path(cfg.data_dir), train=True)
