"""A made-up project with a few options of every type, and its configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config

DECLARED = """
data:
  dataset: {value: cats, choices: [cats, dogs], help: data set}
  data_dir: {value: "", aliases: [dataset_path], help: "folder; '' means none"}
  image_size: {value: "32,32", type: size, help: height and width}
  batch: {value: 8, min: 1, max: 64, aliases: [batch_size], help: images}
  augment: {value: crop, choices: [crop, none], help: augmentation}
model:
  net: {value: tiny, help: network}
schedule:
  lr: {value: 0.1, min: 0, max: 5, help: rate}
  drops: {value: "30,60", type: ints, min: 0, help: epochs of drops}
  rates: {value: [0.5, 1], help: factors}
  period: {value: null, type: int, min: 1, help: period}
  limit: {value: null, type: float, help: limit}
  note: {value: null, type: str, help: note}
  smooth: {value: 0, type: bool, help: smoothing}
platform:
  config_path: {value: "", help: recipe}
  device_target: {value: auto, choices: [auto, CPU, Ascend], help: device}
  data_url: {value: "", platform: true, help: where data is}
  train_url: {value: "", platform: true, help: where results go}
"""
RECIPE = "# header\nlr: 1e-4\nbatch: 16\n"


def write_home(root: Path) -> Path:
    """The project, with three recipes of two families."""
    for family, names in {"one": ("tiny_cats", "tiny_dogs"), "two": ("in_cep_cats",)}.items():
        folder = root / f"src/mindlift/models/{family}/recipes"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.yaml").write_text(RECIPE)
    (root / "default_config.yaml").write_text(DECLARED)
    return root


def read(home: Path, *argv: str, **options: Any) -> config.Config:
    return config.load(list(argv), root=home, **options)


def recipe_of(home: Path, content: str | bytes) -> config.Config:
    path = home / "r.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(home, "--config_path", str(path))


def error_of(home: Path, *argv: str, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(home, *argv, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
