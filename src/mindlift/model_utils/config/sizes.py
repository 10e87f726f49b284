"""The sizes of images that belong together: what one that somebody gives means for the others. Pure.

A recipe's sizes are a set. Who gives only image_size gets the others in the recipe's ratio to it, who gives several gets
what he says.
"""

from __future__ import annotations

from collections.abc import Mapping

from mindlift.errors import ConfigError
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.options import Value
from mindlift.model_utils.config.schema import DEFAULTS

WITH_CLASS_FOLDERS = (
    "imagenet",
    "multilabel",
)  # data sets whose evaluations crop; the others see whole images
MEANT_FOR = (
    224  # the image_size that the default of eval_resize is for: 256, as in most evaluations on ImageNet
)
LEAST_SHARE = 0.25  # of a picture's area that an evaluation should look at


def settle(values: dict[str, Value], origins: dict[str, str], planned: Mapping[str, Value]) -> None:
    """Put height and width into image_size, and let the sizes that nobody gives follow it.

    `planned` are the values before those of the command line.
    """
    join_sides(values, origins)
    size, old = values.get("image_size"), planned.get("image_size")
    if not isinstance(size, tuple) or not isinstance(old, tuple):
        return
    if size != old:
        by = next(
            (name for name in ("image_size", "height", "width") if origins.get(name) == COMMAND_LINE), ""
        )
        follow_in_evaluation(values, origins, f"--{by}")
        follow_in_training(values, origins, planned, size, old)
    choose_resize(values, origins)
    follow_before_crop(values, origins, planned)


def join_sides(values: dict[str, Value], origins: dict[str, str]) -> None:
    size, given = values.get("image_size"), [values.get(name) for name in ("height", "width")]
    if not any(given) or not isinstance(size, tuple):
        return
    wanted = tuple(side or old for side, old in zip(given, size))
    if wanted != size and origins["image_size"] == COMMAND_LINE:
        raise ConfigError(
            f"--image_size {size[0]},{size[1]} contradicts --height and --width; give one of them"
        )
    values["image_size"], origins["image_size"] = wanted, "height and width"


def follow_in_evaluation(values: dict[str, Value], origins: dict[str, str], by: str) -> None:
    """A size that is not the recipe's is also the evaluation's."""
    if len(by) > len("--") and origins.get("eval_image_size") not in (None, DEFAULTS, COMMAND_LINE):
        values["eval_image_size"], origins["eval_image_size"] = None, by


def follow_in_training(
    values: dict[str, Value], origins: dict[str, str], planned: Mapping[str, Value], size: tuple, old: tuple
) -> None:
    """train_resize keeps its ratio to what is cropped from it."""
    resized = planned.get("train_resize")
    if isinstance(resized, tuple) and origins["train_resize"] != COMMAND_LINE:
        values["train_resize"] = tuple(round(side * new / was) for side, new, was in zip(resized, size, old))
        origins["train_resize"] = "image_size"


def choose_resize(values: dict[str, Value], origins: dict[str, str]) -> None:
    """eval_resize and crop_pct exclude each other; the one that somebody gives counts."""
    if origins.get("eval_resize") != COMMAND_LINE or values.get("crop_pct") is None:
        return
    if origins["crop_pct"] == COMMAND_LINE:
        raise ConfigError(
            f"--eval_resize {values['eval_resize']} and --crop_pct {values['crop_pct']} are two ways to say what the"
            " evaluation crops from; give one of them"
        )
    values["crop_pct"], origins["crop_pct"] = None, "--eval_resize"


def follow_before_crop(
    values: dict[str, Value], origins: dict[str, str], planned: Mapping[str, Value]
) -> None:
    """eval_resize keeps the recipe's ratio, or its default's, to what is cropped from it."""
    if not crops(values) or origins["eval_resize"] == COMMAND_LINE:
        return
    resized, side = values["eval_resize"], evaluated_side(values)
    was = MEANT_FOR if origins["eval_resize"] == DEFAULTS else evaluated_side(planned)
    if isinstance(resized, int) and side and was and side != was:
        values["eval_resize"], origins["eval_resize"] = round(resized * side / was), "image_size"


def crops(values: Mapping[str, Value]) -> bool:
    """Whether eval_resize has a meaning."""
    has_folders = values.get("dataset") in WITH_CLASS_FOLDERS
    return has_folders and values.get("crop_pct") is None and values.get("eval_resize") is not None


def evaluated_side(values: Mapping[str, Value]) -> int:
    """The longer side of what an evaluation crops; 0 if it is not known."""
    size = values.get("eval_image_size") or values.get("image_size")
    return max(size) if isinstance(size, tuple) else 0


def mismatch(values: Mapping[str, Value]) -> str:
    """What is odd about the sizes of an evaluation; '' if nothing is."""
    resized, side = values.get("eval_resize"), evaluated_side(values)
    if not crops(values) or not isinstance(resized, int) or not side:
        return ""
    if side > resized:
        return (
            f"evaluation crops {side} x {side} pixels from an image of --eval_resize {resized}: its border is black;"
            " leave --eval_resize out, and it follows --image_size"
        )
    share = (side / resized) ** 2
    if share >= LEAST_SHARE:
        return ""
    return (
        f"evaluation looks at {100 * share:.0f} % of each picture: it crops {side} x {side} pixels from an image of"
        f" --eval_resize {resized}; leave --eval_resize out, and it follows --image_size"
    )
