"""Options without an effect on a program are refused there on a command line, and not in its --help; a recipe may have them."""

from __future__ import annotations

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config, programs
from mindlift.model_utils.config.options import as_yaml
from mindlift.model_utils.config.recipes import recipes
from tests.support.programs import ROOT

OPTIONS = config.own_schema().options
PROGRAMS = ("train", "eval", "export", "predict", "features")
# What an evaluation needs beside the weights' own options: where its images and weights are, how they are read, who it is.
OF_EVAL = {
    *(
        "data_dir",
        "data_lst",
        "labels",
        "threshold",
        "eval_data_dir",
        "validation_split",
        "seed",
        "allow_unused_classes",
        "per_batch_size",
        "num_parallel_workers",
    ),
    *(
        "ignore_label",
        "enable_cache",
        "skip_corrupt",
        "drop_remainder",
        "all",
        "blacklist",
        "crops",
        "crop_scales",
    ),
    *("crop_batch", "scales", "flip", "overlays", "eval_path", "pretrained", "weights_channels"),
    *("allow_nan", "join_timeout", "freeze_bn"),
    *("freeze_layer", "backbone", "ckpt_path", "config_path", "device_target", "is_distributed", "rank"),
    *(
        "group_size",
        "device_id",
        "parameter_server",
        "enable_modelarts",
        "cache_path",
        "cache_gb",
        "data_index",
        "stage",
        "stage_timeout",
        "progress",
    ),
    *("any_mindspore", "cpu_kernels", "threads", "debug", "json", "log_style"),
}
KINDS = {
    "optimiser": {"enable_ema", "amp_level", "amp_dtype"},
    "schedule": set(),
    "checkpoint": {"ckpt_path"},
}


# transformers' and timm's name of the folder of a run, which predict.py has for pictures
MEANT = {
    ("output_dir", prog): "did you mean '--ckpt_path'?" for prog in ("train", "eval", "export", "features")
}


def test_what_eval_takes():
    taken = {name for name, option in OPTIONS.items() if "eval" in option.programs}
    assert taken == OF_EVAL | {name for name, each in OPTIONS.items() if each.weights or each.platform}


@pytest.mark.parametrize("group", KINDS)
def test_groups_of_a_training(group):
    others = {each.name for each in OPTIONS.values() if each.group == group and each.programs != ("train",)}
    assert others == KINDS[group]


@pytest.mark.parametrize("prog", PROGRAMS)
@pytest.mark.parametrize("name", OPTIONS)
def test_refused_or_listed(name, prog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    option = OPTIONS[name]
    value = as_yaml(option.default) if option.default not in (None, "", "~") else "1"
    line = ["--net", "densenet22", f"--{name}", value.strip("'\"[]")]
    if prog in option.programs:
        return
    with pytest.raises(ConfigError) as caught:
        config.load(line, prog=programs.prog_of(prog))
    advice = MEANT.get((name, prog), "leave it out (see --help)")
    assert str(caught.value) == f"command line: {programs.prog_of(prog)} has no use for --{name}; {advice}"


@pytest.mark.parametrize("prog", PROGRAMS)
def test_help_lists_what_the_program_takes(prog, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        config.load(["--help"], prog=programs.prog_of(prog))
    shown = {line.split()[0][2:] for line in capsys.readouterr().out.splitlines() if line.startswith("  --")}
    assert shown - {"help", "version", "print_config"} == {
        n for n, each in OPTIONS.items() if prog in each.programs
    }


@pytest.mark.parametrize("prog", PROGRAMS)
@pytest.mark.parametrize("recipe", sorted(recipes(ROOT).values()), ids=lambda path: path.stem)
def test_a_recipe_is_for_every_program(recipe, prog):
    assert (
        config.load(["--config_path", str(recipe)], prog=programs.prog_of(prog)).origin("max_epoch")
        == recipe.name
    )


def test_what_a_platform_appends_is_taken_by_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    appended = ["--data_url", "s3://b/d", "--train_url", "s3://b/r", "--device_target", "Ascend"]
    for prog in PROGRAMS:
        assert config.load(
            ["--net", "densenet22", *appended], prog=programs.prog_of(prog), in_cloud=True
        ).data_url
    with pytest.raises(ConfigError, match="eval.py has no use for --lr"):
        config.load(["--net", "densenet22", *appended, "--lr", "1"], prog="eval.py", in_cloud=True)
