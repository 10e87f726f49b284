"""What a run's options are next to its recipe, the defaults, and other runs; and the command to repeat it. Reads only what default_config.yaml and recipes say."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.model_utils.config import declared, recipes
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.frozen import PLATFORM, REPLACED
from mindlift.model_utils.config.schema import DEFAULTS, merge
from mindlift.report.markup import plain
from mindlift.runs.folder import RunData
from mindlift.training.own_folder import IMAGES

ASKED = (COMMAND_LINE, PLATFORM, REPLACED)


@dataclass(frozen=True)
class Known:
    """What this checkout says of a run's options: the defaults, and the recipe that it used."""

    defaults: Mapping[str, object]
    recipe: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """An option that is not as the default; `by` is who said so."""

    name: str
    value: object
    recipe: object
    default: object
    by: str


def known(run: RunData, root: Path = ROOT) -> Known:
    """Read from the files of this checkout, which may be newer than the run; a recipe that is gone is left out."""
    schema = declared.own_schema() if root == ROOT else declared.read_schema(root / DEFAULTS)
    defaults = {name: option.default for name, option in schema.options.items()}
    wanted = {name: run.options.get(name) or "" for name in ("config_path", "net", "dataset")}
    try:
        path = recipes.choose_recipe(root, wanted)
        return Known(defaults, merge(schema, recipes.read_recipe(path, schema)))
    except ConfigError:
        return Known(defaults)


def changes(run: RunData, about: Known) -> list[Change]:
    """Options that are not as the defaults say: those that are this run's own, then those of its recipe."""
    found = [
        Change(name, value, about.recipe.get(name), about.defaults.get(name), run.origins[name])
        for name, value in run.options.items()
        if run.origins.get(name, DEFAULTS) != DEFAULTS and not is_as_expected(name, value, run, about)
    ]
    return sorted(found, key=lambda change: not is_own(change))


def is_as_expected(name: str, value: object, run: RunData, about: Known) -> bool:
    """Whether somebody asked for what the recipe, or without one the defaults, would have given."""
    base = about.recipe if name in about.recipe else about.defaults
    is_own = not run.origins[name].endswith(".yaml")
    return is_own and name in base and plain(base[name]) == plain(value)


def is_own(change: Change) -> bool:
    """Whether it is this run's, and not its recipe's."""
    return not change.by.endswith(".yaml")


def as_argument(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(as_argument, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def command(run: RunData) -> str:
    """What to type to train this again; '' where the options are not known."""
    asked = {name: value for name, value in run.options.items() if run.origins.get(name) in ASKED}
    if not run.options:
        return ""
    is_own = (
        run.origins.get("dataset") == IMAGES
    )  # a training that names no data set looks at the folder again
    for name in (
        ("net",) if is_own else ("dataset", "net")
    ):  # also where they are the defaults: those may change
        asked = {name: run.options.get(name), **asked}
    words = [word for name, value in asked.items() for word in (f"--{name}", as_argument(value))]
    start = f"bash scripts/local_ranks.sh {run.ranks} train.py" if run.ranks > 1 else "python train.py"
    return " ".join([start, *map(shlex.quote, words)])


def differing(runs: Sequence[RunData]) -> list[tuple[str, list[object]]]:
    """Options whose values differ, with the value of each run; those of places come last."""
    names = dict.fromkeys(name for run in runs for name in run.options)
    rows = [(name, [run.options.get(name) for run in runs]) for name in names]
    found = [(name, values) for name, values in rows if any(value != values[0] for value in values)]
    places = {option.name for option in declared.own_schema().options.values() if option.place}
    return sorted(found, key=lambda row: row[0] in places)
