"""Which options a program has a use for. Pure."""

from __future__ import annotations

from mindlift.model_utils.config.options import PROGRAMS, Option

COMMANDS = {"features": "mindlift features"}  # programs without a file of their own beside train.py


def name_of(prog: str) -> str:
    """`train` of train.py, `features` of `mindlift features`: how the options of default_config.yaml name it."""
    return prog.partition(".py")[0].rpartition(" ")[2]


def prog_of(name: str) -> str:
    """The other way round. KeyError, whose message says which there are."""
    if name not in PROGRAMS:
        raise KeyError(f"unknown program {name!r}; choose one of {', '.join(PROGRAMS)}")
    return COMMANDS.get(name, f"{name}.py")


def takes_inputs(prog: str) -> bool:
    """Whether words without a flag are files to work on."""
    return name_of(prog) in ("predict", "features")


def uses_finished_weights(prog: str) -> bool:
    """Whether the program's options are laid over those that the weights were made with, not over a recipe."""
    return name_of(prog) in ("eval", "export", "predict", "features")


def takes_of_run(prog: str, option: Option) -> bool:
    """Whether the program takes the option's value from the run that the weights are of."""
    return option.weights or (name_of(prog) == "eval" and option.of_run)


def has_use(prog: str, option: Option) -> bool:
    return name_of(prog) in option.programs
