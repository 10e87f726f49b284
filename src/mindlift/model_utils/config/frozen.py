"""`Config`: the values of all options, frozen. Pure."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

from mindlift.errors import ConfigError
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.options import Option, Value, as_yaml, nearest
from mindlift.model_utils.config.schema import DEFAULTS, Schema, of_mapping
from mindlift.runs import choose

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options
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
PLATFORM, REPLACED = "platform", "replaced"  # where values are from, as COMMAND_LINE


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
