"""Which options a program has a use for. Pure."""

from __future__ import annotations

from mindlift.model_utils.config.options import Option


def takes_inputs(prog: str) -> bool:
    """Whether words without a flag are files to work on."""
    return prog == "predict.py"


def uses_finished_weights(prog: str) -> bool:
    """Whether the program's options are laid over those that the weights were made with, not over a recipe."""
    return prog in ("eval.py", "export.py", "predict.py")


def takes_of_run(prog: str, option: Option) -> bool:
    """Whether the program takes the option's value from the run that the weights are of."""
    return option.weights or (prog == "eval.py" and option.of_run)


def has_use(prog: str, option: Option) -> bool:
    return prog.partition(".py")[0] in option.programs
