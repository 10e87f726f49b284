"""The options of a training on a folder of photos, where nobody names a data set or a recipe; and the lines that say them.

The values are laid over default_config.yaml in place of a recipe, and the command line overrides them. All else of such a
training is as always.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Tuple

from mindlift import models
from mindlift.checkout import PACKAGE, ROOT
from mindlift.data import layout, own_folder
from mindlift.data.classification.held_out import count_held
from mindlift.data.multilabel import rules as multilabel
from mindlift.data.own_folder import Folder
from mindlift.model_utils.config import recipes
from mindlift.model_utils.config.declared import own_schema
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import Value
from mindlift.model_utils.config.schema import merge
from mindlift.model_utils.local_adapter import existing_folder
from mindlift.models.weights import forms, published
from mindlift.runs import checkpoint, named_weights, provenance

USUAL = "resnet50"  # the network where none is named
SHARE = 0.2  # of the images that are held out, where there is nothing else to evaluate on
# 0.001 for 4 images with momentum 0.9: PyTorch's transfer learning tutorial (S. Chilamkurthy). The rate grows with the
# batch: Goyal et al. 2017, section 2.1, whose 0.1 for 256 images is the one for random weights.
FINE_TUNING = {"lr": 0.001, "lr_base_batch": 4}
FROM_SCRATCH = {"lr": 0.1, "lr_base_batch": 256}
COMMON: dict[str, object] = {
    "optimizer": "momentum",
    "momentum": 0.9,
    "lr_scheduler": "cos",
    "warmup_epochs": 1,
    "augment": "resized_crop",
    "hflip": 0.5,
    "color_jitter": 0,
    "run_eval": True,
    "eval_interval": 1,
    "keep_best": 1,
    "save_checkpoint_epochs": 1,
    "keep_checkpoint_max": 2,
    "skip_corrupt": True,
}
BATCH, LEAST_BATCH, STEPS_OF_EPOCH = 32, 8, 10
OF_DATA = (
    "net",
    "dataset",
    "data_format",
    "num_classes",
    "enable_ema",
)  # not of a network's form or its images
IMAGES, FIXED = "the images", "training/own_folder.py"  # where values are from

if TYPE_CHECKING:
    Values = Mapping[str, Value]
    Layer = Tuple[str, Mapping[str, object]]


class OwnFolder:
    """What config.load asks in place of a recipe: the options for the folder that --data_dir names, or none.

    `size` is the number of ranks. `folder` is what was found there, once it was asked; None where a recipe counts.
    """

    def __init__(self, size: int = 1):
        self.size = size
        self.folder: Folder | None = None

    def __call__(self, wanted: Values, typed: Values) -> Sequence[Layer]:
        if not wanted["data_dir"] or wanted["enable_modelarts"] or wanted["data_format"] != "files":
            return ()
        weights = start_of(wanted)
        run = provenance.run_of(weights) if weights else None
        began = read(run.config) if run else {}
        net = str(typed.get("net") or began.get("net") or USUAL)
        family = next((name for name, nets in models.networks().items() if net in nets), "")
        if not family or segments(family):
            return ()
        is_multilabel = wanted["dataset"] == multilabel.NAME
        folder = existing_folder(str(wanted["data_dir"]))
        self.folder = own_folder.look(folder, str(wanted["labels"]), is_multilabel)
        if self.folder is None:
            return ()
        form = run.config if run and began.get("net") == net else recipe_of(net, family)
        options = form_of(read(form))
        dataset = multilabel.NAME if self.folder.labels else "imagenet"
        found: list[Layer] = [
            (form.name, options),
            (FIXED, {**COMMON, **(FINE_TUNING if wanted["pretrained"] else FROM_SCRATCH)}),
            (IMAGES, {"net": net, "dataset": dataset, **of_images(self.folder, wanted, typed, self.size)}),
        ]
        if wanted["pretrained"]:
            new = weights is None or provenance.class_names(weights) != self.folder.classes
            needs = {} if run else needed(weights, str(wanted["pretrained"]), family, {**wanted, **options})
            found.append((Path(str(wanted["pretrained"])).name, {**needs, "filter_head": new}))
        return found


def start_of(wanted: Values) -> Path | None:
    """The file of weights to start from, if it is on this machine; CheckpointError if it is not there."""
    named = str(wanted["pretrained"])
    if not named or named_weights.is_elsewhere(named):
        return None
    file = named_weights.find([Path(named)], Path(str(wanted["ckpt_path"]))).files[0]
    forms.form_of(file)
    return file


def read(path: Path) -> dict[str, Value]:
    schema = own_schema()
    return merge(schema, recipes.read_recipe(path, schema))


def form_of(found: Values) -> dict[str, Value]:
    """Of a recipe or a run: how the network is built, and how images are prepared for it."""
    options = own_schema().options
    kept = {name: value for name, value in found.items() if options[name].weights and name not in OF_DATA}
    if kept.get("normalize", "auto") == "auto":
        kept["normalize"] = "imagenet" if found.get("dataset") in layout.FILES else "half"
    return kept


def segments(family: str) -> bool:
    """Whether a family's recipes are for images with a label for each pixel."""
    segmented = own_schema().options["dataset"].segmented
    of_family = [data for (_, data), path in recipes.recipes(ROOT).items() if path.parents[1].name == family]
    return bool(of_family) and all(data in segmented for data in of_family)


def recipe_of(net: str, family: str) -> Path:
    """The recipe whose images are most like photos: ImageNet's, the family's for photos, the network's own, its family's."""
    known = recipes.recipes(ROOT)
    photos = PACKAGE / "models" / family / "recipes/photos.yaml"
    embedded = own_schema().options["dataset"].embedded
    own = [path for (name, data), path in known.items() if name == net and data not in embedded]
    own += [path for (name, data), path in known.items() if name == net and data in embedded]
    relatives = [path for path in known.values() if path.parents[1].name == family]
    relatives.sort(key=lambda path: not path.stem.endswith("_imagenet"))
    best = [path for (name, data), path in known.items() if (name, data) == (net, "imagenet")]
    return [*best, *([photos] if photos.is_file() else []), *own, *relatives][0]


def of_images(folder: Folder, wanted: Values, typed: Values, size: int) -> dict[str, object]:
    """What the number of classes and of images decides."""
    share = 0.0 if folder.evaluated or wanted["eval_data_dir"] else SHARE
    images = sum(
        count - count_held(count, float(str(typed.get("validation_split", share)))) for count in folder.counts
    )
    batch = int(str(typed.get("per_batch_size") or batch_size(images, size)))
    steps = images // (batch * size * int(str(wanted["accumulation_steps"])))
    return {
        "num_classes": len(folder.classes),
        "validation_split": share,
        "per_batch_size": batch,
        "max_epoch": epochs(max(1, steps), bool(wanted["pretrained"])),
    }


def batch_size(images: int, size: int) -> int:
    """Images per step on each of `size` devices: 32 on all together, fewer where an epoch would have fewer than 10 steps;
    but 8 on each, as far as there are as many images.
    """
    most = min(BATCH, 2 ** int(math.log2(max(1, images // STEPS_OF_EPOCH))))
    return max(1, min(max(most // size, LEAST_BATCH), images // size))


def epochs(steps: int, is_fine_tuning: bool) -> int:
    """As many as make 300 steps, 5 to 30, to fine-tune; 1500 steps, 20 to 100, from random weights."""
    wanted, least, most = (300, 5, 30) if is_fine_tuning else (1500, 20, 100)
    return min(most, max(least, math.ceil(wanted / steps)))


def needed(weights: Path | None, named: str, family: str, planned: Values) -> dict[str, object]:
    """The options that the source of the weights needs its network to have, beside those that are planned.

    MindSpore's own files are not looked into: it can't be imported yet. Of published weights they are known by name.
    """
    if published.is_named(named):
        return dict(published.lookup(named).needs)
    if weights is None or forms.form_of(weights) == "mindspore":
        return {}
    needs = checkpoint.known_weights(weights, family).needs
    return {name: fitting[0] for name, fitting in needs.items() if planned.get(name) not in fitting}


def lines(cfg: Config, own: OwnFolder, size: int) -> list[str]:
    """What was chosen, and how to change it; [] where a recipe was."""
    folder = own.folder
    if folder is None:
        return []
    held = sum(count_held(count, cfg.validation_split) for count in folder.counts)
    images = sum(folder.counts) - held
    steps = images // (cfg.per_batch_size * cfg.accumulation_steps * size)
    height, width = cfg.image_size
    rate = cfg.lr * (
        cfg.per_batch_size * cfg.accumulation_steps * size / cfg.lr_base_batch if cfg.lr_base_batch else 1
    )
    return [
        f"images: {contents(folder)}; {evaluated_on(cfg, folder, held)}",
        f"network: {cfg.net} {beginning(cfg)}, which sees {height} x {width} pixels (--net, --pretrained, --image_size)",
        f"training: {cfg.max_epoch} epoch{'s' * (cfg.max_epoch > 1)} of {steps} steps of {cfg.per_batch_size}{f' x {size}' if size > 1 else ''} images,"
        f" learning rate {rate:.3g} (--max_epoch, --per_batch_size, --lr)",
        f"evaluation: {evaluations(cfg)}",
        "any option overrides what was chosen; --print_config shows every value and where it is from, --config_path takes a"
        " recipe of your own",
    ]


def contents(folder: Folder) -> str:
    images, count, names = sum(folder.counts), len(folder.classes), layout.some(folder.classes)
    if folder.labels is not None:
        return f"{images} with any number of {count} classes ({names}) each, as {folder.labels} says, in {folder.train}"
    found = f"{images} of {count} classes ({names}) in {folder.train}"
    return f"{found} ({folder.unread.name} there is not read: --labels)" if folder.unread else found


def evaluated_on(cfg: Config, folder: Folder, held: int) -> str:
    later = f"; {folder.kept_for_later} is left for you" if folder.kept_for_later else ""
    if cfg.eval_data_dir or folder.evaluated:
        return f"those of {cfg.eval_data_dir or folder.evaluated} evaluate it{later} (--eval_data_dir)"
    return f"{held} of them, chosen by --seed {cfg.seed}, are held out to evaluate it (--validation_split)"


def beginning(cfg: Config) -> str:
    if not cfg.pretrained:
        return "from random weights"
    head = f"a new head for {cfg.num_classes} classes" if cfg.filter_head else "their head"
    return f"from the weights of {cfg.pretrained} with {head}"


def evaluations(cfg: Config) -> str:
    """When, and which checkpoints are kept."""
    when = f"after every {cfg.eval_interval} epochs" if cfg.eval_interval > 1 else "after every epoch"
    when = when if cfg.eval_interval else "at the end" if cfg.run_eval else "none"
    kept = f"the newest {cfg.keep_checkpoint_max} checkpoints are kept"
    measure = "mAP" if cfg.dataset == multilabel.NAME else "top-1"
    kept += f", and the best by {measure}" if cfg.keep_best and cfg.eval_interval else ""
    return f"{when}; {kept} (--eval_interval, --keep_best, --keep_checkpoint_max)"
