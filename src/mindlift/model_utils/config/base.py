"""What the command line is laid over: a recipe, or for inference what the weights were made with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.model_utils.config import programs
from mindlift.model_utils.config.options import Value, as_yaml
from mindlift.model_utils.config.recipes import check_pair, choose_recipe, dataset_for, read_recipe
from mindlift.model_utils.config.schema import Given, Schema, merge
from mindlift.runs import provenance


def base_of(
    schema: Schema, root: Path, wanted: dict[str, Value], typed: dict[str, Value], prog: str
) -> tuple[str, dict[str, Value]]:
    """What the command line is laid over, and the name of its place."""
    if programs.uses_finished_weights(prog) and not wanted["config_path"]:
        known = provenance.find(wanted)
        if isinstance(known, provenance.Model):
            return str(known.side_file), options_of_model(schema, known, typed)
        if isinstance(known, provenance.Run):
            return str(known.config), options_of_run(schema, known, typed, prog)
        if wanted["pretrained"] and "net" not in typed:
            raise ConfigError(
                f"{wanted['pretrained']} does not say which network it is of; name it with --net, and its data set"
                " with --dataset"
            )
        wanted = {**wanted, "dataset": dataset_for(root, wanted, typed)}
    path = choose_recipe(root, wanted)
    recipe = merge(schema, read_recipe(path, schema))
    if not wanted["config_path"]:
        check_pair(path, recipe, wanted)
    return path.name, recipe


def options_of_run(
    schema: Schema, run: provenance.Run, typed: Mapping[str, Value], prog: str
) -> dict[str, Value]:
    """What a run's configuration says of its weights, and to evaluate where its images were, if they are still there."""
    found = merge(schema, read_recipe(run.config, schema))
    taken = {
        name: value for name, value in found.items() if programs.takes_of_run(prog, schema.options[name])
    }
    return {name: value for name, value in taken.items() if name not in not_here(taken, typed)}


def not_here(found: Mapping[str, Value], typed: Mapping[str, Value]) -> tuple[str, ...]:
    """What a run says of its images that does not count: its folders are gone, or the command line says where images are.

    Of other images none were held out of the training.
    """
    names = ("data_dir", "eval_data_dir")
    here = [os.path.realpath(expanded(str(each.get("data_dir") or ""))) for each in (found, typed)]
    if typed.get("data_dir") and here[0] == here[1] and not typed.get("eval_data_dir"):
        return names
    if any(typed.get(name) for name in (*names, "enable_modelarts")):
        return (*names, "validation_split")
    return tuple(name for name in names if not os.path.isdir(expanded(str(found.get(name) or ""))))


def options_of_model(schema: Schema, model: provenance.Model, typed: dict[str, Value]) -> dict[str, Value]:
    """What a model was exported with; ConfigError if the command line contradicts it."""
    side = model.side_file
    found = merge(schema, [Given(key, raw, side.name) for key, raw in model.facts["options"].items()])
    found["per_batch_size"] = model.shape[0]
    for name in found.keys() & typed.keys():
        if schema.options[name].fixed and found[name] != typed[name]:
            raise ConfigError(
                f"--{name} {as_yaml(typed[name])}: {model.path} was exported with"
                f" {as_yaml(found[name])}; leave it out, or export again"
            )
    return found
