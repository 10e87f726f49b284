"""The configuration of a run: default_config.yaml < recipe < platform arguments < command line.

Strict, frozen, resolved once. Whatever is wrong is a ConfigError of one line that names the place, the
option, the value and what is allowed. Nothing here imports mindspore.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Tuple

from mindlift import __version__
from mindlift.checkout import ROOT
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.language import localized
from mindlift.model_utils.config import places, programs, sizes
from mindlift.model_utils.config.command_line import (
    COMMAND_LINE,
    Argument,
    Line,
    arguments,
    read_line,
    words_and_inputs,
)
from mindlift.model_utils.config.declarations import declare
from mindlift.model_utils.config.help import help_text
from mindlift.model_utils.config.options import Option, Value, as_yaml, nearest, show
from mindlift.model_utils.config.other_names import other_name
from mindlift.model_utils.config.recipes import (
    check_pair,
    choose_recipe,
    dataset_for,
    left_out,
    read_recipe,
    read_yaml,
)
from mindlift.model_utils.config.schema import DEFAULTS, SWITCHES, Given, Schema, hint, is_platform
from mindlift.model_utils.config.yaml_nodes import pairs
from mindlift.runs import choose, provenance
from mindlift.sanitize import single_line

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options

    Values = Mapping[str, Value]
    # Of all values as far as they are known, and of those of the command line: layers in place of a recipe, each with the
    # name of its place; none if a recipe is wanted.
    Planner = Callable[[Values, Values], Sequence[Tuple[str, Mapping[str, object]]]]
else:
    Options = object

LATER = (  # than the first runs, which are continued where these are as by default
    *("nesterov", "betas", "lars_coefficient", "weight_decay_exclude", "layer_decay", "clip_mode"),
    *("lr_base_scale", "lr_cycle_mul", "lr_cycle_decay", "plateau_patience", "warmup_steps"),
    *("validation_split", "net_args", "drop_path", "freeze", "unfreeze_epoch"),
    *("labels", "sampler", "loss", "bce_sum", "bce_target_threshold", "focal_gamma", "focal_alpha"),
    *("asl_gamma_neg", "asl_gamma_pos", "asl_clip", "class_weights"),
    *("crop_scale", "crop_ratio", "auto_augment", "vflip", "grayscale", "gaussian_blur", "random_erase"),
    *("random_erase_mode", "random_erase_count", "random_erase_scale", "random_erase_ratio", "aug_repeats"),
    *("mean", "std", "cutmix_alpha", "mixup_prob", "mixup_switch_prob", "mixup_off_epoch"),
    *("head_dropout", "sync_bn", "amp_dtype", "ema_start_epoch"),
    *("teacher", "teacher_weights", "distill", "distill_alpha", "distill_temperature"),
    *("aug_splits", "split_bn", "random_erase_resplit", "jsd_alpha", "bce_pos_weight"),
)
MULTILABEL = "multilabel"  # the data set that a folder's planner knows as well as one without a name
PLATFORM, REPLACED = "platform", "replaced"
CALL = "load_config()"


class Config(Options):
    """Every option as an attribute; frozen, picklable, equal when the values are equal.

    `extra` holds the unknown arguments that a cloud job ignored, as `--key=value`; `inputs` the words without a
    flag, for programs that take some; `program` is the one that it was read for.
    """

    _schema: Schema
    _values: dict[str, Value]
    _origins: dict[str, str]
    extra: tuple[str, ...]
    inputs: tuple[str, ...]
    program: str

    def __init__(
        self,
        schema: Schema,
        values: dict[str, Value],
        origins: dict[str, str],
        extra: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
        program: str = "train.py",
    ) -> None:
        self.__dict__.update(_schema=schema, _values=values, _origins=origins)
        self.__dict__.update(extra=extra, inputs=inputs, program=program)

    if not TYPE_CHECKING:  # mypy has the names and types of Options, and refuses others

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name not in self._values:
                near = "" if name.startswith("_") else nearest(name, self._values)
                raise AttributeError(f"no option '{name}'{near}")
            return self._values[name]

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"the configuration is frozen; use cfg.replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"the configuration is frozen; {name} can't be deleted")

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Config) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        changed = (name for name, origin in self._origins.items() if origin != DEFAULTS)
        return f"Config({', '.join(f'{name}={self._values[name]!r}' for name in changed)})"

    def origin(self, name: str) -> str:
        """Where a value is from: default_config.yaml, a recipe's file name, platform, command line, replaced."""
        if name not in self._origins:
            raise ConfigError(f"no option '{name}'{nearest(name, self._origins)}")
        return self._origins[name]

    def default(self, name: str) -> Value:
        """What default_config.yaml gives an option."""
        return self._schema.options[name].default

    def option(self, name: str) -> Option:
        """How an option is declared."""
        return self._schema.options[name]

    def declared(self) -> tuple[Option, ...]:
        """All options, as default_config.yaml has them."""
        return tuple(self._schema.options.values())

    def identity(self) -> dict[str, Value]:
        """What tells a run from others: the values that must be equal for it to be continued."""
        fixed = [option for option in self.declared() if not option.free]
        return {
            each.name: choose.meant(each.name, self._values)
            for each in fixed
            if each.name not in LATER or self._values[each.name] != each.default
        }

    @property
    def evaluates(self) -> bool:
        """Whether a training evaluates, meanwhile or at its end."""
        return bool(self._values["run_eval"] or self.evaluates_meanwhile)

    @property
    def evaluates_meanwhile(self) -> bool:
        return bool(self._values["eval_interval"] or self._values["eval_steps"])

    def package_needs(self) -> tuple[bool, bool, tuple[str, ...], bool, tuple[str, ...]]:
        """What decides which packages a job imports: see model_utils.packages.for_options."""
        names = self.option("dataset")
        dataset = str(self._values["dataset"])
        weights, nets = (
            tuple(str(self._values[name]) for name in each)
            for each in (("pretrained", "teacher_weights"), ("net", "teacher"))
        )
        board = bool(self._values["tensorboard"])
        return dataset in names.segmented, dataset in names.embedded, weights, board, nets

    def to_dict(self) -> dict[str, Value]:
        """All values by name; changing the dict does not change the configuration."""
        return dict(self._values)

    def to_yaml(self, origins: bool = False) -> str:
        """All values below their groups, as --config_path reads them back."""
        lines = []
        for group, options in self._schema.groups.items():
            lines.append(f"{group}:")
            for option in options:
                comment = f"  # from {self._origins[option.name]}" if origins else ""
                lines.append(f"  {option.name}: {as_yaml(self._values[option.name])}{comment}")
        return "\n".join(lines) + "\n"

    def of_finished_weights(self) -> Config:
        """The configuration for weights that are not trained further.

        Of a recipe or a run's configuration, what says how it began with other weights does not hold for its own: they
        have their classifier (filter_head) and see RGB (weights_channels). Only the command line's values do.
        """
        foreign = {"filter_head": False, "weights_channels": "auto"}
        return self.replace(
            **{name: own for name, own in foreign.items() if self.origin(name) != COMMAND_LINE}
        )

    def replace(self, **changes: object) -> Config:
        """A Config with other values, checked like those of a file; ConfigError if one does not fit."""
        layer = of_mapping(self._schema, changes, "replace()")
        origins = {**self._origins, **dict.fromkeys(layer, REPLACED)}
        values = {**self._values, **layer}
        return Config(self._schema, values, origins, self.extra, self.inputs, self.program)


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
    raws = {key: os.fspath(raw) if isinstance(raw, os.PathLike) else raw for key, raw in given.items()}
    line = Line(given=[Given(key, raw, CALL) for key, raw in raws.items()], place=CALL)
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


def of_mapping(schema: Schema, given: Mapping[str, object], place: str) -> dict[str, Value]:
    """Checked values by option name."""
    return merge(schema, [Given(name, value, place) for name, value in given.items()])


def merge(schema: Schema, given: Sequence[Given]) -> dict[str, Value]:
    """Checked values by option name; ConfigError for unknown names and for two names that disagree."""
    layer: dict[str, Value] = {}
    firsts: dict[str, Given] = {}
    for item in given:
        option = schema.names.get(item.key)
        if option is None:
            raise ConfigError(f"{item.place}: unknown option {show(item.key)}{hint(item.key, schema)}")
        value = option.parse(item.raw, item.place, item.key, text=item.text)
        first = firsts.setdefault(option.name, item)
        if first is not item and layer[option.name] != value:
            differ = f"are one option but differ: {show(first.raw)}, {show(item.raw)}"
            raise ConfigError(
                f"{item.place}: '{first.key}' and '{item.key}' {differ}; give only '{option.name}'"
            )
        layer[option.name] = value
    return layer


@functools.lru_cache(maxsize=1)
def own_schema() -> Schema:
    """The declarations of this checkout, or of the installed package."""
    return read_schema(ROOT / DEFAULTS)


def read_schema(path: Path) -> Schema:
    """The declarations of default_config.yaml, checked; ConfigError names the line of a faulty one."""
    root = read_yaml(path)
    if root is None:
        raise ConfigError(f"{path.name}:1: declares no options")
    groups = pairs(root, path.name)
    options = [
        declare(name, group, entry, at)
        for group, _, node in groups
        for name, at, entry in pairs(node, path.name)
    ]
    return checked_names(Schema(options), options, [group for group, _, _ in groups])


def checked_names(schema: Schema, options: Sequence[Option], groups: Sequence[str]) -> Schema:
    """`schema` if each spelling has one meaning, else ConfigError."""
    attributes = [name for name in dir(Config) if not name.startswith("_")]
    attributes += ["extra", "inputs", "program"]
    taken = dict.fromkeys(attributes, "an attribute of Config")
    taken.update({**dict.fromkeys(SWITCHES, "a switch"), **dict.fromkeys(groups, "a group")})
    for option in options:
        for word in (option.name, *option.aliases):
            if taken.get(word) == "a group" and word != option.name:
                continue  # in a file the word opens the group, on a command line there are none
            if taken.get(word) == option.name == word:
                raise ConfigError(f"{DEFAULTS}: option '{word}' is declared twice")
            if word in taken:
                raise ConfigError(f"{DEFAULTS}: '{word}' names both {taken[word]} and {option.name}")
            taken[word] = option.name
    for needed in ("net", "dataset", "config_path"):
        if needed not in schema.options:
            raise ConfigError(f"{DEFAULTS}: option '{needed}' is missing; it chooses the recipe")
    return schema


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
