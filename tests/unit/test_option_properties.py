"""What default_config.yaml says of options beside their values, and what of it is refused."""

from __future__ import annotations

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config, programs
from mindlift.model_utils.config.options import PROGRAMS, TASKS
from mindlift.runs import choose
from mindlift.tasks import base
from tests.unit.test_config import SMALL

OPTIONS = config.own_schema().options


def with_property(tmp_path, text):
    path = tmp_path / "default_config.yaml"
    path.write_text(SMALL + f"other:\n  x: {{value: cats, choices: [cats, dogs], {text}, help: of no use}}\n")
    return path


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "for: [train, evaluate]",
            "has for 'evaluate'; known: train, eval, export, predict, features; did you mean 'eval'?",
        ),
        ("for: train", "has for 'train'; write a list of train, eval, export, predict"),
        ("for: []", "is for no program; name some of train, eval, export, predict, features, or all"),
        ("task: segment", "has task 'segment'; known: classification, multilabel, segmentation"),
        (
            "task: [segmentation]",
            "has task ['segmentation']; known: classification, multilabel, segmentation",
        ),
        ("free: 2", "has free 2; write true or false"),
        ("weights: maybe", "has weights 'maybe'; write true or false"),
        ("refused: true", "has refused True; write why"),
        ("embedded: [mice]", "has embedded 'mice'; known: cats, dogs"),
    ],
)
def test_a_faulty_property_names_its_line_and_option(tmp_path, text, part):
    path = with_property(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.read_schema(path)
    line = len(path.read_text().splitlines())
    assert str(caught.value).startswith(f"default_config.yaml:{line}: option 'x' {part}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("min: null", ("train", "eval")),
        ("for: [predict]", ("predict",)),
        ("for: all", PROGRAMS),
        ("weights: true", PROGRAMS),
        ("weights: true, for: [train]", ("train",)),
    ],
)
def test_programs(tmp_path, text, expected):
    option = config.read_schema(with_property(tmp_path, text)).options["x"]
    assert tuple(name for name in PROGRAMS if programs.has_use(f"{name}.py", option)) == expected


def test_tasks_are_those_there_are():
    used = {name for found in base.TASKS.values() for name in found.OPTIONS_OF}
    assert set(TASKS) == set(base.TASKS) == used


def test_what_decides_the_output_of_weights_is_not_free_unless_it_is_only_of_images():
    assert [name for name, each in OPTIONS.items() if each.weights and each.free] == [
        "data_format",
        "eval_image_size",
        "eval_resize",
        "crop_pct",
    ]
    assert all(each.weights for each in OPTIONS.values() if each.fixed and each.name != "per_batch_size")


def test_a_refused_option_is_accepted_with_its_default():
    refused = {name for name, each in OPTIONS.items() if each.refused}
    assert refused == {"parameter_server", "enable_cache", "freeze_layer", "save_checkpoint", "split_bn"}


def test_the_mark_of_a_run_is_that_of_earlier_versions():
    """Runs that were interrupted are found by it."""
    argv = ["--net", "densenet22", "--dataset", "digits"]
    assert choose.fingerprint(config.load(argv).identity(), 2) == MARK
    assert choose.fingerprint(config.load([*argv, "--log_interval", "3"]).identity(), 2) == MARK
    assert choose.fingerprint(config.load([*argv, "--lr", "3"]).identity(), 2) != MARK


MARK = "20fc6687ca594b0f"
