"""`import mindlift` costs nothing; configurations of calls are those of command lines; what is wrong is one line."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mindlift
from mindlift.api import memory_images, networks, options
from mindlift.errors import ConfigError, DataError
from mindlift.model_utils import named_images
from mindlift.model_utils.config import config

NOTHING_LARGE = """
import sys, mindlift
assert [name for name in sys.modules if name.startswith("mindlift")] == ["mindlift"]
assert mindlift.list_models("res*") == ["resnet101", "resnet50"]
assert mindlift.load_config(net="densenet22", dataset="digits").net == "densenet22"
found = {"mindspore", "numpy", "PIL", "boto3", "requests"} & set(sys.modules)
assert not found, found
"""


def test_importing_it_imports_nothing_large():
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_LARGE], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_name_is_there_and_documented():
    public = set(mindlift.__all__) - {"__version__"}
    assert public == set(mindlift.PLACES)
    assert public <= set(dir(mindlift))
    for name in public:
        found = getattr(mindlift, name)
        assert found.__module__ == f"mindlift.{mindlift.PLACES[name]}"
        assert found.__doc__
    with pytest.raises(AttributeError, match="no attribute 'create_modell'"):
        _ = mindlift.create_modell


@pytest.mark.parametrize("module", [options, networks], ids=lambda module: module.__name__)
def test_examples_of_docstrings(module):
    tested = doctest.testmod(module, extraglobs={"load_config": mindlift.load_config})
    assert tested.attempted > 0 == tested.failed


@pytest.mark.parametrize(
    ("program", "words", "given"),
    [
        ("train", "--lr 0.05 --max_epoch 3", {"lr": 0.05, "max_epoch": 3}),
        ("train", "--batch_size 8 --lr_epochs 1,2", {"batch_size": 8, "lr_epochs": [1, 2]}),
        ("train", "--image_size 16,8 --label_smooth 1", {"image_size": (16, 8), "label_smooth": True}),
        (
            "train",
            "--max_steps 5 --T_max none --lr_epochs 1,2",
            {"max_steps": 5, "T_max": None, "lr_epochs": "1,2"},
        ),
        ("train", "--data_dir DIR", {"data_dir": Path("DIR")}),
        ("train", "--ckpt_path ~/runs", {"ckpt_path": "~/runs"}),
        ("eval", "--crops 144", {"crops": 144}),
        ("predict", "--top_k 2", {"top_k": 2}),
        ("features", "--feature_stage 2", {"feature_stage": 2}),
    ],
)
def test_a_call_means_what_the_command_line_means(program, words, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prog = "mindlift features" if program == "features" else f"{program}.py"
    typed = config.load(["--net", "densenet22", "--dataset", "digits", *words.split()], prog=prog)
    called = mindlift.load_config(program=program, net="densenet22", dataset="digits", **given)
    assert called == typed
    assert called.to_yaml(origins=True) == typed.to_yaml(origins=True)
    assert called.program == typed.program == prog
    assert called.replace(debug=True).program == prog


def test_a_file_is_a_recipe(tmp_path):
    (tmp_path / "own.yaml").write_text("net: densenet22\ndataset: digits\nlr: 0.03\n", encoding="utf-8")
    cfg = mindlift.load_config(tmp_path / "own.yaml", momentum=0.8)
    assert (cfg.net, cfg.lr, cfg.momentum) == ("densenet22", 0.03, 0.8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 1}, "load_config(): unknown option 'learning_rate'; did you mean 'lr'?"),
        ({"max_steps": "5"}, "load_config(): max_steps is '5', but must be a whole number or null"),
        ({"lr": "fast"}, "load_config(): lr is 'fast', but must be a number"),
        ({"top_k": 3}, "load_config(): train.py has no use for --top_k; leave it out (see --help)"),
        ({"net": "densenet23"}, "unknown net 'densenet23'; did you mean 'densenet22'?"),
        ({"program": "test"}, "unknown program 'test'; choose one of train, eval, export, predict, features"),
        ({"lr": np.array([1, 2])}, "load_config(): lr is [1, 2], but must be a number"),
        ({"data_dir": "a\0b"}, "load_config(): data_dir is 'a\\x00b', but text has no NUL"),
        ({"data_dir": "s3://b/x"}, "--data_dir s3://b/x is a URL"),
    ],
)
def test_what_is_wrong_with_a_configuration(given, message):
    with pytest.raises(ConfigError) as caught:
        mindlift.load_config(**given)
    assert str(caught.value).startswith(message)


def test_a_configuration_of_another_program_is_refused():
    cfg = mindlift.load_config(net="densenet22", dataset="digits")
    for function, wanted in (
        (mindlift.evaluate, "eval"),
        (lambda cfg: mindlift.predict("x.png", cfg), "predict"),
    ):
        with pytest.raises(ConfigError) as caught:
            function(cfg)
        assert "read for 'train'" in str(caught.value)
        assert f"load_config(program='{wanted}', ...)" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet5"}, "unknown net 'resnet5'; did you mean 'resnet50'?; list_models() has those"),
        ({"name": "resnet50", "out_indices": [1]}, "out_indices [1] needs features_only=True"),
        ({"name": "resnet50", "out_indices": 1}, "out_indices 1 needs features_only=True"),
        ({"name": None}, "unknown net null; list_models() has those"),
        ({"name": "resnet50", "lr": 1}, "create_model: lr makes no difference to a network by itself"),
        ({"name": "resnet50", "width": 0}, "load_config(): width is 0, but must be at least 1"),
    ],
)
def test_what_is_wrong_with_a_network(arguments, message):
    with pytest.raises(ConfigError) as caught:
        mindlift.create_model(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("cfg", ["densenet22", {"net": "densenet22"}, None])
def test_what_is_no_configuration(cfg):
    with pytest.raises(ConfigError) as caught:
        mindlift.train(cfg)
    assert "is no configuration; make one by load_config()" in str(caught.value)


def test_values_of_numpy_and_paths_are_pythons():
    given = {"lr": np.float32(0.5), "per_batch_size": np.int64(8), "run_eval": np.bool_(True)}
    more = {"image_size": np.array([8, 9]), "pretrained": Path("a.ckpt")}
    cfg = mindlift.load_config(net="densenet22", dataset="digits", **given, **more)
    assert (cfg.lr, cfg.per_batch_size, cfg.run_eval, cfg.image_size) == (0.5, 8, True, (8, 9))
    assert cfg.pretrained == "a.ckpt"
    assert [type(each) for each in (cfg.lr, cfg.per_batch_size, cfg.run_eval)] == [float, int, bool]


def test_patterns_of_names():
    assert mindlift.list_models() == sorted(mindlift.list_models())
    assert mindlift.list_models("densenet*") == ["densenet100", "densenet121", "densenet22"]
    assert mindlift.list_models("nothing") == []


def stored(found: list[named_images.Image]) -> list[np.ndarray]:
    return [np.asarray(Image.open(image.path)) for image in found]


def test_images_from_memory_are_files_with_the_same_pixels(tmp_path):
    rng = np.random.default_rng(0)
    colours, grey = rng.integers(0, 256, (5, 7, 3), np.uint8), rng.integers(0, 256, (4, 6), np.uint8)
    given = [colours, grey, Image.fromarray(grey), "a.png", Image.fromarray(colours), colours[:, ::-1]]
    found = memory_images.named(given, tmp_path, lambda words: [named_images.Image(words[0], Path(words[0]))])
    assert [image.name for image in found] == ["image 0", "image 1", "image 2", "a.png", "image 4", "image 5"]
    repeated = np.stack([grey] * 3, 2)
    expected = [colours, repeated, repeated, colours, colours[:, ::-1]]
    for pixels, wanted in zip(stored([each for each in found if each.name != "a.png"]), expected):
        np.testing.assert_array_equal(pixels, wanted)


@pytest.mark.parametrize("one", ["a.png", Path("a.png")])
def test_one_image_is_a_list_of_one(one, tmp_path):
    found = memory_images.named(one, tmp_path, lambda words: [named_images.Image(words[0], Path(words[0]))])
    assert [image.name for image in found] == ["a.png"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there are no images to look at; pass at least one"),
        (3, "images are a int; expected a path"),
        (["a.png", 3.0], "image 1 is a float; expected a path"),
        ([np.zeros((4, 4, 3))], "image 0 is an array (4, 4, 3) of float64; expected"),
        ([np.zeros((3, 4, 4), np.uint8)], "image 0 is an array (3, 4, 4) of uint8; expected"),
        ([np.zeros((0, 4), np.uint8)], "image 0 is an array (0, 4) of uint8; expected"),
    ],
)
def test_what_is_no_image(images, message, tmp_path):
    with pytest.raises(DataError) as caught:
        memory_images.named(images, tmp_path, lambda words: [])
    assert str(caught.value).startswith(message)
