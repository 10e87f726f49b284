"""What does not go together with images of several labels; a ConfigError before anything is opened. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindlift.errors import ConfigError
from mindlift.model_utils.config import programs
from mindlift.model_utils.config.command_line import COMMAND_LINE
from mindlift.model_utils.config.options import as_yaml

if TYPE_CHECKING:
    from mindlift.model_utils.config.frozen import Config

NAME = "multilabel"
REFUSED = {  # option: why, of any other value than the default
    "data_format": "shards hold one label for each image",
    "crops": "crops are averaged for images of one class",
    "blacklist": "it is ImageNet's, whose images have one class",
    "label_smooth": "it spreads over the classes that are wrong, of which there are any number; see --label_smoothing",
    "teacher": "distillation compares the probabilities of classes that exclude each other",
    "top_k": "labels are shown from --threshold on",
}


def check(cfg: Config) -> None:
    """ConfigError for an option that is for images of one class."""
    if cfg.dataset != NAME:
        return
    for name, why in REFUSED.items():
        value = getattr(cfg, name)
        if value != cfg.default(name) and programs.has_use(cfg.program, cfg.option(name)):
            is_typed = cfg.origin(name) == COMMAND_LINE
            advice = "leave it out" if is_typed else f"pass --{name} {as_yaml(cfg.default(name))}"
            raise ConfigError(f"--{name} {value} is not for --dataset {NAME}: {why}; {advice}")
