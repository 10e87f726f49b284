"""The configuration of a run: default_config.yaml < recipe < platform arguments < command line.

Strict, resolved once; its values are in frozen.py. Whatever is wrong is a ConfigError of one line that names the
place, the option, the value and what is allowed. Nothing here imports mindspore.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Tuple

from mindlift import __version__
from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.language import localized
from mindlift.model_utils.config import places, programs, sizes
from mindlift.model_utils.config.base import base_of
from mindlift.model_utils.config.command_line import (
    COMMAND_LINE,
    Argument,
    Line,
    arguments,
    read_line,
    words_and_inputs,
)
from mindlift.model_utils.config.declared import own_schema, read_schema
from mindlift.model_utils.config.frozen import PLATFORM, Config
from mindlift.model_utils.config.help import help_text
from mindlift.model_utils.config.options import Value
from mindlift.model_utils.config.other_names import other_name
from mindlift.model_utils.config.recipes import left_out
from mindlift.model_utils.config.schema import DEFAULTS, Given, Schema, is_platform, merge, of_mapping
from mindlift.runs import provenance
from mindlift.sanitize import single_line

if TYPE_CHECKING:
    Values = Mapping[str, Value]
    # Of all values as far as they are known, and of those of the command line: layers in place of a recipe, each with the
    # name of its place; none if a recipe is wanted.
    Planner = Callable[[Values, Values], Sequence[Tuple[str, Mapping[str, object]]]]

MULTILABEL = "multilabel"  # the data set that a folder's planner knows as well as one without a name
CALL = "load_config()"


def load(
    argv: Sequence[str] | None = None,
    *,
    root: Path = ROOT,
    in_cloud: bool = False,
    prog: str = "train.py",
    planner: Planner | None = None,
) -> Config:
    """The configuration of one process; `--help`, `--version` and `--print_config` print and raise SystemExit(0).

    `argv` without the program's name, None for sys.argv[1:]; `root` holds default_config.yaml and
    src/mindlift/models. `planner` is asked for a training without a data set and a recipe. In a cloud job unknown arguments are a warning, and of repeated platform arguments the
    first one counts, because platforms append theirs to the user's. ConfigError for all that is wrong.
    """
    schema = own_schema() if root == ROOT else read_schema(root / DEFAULTS)
    given = list(sys.argv[1:] if argv is None else argv)
    if programs.takes_inputs(prog):
        words, inputs = words_and_inputs(given, schema)
    else:
        words, inputs = list(arguments(given)), []
    if programs.uses_finished_weights(prog):
        words, inputs = with_weights(words, inputs, schema)
    if any(word.key in ("h", "help") for word in words):
        cfg, about = defaults_for(schema, root, words)
        print(help_text(schema, cfg.to_dict(), about, prog), end="")
        raise SystemExit(0)
    if any(word.key == "version" for word in words):
        print(f"mindlift {__version__}")
        raise SystemExit(0)
    line = read_line(words, schema, in_cloud)
    line.inputs = inputs
    check_use(line, schema, prog)
    cfg = resolve(schema, root, line, prog, planner)
    if line.extra:
        print(
            localized(f"warning: ignored unknown arguments {single_line(' '.join(line.shown))}"),
            file=sys.stderr,
        )
    if line.prints_config:
        print(cfg.to_yaml(origins=True), end="")
        raise SystemExit(0)
    return cfg


def with_weights(
    words: list[Argument], inputs: list[str], schema: Schema
) -> tuple[list[Argument], list[str]]:
    """The flags with one for weights that come first without any, as in `predict RUN photos/` and `eval RUN`."""
    named = {schema.names[word.key].name for word in words if word.key in schema.names}
    is_stray = bool(words) and not words[0].flag
    first = inputs[0] if inputs else words[0].values[0] if is_stray else ""
    kind = provenance.kind_of(first) if first else ""
    if not kind or named & {"pretrained", "model_file"}:
        return words, inputs
    return [Argument(f"--{kind}", kind, [first]), *words[is_stray:]], inputs[1:]


def left_out_of_recipe(cfg: Config, root: Path = ROOT) -> str:
    """What the file of --config_path says that nothing here does; '' if there is nothing."""
    return left_out(root, cfg.config_path, own_schema())


def of_options(given: Mapping[str, object], prog: str = "train.py", planner: Planner | None = None) -> Config:
    """The configuration of a call from Python: the same as of a command line with these options, whose values may be of
    their own types. ConfigError for all that is wrong. What is given counts as given on the command line.
    """
    schema = own_schema()
    line = Line(given=[Given(key, raw, CALL) for key, raw in given.items()], place=CALL)
    merge(schema, line.given)
    check_use(line, schema, prog)
    return resolve(schema, ROOT, line, prog, planner)


def of_network(given: Mapping[str, object], prog: str) -> Config:
    """The configuration of a network by itself, without a recipe: the defaults and what is `given`, checked."""
    schema = own_schema()
    values = {name: option.default for name, option in schema.options.items()}
    origins = dict.fromkeys(values, DEFAULTS)
    layer = places.settled(merge(schema, [Given(key, raw, CALL) for key, raw in given.items()]))
    origins.update(dict.fromkeys(layer, COMMAND_LINE))
    return Config(schema, {**values, **layer}, origins, program=prog)


def check_use(line: Line, schema: Schema, prog: str) -> None:
    """ConfigError for an option that `prog` would not look at, and for an exported model in place of a network's name."""
    for item in line.given:
        option = schema.names[item.key]
        if option.name == "net" and str(item.raw).endswith(provenance.MODEL_SUFFIX):
            raise ConfigError(
                f"{line.place}: --{item.key} {item.raw}: --{item.key} is the name of a network; predict.py takes an"
                f" exported model as --model_file {item.raw}"
            )
        if not programs.has_use(prog, option) and not (line.in_cloud and is_platform(option)):
            meant = schema.options.get(other_name(item.key))
            advice = f"did you mean '--{meant.name}'?" if meant and programs.has_use(prog, meant) else ""
            raise ConfigError(
                f"{line.place}: {prog} has no use for --{item.key}; {advice or 'leave it out (see --help)'}"
            )


def resolve(
    schema: Schema, root: Path, line: Line, prog: str = "train.py", planner: Planner | None = None
) -> Config:
    """Lay the recipe, or for inference what the weights were made with, and the command line over the defaults."""
    typed = places.settled(merge(schema, line.given))
    values = {name: option.default for name, option in schema.options.items()}
    origins = dict.fromkeys(values, DEFAULTS)
    wanted = {**values, **typed}
    layers = []
    if planner and "config_path" not in typed and typed.get("dataset") in (None, MULTILABEL):
        layers = [(place, of_mapping(schema, given, place)) for place, given in planner(wanted, typed)]
    for place, layer in layers or [base_of(schema, root, wanted, typed, prog)]:
        values.update(layer)
        origins.update(dict.fromkeys(layer, place))
    planned = dict(values)
    for name, value in typed.items():
        by_platform = line.in_cloud and is_platform(schema.options[name])
        values[name], origins[name] = value, PLATFORM if by_platform else COMMAND_LINE
    sizes.settle(values, origins, planned)
    values = places.settled(values)
    return Config(schema, values, origins, tuple(line.extra), tuple(line.inputs), prog)


def defaults_for(schema: Schema, root: Path, words: Sequence[Argument]) -> tuple[Config, str]:
    """What a run of the chosen recipe would use, and a sentence on it; the plain defaults if there is none."""
    chooses = [word for word in words if word.key in ("net", "dataset", "config_path")]
    try:
        cfg = resolve(schema, root, read_line(chooses, schema, False))
    except ConfigError as err:
        values = {name: option.default for name, option in schema.options.items()}
        cfg = Config(schema, values, dict.fromkeys(values, DEFAULTS))
        return cfg, f"Defaults in brackets are those of {DEFAULTS}, because {' '.join(str(err).split())}."
    about = f"Defaults in brackets are those of {cfg.net} on {cfg.dataset}"
    return cfg, f"{about}; --print_config shows where each comes from."
