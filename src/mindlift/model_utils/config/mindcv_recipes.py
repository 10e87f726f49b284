"""mindcv's YAML recipes (its configs folder) as options of this project. Pure.

What a recipe leaves out has the default of mindcv's config.py. What has no counterpart here is named, and where a
training without it would be another one altogether (optimiser, schedule, loss), it is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mindlift.errors import ConfigError
from mindlift.model_utils.config import mindcv_augmentation
from mindlift.model_utils.config.options import show
from mindlift.model_utils.config.schema import Given, Schema

# mindcv 0.5.0, config.py: of those that are understood, and of those that change a training
DEFAULTS: dict[str, object] = {
    "shuffle": True,
    "batch_size": 128,
    "image_resize": 224,
    "hflip": 0.5,
    "color_jitter": 0.4,
    "interpolation": "bilinear",
    "crop_pct": 0.875,
    **mindcv_augmentation.DEFAULTS,
    "in_channels": 3,
    "drop_rate": None,
    "drop_path_rate": None,
    "pretrained": False,
    "ckpt_path": "",
    "keep_checkpoint_max": 10,
    "ckpt_save_dir": "./ckpt",
    "ckpt_save_interval": 1,
    "ckpt_save_policy": "latest_k",
    "epoch_size": 90,
    "ema": False,
    "ema_decay": 0.9999,
    "clip_grad": False,
    "clip_value": 15.0,
    "layer_decay": None,
    "gradient_accumulation_steps": 1,
    "opt": "adam",
    "momentum": 0.9,
    "weight_decay": 1e-6,
    "use_nesterov": False,
    "weight_decay_filter": "disable",
    "eps": 1e-10,
    "scheduler": "cosine_decay",
    "lr": 0.001,
    "min_lr": 1e-6,
    "warmup_epochs": 3,
    "warmup_factor": 0.0,
    "decay_epochs": 100,
    "decay_rate": 0.9,
    "multi_step_decay_milestones": [30, 60, 90],
    "lr_epoch_stair": False,
    "num_cycles": 1,
    "cycle_decay": 1.0,
    "loss": "CE",
    "label_smoothing": 0.0,
    "aux_factor": 0.0,
    "amp_level": "O0",
    "loss_scale_type": "fixed",
    "loss_scale": 1.0,
    "drop_overflow_update": False,
    "reduction": "mean",
    "train_split": "train",
    "val_split": "val",
    "num_samples": None,
    "val_while_train": False,
    "val_interval": 1,
}
SAME = {  # mindcv's name -> this project's, of the same meaning
    "dataset": "dataset",
    "data_dir": "data_dir",
    "num_classes": "num_classes",
    "num_parallel_workers": "num_parallel_workers",
    "batch_size": "per_batch_size",
    "image_resize": "image_size",
    "hflip": "hflip",
    "interpolation": "interpolation",
    "crop_pct": "crop_pct",
    **mindcv_augmentation.SAME,
    "drop_rate": "dropout",
    "drop_path_rate": "drop_path",
    "ckpt_path": "pretrained",
    "ckpt_save_dir": "ckpt_path",
    "ckpt_save_interval": "save_checkpoint_epochs",
    "keep_checkpoint_max": "keep_checkpoint_max",
    "epoch_size": "max_epoch",
    "ema": "enable_ema",
    "ema_decay": "ema_decay",
    "clip_grad": "enable_clip_norm",
    "clip_value": "gradient_norm",
    "gradient_accumulation_steps": "accumulation_steps",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "lr": "lr",
    "warmup_epochs": "warmup_epochs",
    "label_smoothing": "label_smoothing",
    "amp_level": "amp_level",
    "loss_scale": "loss_scale",
    "log_interval": "log_interval",
    "seed": "seed",
}
# Say nothing of what is trained: how it runs, or what this project does by itself.
WITHOUT_EFFECT = (
    *("mode", "distribute", "dataset_sink_mode", "dataset_download", "drop_remainder", "eval_shuffle"),
    *("resume_opt", "re_max_attempts"),
)
MARKS = ("opt", "scheduler", "epoch_size", "ckpt_save_dir", "dataset_sink_mode", "image_resize")
DECAYED = {  # weights without weight decay; auto: MindSpore's own exceptions
    "disable": "",
    "auto": "*.gamma,*.beta",
    "norm_and_bias": "*.gamma,*.beta,*.bias",
}
OPTIMIZERS = {"sgd": "momentum"}  # the same rule: v = momentum * v + g, w -= lr * v
LOSSES = {"ce": "cross_entropy", "bce": "bce"}
PLAIN_COSINES = ("cosine_decay", "warmup_cosine_decay")


@dataclass(frozen=True)
class Translated:
    """The options of a recipe, and lines `key: value` of what has no counterpart."""

    given: list[Given]
    left_out: list[str]


def is_one(keys: Sequence[str]) -> bool:
    """Whether a file with these keys is a recipe of mindcv."""
    return "model" in keys and sum(mark in keys for mark in MARKS) >= 3


def translate(
    values: Mapping[str, object], places: Mapping[str, str], schema: Schema, name: str
) -> Translated:
    """`values` by mindcv's names, with the place of each in the file `name`."""
    full = {**DEFAULTS, **values}
    recipe = Recipe(full, places, schema, name)
    found: dict[str, object] = {"net": f"mindcv:{values['model']}", "augment": recipe.augment()}
    found.update({ours: full[theirs] for theirs, ours in SAME.items() if full.get(theirs) not in (None, "")})
    found.update({**recipe.optimiser(), **recipe.schedule(), **recipe.images(), **recipe.run()})
    found = {ours: value for ours, value in found.items() if ours in schema.names}
    spelled = {ours: theirs for theirs, ours in SAME.items()}
    spelled.update(net="model", optimizer="opt", lr_scheduler="scheduler")
    given = [Given(ours, value, recipe.place(spelled.get(ours, ""))) for ours, value in found.items()]
    return Translated(given, recipe.left_out(values))


class Recipe:
    """One recipe, with mindcv's defaults; what is asked for its parts notes the keys that they settle."""

    def __init__(self, full: Mapping[str, object], places: Mapping[str, str], schema: Schema, name: str):
        self.full, self.places, self.schema, self.name = full, places, schema, name
        self.settled = {*SAME, *WITHOUT_EFFECT, "model"}

    def place(self, key: str) -> str:
        return self.places.get(key, self.name)

    def __getitem__(self, key: str) -> object:
        return self.full[key]

    def number(self, key: str) -> float:
        """ConfigError if it is none."""
        value = self.full[key]
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ConfigError(f"{self.place(key)}: {key} is {show(value)}, but must be a number")
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{self.place(key)}: {key} is {show(value)}, but must be a number") from None

    def has(self, option: str, choice: str = "") -> bool:
        """Whether there is such an option here, with this choice."""
        known = self.schema.options.get(option)
        return known is not None and (not choice or choice in known.choices)

    def refuse(self, key: str) -> ConfigError:
        return ConfigError(
            f"{self.place(key)}: {key} is {show(self[key])}, which has no counterpart here; choose another one in a copy"
            " of the file"
        )

    def optimiser(self) -> dict[str, object]:
        name = str(self["opt"]).lower()
        self.settled.update(("opt", "loss", "loss_scale_type"))
        found: dict[str, object] = {"optimizer": OPTIMIZERS.get(name, name)}
        if str(self["loss"]).lower() not in LOSSES:
            raise self.refuse("loss")
        found["loss"] = LOSSES[str(self["loss"]).lower()]
        self.settled.add("eps")
        if (
            found["optimizer"] == "rmsprop"
        ):  # all others have epsilons of their own there, whatever is written
            found["epsilon"] = self["eps"]
        if self.has("nesterov"):
            found["nesterov"] = self["use_nesterov"]
            self.settled.add("use_nesterov")
        if self.has("layer_decay") and self["layer_decay"] is not None:
            found["layer_decay"] = self["layer_decay"]
            self.settled.add("layer_decay")
        found["weight_decay_exclude"] = self.without_decay()
        if str(self["loss_scale_type"]) != "fixed":  # updates that overflow are always left out then
            self.settled.add("drop_overflow_update")
        found["is_dynamic_loss_scale"] = str(self["loss_scale_type"]) != "fixed"
        return found

    def without_decay(self) -> str:
        """Patterns of weights; in a layer-wise decay mindcv leaves out what has one axis, whatever the filter."""
        kind = self["weight_decay_filter"]
        older = self.full.get("filter_bias_and_bn") is True
        if kind not in DECAYED:
            raise self.refuse("weight_decay_filter")
        self.settled.update(("weight_decay_filter", "filter_bias_and_bn"))
        return DECAYED["norm_and_bias" if older or self["layer_decay"] is not None else str(kind)]

    def schedule(self) -> dict[str, object]:
        """The names and numbers of this project's schedule; ConfigError for one that it has not."""
        kind = str(self["scheduler"])
        self.settled.update(("scheduler", "warmup_factor"))
        found: dict[str, object] = {"lr_init": self.number("lr") * self.number("warmup_factor")}
        if kind in PLAIN_COSINES:
            self.settled.add("decay_rate")  # which cosines have no use for there either
            return {**found, **self.cosine()}
        self.settled.update(("decay_rate", "decay_epochs", "lr_epoch_stair", "min_lr"))
        epochs, warmup = int(self.number("epoch_size")), int(self.number("warmup_epochs"))
        if kind == "step_decay":
            every = max(1, int(self.number("decay_epochs")))
            return {**found, **self.drops(range(warmup + every, epochs, every))}
        if kind == "multi_step_decay":
            self.settled.add("multi_step_decay_milestones")
            return {**found, **self.drops([warmup + int(str(each)) for each in self.milestones()])}
        if kind == "constant":
            return {**found, "lr_scheduler": "exponential", "lr_epochs": [epochs], "lr_gamma": 1.0}
        if kind == "polynomial_decay":
            return {**found, "lr_scheduler": "poly", "lr_power": self["decay_rate"], "eta_min": 0.0}
        raise self.refuse("scheduler")

    def milestones(self) -> list[object]:
        value = self["multi_step_decay_milestones"]
        if not isinstance(value, list) or not all(type(each) is int for each in value):
            raise self.refuse("multi_step_decay_milestones")
        return value

    def drops(self, epochs: Sequence[int]) -> dict[str, object]:
        """mindcv counts them from the end of the warm-up."""
        return {
            "lr_scheduler": "exponential",
            "lr_epochs": list(epochs) or [int(self.number("epoch_size"))],
            "lr_gamma": self["decay_rate"],
        }

    def cosine(self) -> dict[str, object]:
        """Half a wave from the end of the warm-up on, to min_lr where there is a schedule that knows it."""
        main = self.number("epoch_size") - self.number("warmup_epochs")
        waves, length = int(self.number("num_cycles")), self.number("decay_epochs")
        if self.has("lr_scheduler", "cosine_restarts") and waves * length >= main:
            self.settled.update(("min_lr", "decay_epochs", "num_cycles", "cycle_decay"))
            return {
                "lr_scheduler": "cosine_restarts",
                "T_max": int(length),
                "eta_min": self["min_lr"],
                "lr_cycle_decay": self["cycle_decay"],
            }
        if waves == 1 and length == main:
            self.settled.add("decay_epochs")
        if not self.number("min_lr"):
            self.settled.add("min_lr")
        return {"lr_scheduler": "cos"}

    def augment(self) -> str:
        return "pad_crop" if str(self.full.get("dataset")).startswith("cifar") else "resized_crop"

    def images(self) -> dict[str, object]:
        """Policies, mixing, erasing and jitter; mindcv jitters colours only where no policy is named."""
        found: dict[str, object] = {}
        for key, options in mindcv_augmentation.translated(self.full, self.augment()).items():
            self.settled.add(key)
            found.update(options)
        if str(self.full.get("dataset")) in ("cifar10", "cifar100") and self.has("normalize", "cifar10"):
            found["normalize"] = "cifar10"
        if self["auto_augment"]:
            self.settled.add("color_jitter")
            return {**found, "color_jitter": 0.0}
        jitter = self["color_jitter"]
        if isinstance(jitter, list) and len(set(map(str, jitter))) == 1:
            jitter = jitter[0]
        if jitter is None or isinstance(jitter, list):
            return {**found, "color_jitter": 0.0}
        self.settled.add("color_jitter")
        return {**found, "color_jitter": jitter}

    def run(self) -> dict[str, object]:
        self.settled.update(("val_while_train", "val_interval", "ckpt_save_policy"))
        found: dict[str, object] = {"run_eval": True}
        if self.full.get("val_amp_level") in (None, self["amp_level"]):
            self.settled.add("val_amp_level")
        if self["val_while_train"]:
            found["eval_interval"] = self["val_interval"]
        if self["ckpt_save_policy"] == "top_k" and self.has("keep_best"):
            found["keep_best"] = self["keep_checkpoint_max"]
        return found

    def left_out(self, values: Mapping[str, object]) -> list[str]:
        """What the file, or a default of mindcv, says that nothing here does."""
        odd = {key: value for key, value in self.full.items() if key not in self.settled}
        return [
            f"{key} {value}"
            for key, value in odd.items()
            if key in values and value != DEFAULTS.get(key) and value not in (None, "", "none")
        ]
