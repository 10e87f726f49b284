"""Configurations from Python."""

from __future__ import annotations

from os import PathLike

from mindlift.api import job
from mindlift.errors import ConfigError
from mindlift.model_utils.config import config, programs
from mindlift.model_utils.config.frozen import Config
from mindlift.refused_paths import naming_refused_paths
from mindlift.training import own_folder


@naming_refused_paths()
def load_config(
    config_path: str | PathLike[str] = "", *, program: str = "train", **options: object
) -> Config:
    """The options of a program, as its command line would give them: defaults < recipe < `options`.

    `config_path` is a recipe's YAML file; without one, `net` and `dataset` choose the recipe. `program` is one of `train`,
    `eval`, `predict`, `export` and `features`. For all but `train`, `pretrained` names the weights (a run's folder, a
    checkpoint, a file of another library), and what belongs to them comes from their run. Options have the names of
    `--help`; values are Python's (`lr=0.1`, `image_size=(224, 224)`, `None` for "not set"), or as a recipe has them ("1,2").

    The result is frozen and typed: `cfg.lr`; `cfg.replace(lr=0.01)` gives another one, `print(cfg.to_yaml())` all of it.

    Raises ConfigError, a ValueError, for an unknown option, a value that does not fit, or an option that `program` has no
    use for.

    >>> load_config(net="densenet22", dataset="digits", max_epoch=2).max_epoch
    2
    """
    try:
        prog = programs.prog_of(program)
    except KeyError as err:
        raise ConfigError(str(err.args[0])) from None
    given = {"config_path": config_path, **options} if config_path else options
    own = own_folder.OwnFolder(job.job_size()) if program == "train" else None
    return config.of_options(given, prog, own)
