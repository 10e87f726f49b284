"""Strictness of config.load with files: values, mistakes, where recipes are found, what is written reads back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from mindlift.errors import ConfigError
from tests.support.made_up_options import error_of, read, recipe_of, write_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("lr: 1e-4", "lr", 1e-4),
        ("lr: 1", "lr", 1.0),
        ("lr: '0.5'", "lr", 0.5),
        ("drops: [30, 60]", "drops", (30, 60)),
        ("drops: 30,60,90", "drops", (30, 60, 90)),
        ("drops: 30", "drops", (30,)),
        ("rates: [1e-4, 2]", "rates", (1e-4, 2.0)),
        ("image_size: [224, 192]", "image_size", (224, 192)),
        ("image_size: 224", "image_size", (224, 224)),
        ("image_size: 224x192", "image_size", (224, 192)),
        ("smooth: yes", "smooth", True),
        ("smooth: 'oFF'", "smooth", False),
        ("smooth: 1", "smooth", True),
        ("period: null", "period", None),
        ("period: none", "period", None),
        ("augment: none", "augment", "none"),
        ("data_dir: 2024-01-01", "data_dir", "2024-01-01"),
        ("data_dir: '5'", "data_dir", "5"),
        ("data_dir: 'null'", "data_dir", "null"),
        ("batch_size: 3", "batch", 3),
        ("batch_size: 3\nbatch: 3", "batch", 3),
        ("data: {batch: 4}\nlr: 1", "batch", 4),
        ("data:\nlr: 1", "batch", 8),
        ("# nothing", "batch", 8),
        ("\ufeffbatch: 5", "batch", 5),
    ],
)
def test_values_of_files(home: Path, text: str, name: str, value: Any) -> None:
    found = getattr(recipe_of(home, text), name)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lr: 1\nbatchsize: 7", ["r.yaml:2: unknown option 'batchsize'; did you mean 'batch_size'?"]),
        ("batch: 2.0", ["r.yaml:1: batch is 2.0", "whole number"]),
        ("batch: '2'", ["r.yaml:1: batch is '2'", "whole number"]),
        ("batch: 010", ["batch is '010'"]),
        ("batch: 1:30", ["batch is '1:30'"]),
        ("batch: [2]", ["batch is [2]"]),
        ("batch: {value: 2}", ["batch is a mapping"]),
        ("batch_size: 0", ["batch_size (batch) is 0", "at least 1"]),
        ("lr: .inf", ["r.yaml:1: lr is", "a number"]),
        ("lr: .nan", ["r.yaml:1: lr is", "a number"]),
        ("lr: yes", ["lr is True"]),
        ("limit: " + "9" * 400, ["limit is", "a number"]),
        ("data_dir: 5", ["data_dir is 5", "text", "quotes"]),
        ("augment: no", ["augment is False", "crop, none"]),
        ("data_dir: ~", ["data_dir is null"]),
        ("smooth: 1.0", ["smooth is 1.0", "true or false"]),
        ("smooth: null", ["smooth is null"]),
        ("drops: [1, true]", ["drops is", "whole numbers"]),
        ("drops: [[1]]", ["drops is", "whole numbers"]),
        ("drops: &a [*a]", ["r.yaml:1", "an alias within what it stands for"]),
        ("image_size: [1, 2, 3]", ["image_size is [1, 2, 3]"]),
        ("image_size: []", ["image_size is []"]),
        ("image_size: true", ["image_size is True"]),
        ("lr: 1\nlr: 2", ["r.yaml:2: 'lr' is given twice, first in line 1"]),
        ("data: {batch: 2}\nbatch: 2", ["r.yaml:2: 'batch' is given twice"]),
        ("data:\n  batch: 2\n  batch: 3", ["r.yaml:3: 'batch' is given twice"]),
        ("batch: 1\nbatch_size: 2", ["r.yaml:2: 'batch' and 'batch_size'"]),
        ("data: 5", ["r.yaml", "option: value"]),
        ("5: 6", ["r.yaml:1: unknown option '5'"]),
        ("? [a]\n: 1", ["r.yaml:1", "key"]),
        ("lr: [1", ["r.yaml:", "not valid YAML"]),
        ("lr: 1\n---\nlr: 2", ["r.yaml:", "not valid YAML"]),
        ("lr: *x", ["r.yaml:1", "not valid YAML", "x"]),
        ("lr: \x07", ["r.yaml", "not valid YAML"]),
        ("lr: " + "[" * 9000, ["r.yaml", "not valid YAML"]),
        ("- lr", ["r.yaml", "option: value"]),
        (b"lr: \xff", ["r.yaml", "not UTF-8"]),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_a_bad_file_is_one_line(home: Path, text: str | bytes, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe_of(home, text)
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message
    assert len(message) < 300


def test_a_folder_is_no_configuration(home: Path) -> None:
    assert "directory" in error_of(home, "--config_path", str(home)).lower()


def test_recipes_are_found_by_net_and_dataset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = read(home, "--net", "in_cep")
    assert (cfg.batch, cfg.origin("batch"), cfg.origin("net")) == (16, "in_cep_cats.yaml", "command line")
    (home / "own.yaml").write_text("net: other\nbatch: 5\n")
    monkeypatch.chdir(home.parent)
    cfg = read(home, "--config_path", "own.yaml", "--batch", "6")
    assert (cfg.net, cfg.origin("net"), cfg.batch) == ("other", "own.yaml", 6)
    assert cfg.lr == 0.1, "--config_path replaces the recipe of the pair"
    assert read(home, "--config_path", "own.yaml", "--net", "mine").net == "mine"


def test_a_recipe_can_not_contradict_its_name_or_exist_twice(home: Path) -> None:
    recipe = home / "src/mindlift/models/one/recipes/tiny_cats.yaml"
    recipe.write_text("dataset: dogs\n")
    assert "tiny_cats.yaml: dataset 'dogs' contradicts" in error_of(home)
    recipe.write_text("config_path: x.yaml\n")
    assert "tiny_cats.yaml: config_path belongs on the command line" in error_of(home)
    shutil.copy(recipe, home / "src/mindlift/models/two/recipes/tiny_cats.yaml")
    assert "two recipes for tiny cats" in error_of(home)


@pytest.mark.parametrize(
    "word", ["", "it's # odd", "no", "5", "1e-4", "null", "~", "a\nb\t", "é 🐈", " x ", "[1]", ": -", "\x85"]
)
@pytest.mark.parametrize("origins", [False, True])
def test_yaml_reads_back(home: Path, word: str, origins: bool) -> None:
    argv = [
        "--lr",
        "1e-5",
        "--drops=",
        "--rates",
        "1e-7,2",
        "--period",
        "4",
        "--smooth",
        f"--data_url={word}",
    ]
    cfg = read(home, *argv)
    text = cfg.to_yaml(origins=origins)
    assert ("# from command line" in text) is origins
    assert list(yaml.safe_load(text)) == ["data", "model", "schedule", "platform"]
    again = recipe_of(home, text)
    assert again.replace(config_path="") == cfg
    assert again.data_url == word
    assert again.origin("data_url") == "r.yaml"
