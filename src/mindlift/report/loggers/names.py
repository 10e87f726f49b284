"""Which loggers there are: those of this package, and those of others, by the entry point group `mindlift.loggers`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from mindlift.backports import Protocol, entry_points
from mindlift.errors import ConfigError
from mindlift.model_utils.config.options import nearest

GROUP = "mindlift.loggers"
# name -> the package that it needs, and what starts it
OWN = {
    "wandb": ("wandb", "mindlift.report.loggers.services:wandb"),
    "swanlab": ("swanlab", "mindlift.report.loggers.services:swanlab"),
    "mlflow": ("mlflow", "mindlift.report.loggers.services:mlflow"),
    "aim": ("aim", "mindlift.report.loggers.services:aim"),
}


class Logger(Protocol):
    """A run as a service shows it. What a method raises is a warning of the training, which goes on without the logger."""

    @property
    def id(self) -> str:
        """How the service finds the run again, when the training is continued."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Finite figures after optimiser step `step`, such as `train/loss` and `evaluation/top1`; steps do not fall."""

    def image(self, name: str, file: Path, step: int) -> None:
        """A picture that an evaluation has drawn, PNG."""

    def close(self) -> None:
        """After the last call, also of a training that fails."""


@dataclass(frozen=True)
class Start:
    """What a logger begins with: the run's name and folder, its options, and the `id` of an earlier part, or ''."""

    name: str
    folder: Path
    options: Mapping[str, object]
    earlier: str = ""


Starter = Callable[[Start], Logger]


def parsed(text: str) -> list[str]:
    """The names in `--loggers`, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def check(text: str) -> None:
    """ConfigError for a logger that there is not, or whose package is not installed. Imports none of them."""
    for name in parsed(text):
        others = entry_points(GROUP)
        if name in others:
            continue
        if name not in OWN:
            known = [*OWN, *others]
            raise ConfigError(
                f"--loggers {name}: there is no such logger{nearest(name, known)}; known: {', '.join(known)}, and those of"
                f" packages with an entry point in {GROUP}"
            )
        package = OWN[name][0]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"--loggers {name} needs the package {package}: pip install {package}")


def starter(name: str) -> Starter:
    """A logger by a name that `check` has let pass; an entry point counts before the package's own."""
    others = entry_points(GROUP)
    target = others.get(name) or OWN[name][1]
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)
