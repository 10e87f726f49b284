"""What is known of given weights: the run folder or the side file that says which network they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mindlift import json_text, yaml_text
from mindlift.errors import CheckpointError, ConfigError
from mindlift.files import expanded
from mindlift.models.weights.published import is_named
from mindlift.runs import named_weights
from mindlift.runs.manifest import MANIFEST, WEIGHTS, file_sha256
from mindlift.runs.paths import CLASSES, parse_name
from mindlift.storage.url import is_remote

MODEL_SUFFIX = ".mindir"
SIDE_SUFFIX = ".json"
CONFIG = "config.yaml"


@dataclass(frozen=True)
class Run:
    """A training's folder."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / CONFIG


@dataclass(frozen=True)
class Model:
    """An exported model and what its side file says."""

    path: Path
    facts: Mapping[str, Any]

    @property
    def side_file(self) -> Path:
        return side_file_of(self.path)

    @property
    def layout(self) -> str:
        """The order of the input's dimensions, NCHW or NHWC."""
        return self.facts["input"]["layout"]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, H, W) of the input, whatever its layout."""
        sizes = dict(zip(self.layout, self.facts["input"]["shape"]))
        return sizes["N"], sizes["C"], sizes["H"], sizes["W"]


def side_file_of(model: Path) -> Path:
    """Its own for each format: the same name may be exported to several."""
    return model.with_name(model.name + SIDE_SUFFIX)


def kind_of(place: str) -> str:
    """The option that takes `place` as weights, model_file or pretrained; '' if they are no weights."""
    if is_named(place):
        return "pretrained"
    name = place.rstrip("/").rpartition("/")[2]
    if name.endswith(MODEL_SUFFIX):
        return "model_file"
    path = Path(expanded(place))
    is_folder = path.is_dir() and not is_remote(place)
    if is_folder:
        is_known = any((path / name).is_file() for name in (CONFIG, MANIFEST))
        is_known = is_known or any(parse_name(each.name) for each in path.iterdir())
    else:
        is_known = name.endswith(WEIGHTS) or (is_remote(place) and parse_name(name) is not None)
    return "pretrained" if is_known else ""


def find(values: Mapping[str, Any]) -> Run | Model | None:
    """What the options say of the weights; None if nothing is known. CheckpointError for a model without its side file."""
    if values["model_file"]:
        if values["pretrained"]:
            raise ConfigError("--model_file and --pretrained both name weights; give one of them")
        return read_model(Path(values["model_file"]))
    if named_weights.is_elsewhere(values["pretrained"]) or (
        values.get("enable_modelarts") and not values["pretrained"]
    ):
        return None
    named = [Path(values["pretrained"])] if values["pretrained"] else []
    try:
        return run_of(named_weights.find(named, Path(values["ckpt_path"])).files[0])
    except CheckpointError:  # of a run without a checkpoint, or of nothing, which is said later
        return run_of(named[0]) if named else None


def run_of(path: Path) -> Run | None:
    """The run that a checkpoint, or a folder of them, belongs to."""
    folders = [path, *path.absolute().parents][:4]  # <run>/checkpoints/rank_1/<file>
    return next((Run(each) for each in folders if (each / CONFIG).is_file()), None)


def class_names(weights: Path) -> list[str]:
    """The names in order of label that a checkpoint was trained with, of its run or of a copy beside it; empty if it is
    not known, as of runs of earlier versions and of weights from elsewhere.
    """
    folders = [weights, *weights.absolute().parents][:4]
    file = next((each / CLASSES for each in folders if (each / CLASSES).is_file()), None)
    if file is None:
        return []
    try:
        found = json_text.read(file)
    except (OSError, ValueError) as err:
        raise CheckpointError(f"can't read {file}: {err}") from err
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise CheckpointError(f"{file} is not a list of names of classes")
    return found


def common_class_names(weights: Sequence[Path]) -> list[str]:
    """Those of several checkpoints; CheckpointError if they differ."""
    first, *others = [class_names(path) for path in weights] or [[]]
    for path, names in zip(weights[1:], others):
        if names != first:
            raise CheckpointError(
                f"{path} was trained with other classes than {weights[0]}; evaluate them one after the other"
            )
    return first


def data_folder(config: Path) -> Path | None:
    """The local folder that a run was trained with, as far as its configuration names one."""
    try:
        found = (yaml_text.read(config) or {}).get("data", {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as err:
        raise ConfigError(f"can't read {config}: {' '.join(str(err).split())}") from err
    folder = found.get("data_dir") if isinstance(found, dict) else ""
    return Path(expanded(folder)) if folder else None


def read_model(path: Path) -> Model:
    """A model with its side file; CheckpointError if one is missing."""
    if path.suffix != MODEL_SUFFIX:
        raise CheckpointError(f"--model_file {path}: expected a {MODEL_SUFFIX} file of export.py")
    if not path.is_file():
        raise CheckpointError(f"no such model: {path}; make one with export.py")
    side = side_file_of(path)
    try:
        model = Model(path, json_text.read(side))
        _ = model.shape, model.facts["options"], model.facts["sha256"], model.facts["class_names"]
    except FileNotFoundError:
        raise CheckpointError(
            f"{side} is missing: export.py writes it beside the model, and it says how images are prepared;"
            " keep the two together, or export again"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise CheckpointError(f"{side} is not a side file of export.py: {err}; export again") from err
    return model


def check_content(model: Model) -> None:
    """CheckpointError if the file is not the one that its side file describes."""
    if file_sha256(model.path) != model.facts["sha256"]:
        raise CheckpointError(
            f"{model.path} is not the model that {model.side_file} was written for; export again"
        )
