"""Recipes: which there are, which one a network and a data set choose, and what is in a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import yaml

from mindlift import models, yaml_text
from mindlift.checkout import PACKAGE, ROOT
from mindlift.errors import ConfigError
from mindlift.model_utils.config import mindcv_recipes
from mindlift.model_utils.config.mindcv_recipes import Translated
from mindlift.model_utils.config.options import Value, nearest, show
from mindlift.model_utils.config.schema import Given, Schema
from mindlift.model_utils.config.yaml_nodes import pairs, plain
from mindlift.models.external import names
from mindlift.sanitize import single_line


def recipe_files(root: Path) -> list[Path]:
    """Those of the checkout `root`, or of the installed package."""
    return sorted(package_of(root).glob("models/*/recipes/*_*.yaml"))


def announced_recipe_files(root: Path) -> list[Path]:
    """Those of families that other packages announce; looking for them takes time."""
    if root != ROOT:
        return []
    folders = [names.folder_of(family) for family in names.announced()]
    return sorted(path for folder in folders for path in folder.glob("recipes/*_*.yaml"))


def package_of(root: Path) -> Path:
    return PACKAGE if root == ROOT else root / "src/mindlift"


def recipes(root: Path) -> dict[tuple[str, str], Path]:
    """(net, dataset) -> recipe file, from the names of the files; a data set's name has no underscore."""
    return by_pair(recipe_files(root))


def by_pair(files: Iterable[Path]) -> dict[tuple[str, str], Path]:
    split = ((path.stem.rpartition("_"), path) for path in files)
    return {(net, dataset): path for (net, _, dataset), path in split}


def choose_recipe(root: Path, wanted: dict[str, Value]) -> Path:
    """The file of --config_path (from the working directory, else from `root`), or that of net and dataset."""
    if wanted["config_path"]:
        path = Path(str(wanted["config_path"]))
        return root / path if not path.exists() and (root / path).exists() else path
    net, dataset = str(wanted["net"]), str(wanted["dataset"])
    if names.is_external(net):
        return recipe_of_any(root, net, dataset)
    stem = f"{net}_{dataset}"
    matches = [path for path in recipe_files(root) if path.stem == stem]
    matches = matches or [path for path in announced_recipe_files(root) if path.stem == stem]
    if len(matches) > 1:
        both = " and ".join(map(str, matches))
        raise ConfigError(f"two recipes for {net} {dataset}: {both}; choose one with --config_path")
    if not matches and root == ROOT and any(net in models.networks()[family] for family in names.announced()):
        return recipe_of_any(root, net, dataset)
    return matches[0] if matches else refuse_pair(root, net, dataset)


def recipe_of_any(root: Path, net: str, dataset: str) -> Path:
    """What trains most networks on a data set; ConfigError if there is none for it."""
    names.parts(net)
    there = {path.stem: path for path in (package_of(root) / "models/external/recipes").glob("*.yaml")}
    if dataset not in there:
        raise ConfigError(
            f"--net {net}: there is no recipe for any network on dataset '{dataset}'; there is --dataset"
            f" {' or '.join(sorted(there))}, or name a file with --config_path"
        )
    return there[dataset]


def dataset_for(root: Path, wanted: dict[str, Value], typed: dict[str, Value]) -> Value:
    """The data set of a network that has recipes for one only, unless the command line names one."""
    there = [dataset for net, dataset in recipes(root) if net == wanted["net"]]
    return there[0] if len(there) == 1 and "dataset" not in typed else wanted["dataset"]


def refuse_pair(root: Path, net: str, dataset: str) -> NoReturn:
    """ConfigError that names the known nets, or this net's data sets and all pairs, or its family's recipes."""
    known = sorted({**recipes(root), **by_pair(announced_recipe_files(root))})
    families = models.networks(package_of(root) / "models")
    nets = sorted({name for name, _ in known}.union(*families.values()))
    if net not in nets:
        near = nearest(net, nets)
        raise ConfigError(
            f"unknown net {show(net)}{near}; known: {', '.join(nets) or 'none'}; of other packages: {names.HOW_TO_NAME}"
        )
    if net not in {name for name, _ in known}:
        family = next(name for name, variants in families.items() if net in variants)
        files = [path for path in recipe_files(root) if path.parents[1].name == family]
        same_data = [path for path in files if path.stem.endswith(f"_{dataset}")]
        raise ConfigError(
            f"net '{net}' has no recipe of its own; pass --config_path with one of your own, or of its family beside"
            f" --net {net}: {', '.join(map(str, same_data or files))}"
        )
    there = " or ".join(data for name, data in known if name == net)
    every = ", ".join(" ".join(pair) for pair in known)
    raise ConfigError(
        f"no recipe for net '{net}' on dataset '{dataset}'; there is --dataset {there}, or name a file with "
        f"--config_path; all recipes: {every}"
    )


def check_pair(path: Path, recipe: dict[str, Value], wanted: dict[str, Value]) -> None:
    """ConfigError if a recipe that was found by its name is for something else."""
    for name in ("net", "dataset"):
        if recipe.get(name, wanted[name]) != wanted[name]:
            raise ConfigError(f"{path.name}: {name} {show(recipe[name])} contradicts the file's name")
    if recipe.get("config_path"):
        raise ConfigError(f"{path.name}: config_path belongs on the command line, not into a recipe")


def read_recipe(path: Path, schema: Schema) -> list[Given]:
    """The entries of a recipe, flat or below group names, or of one of mindcv's; a name may come once."""
    return own_or_translated(path, schema).given


def left_out(root: Path, config_path: str, schema: Schema) -> str:
    """What a recipe of mindcv that --config_path names has and this project has not; '' if there is nothing."""
    if not config_path:
        return ""
    path = choose_recipe(root, {"config_path": config_path})
    odd = own_or_translated(path, schema).left_out
    return f"{path.name}: no counterpart here, so the training goes without: {', '.join(odd)}" if odd else ""


def own_or_translated(path: Path, schema: Schema) -> Translated:
    root = read_yaml(path)
    found: list[Given] = []
    entries = pairs(root, path.name) if root else []
    if mindcv_recipes.is_one([key for key, _, _ in entries]):
        values = {key: plain(node) for key, _, node in entries}
        places = {key: place for key, place, _ in entries}
        return mindcv_recipes.translate(values, places, schema, path.name)
    for key, place, node in entries:
        if key not in schema.groups:
            found.append(Given(key, plain(node), place))
        elif plain(node) is not None:  # a group whose lines are all comments is null
            found += [Given(inner, plain(value), at) for inner, at, value in pairs(node, path.name)]
    first: dict[str, str] = {}
    for item in found:
        if item.key in first:
            raise ConfigError(f"{item.place}: {show(item.key)} is given twice, first in {first[item.key]}")
        first[item.key] = item.place
    return Translated(found, [])


def read_yaml(path: Path) -> yaml.Node | None:
    """The root node of a YAML file, None if it is empty; ConfigError in one line if it can't be read."""
    try:
        return yaml_text.compose(yaml_text.read_text(path))
    except OSError as err:
        raise ConfigError(f"can't read configuration {single_line(path)}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(
            f"can't read configuration {single_line(path)}: not UTF-8 text (byte {err.start})"
        ) from err
    except yaml.MarkedYAMLError as err:
        line = f":{err.problem_mark.line + 1}" if err.problem_mark else ""
        problem = " ".join(str(err.problem or err.context).split())
        raise ConfigError(f"{path.name}{line}: not valid YAML: {problem}") from err
    except yaml.YAMLError as err:
        raise ConfigError(f"{path.name}: not valid YAML: {str(err).splitlines()[0]}") from err
