"""The types of options are those of default_config.yaml, and what runs keeps to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import get_args

import pytest

from mindlift.model_utils.config import config, generate, options, options_types
from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.config.options import Option
from mindlift.model_utils.config.recipes import recipes
from tests.support.programs import ROOT

SAMPLES = {  # of each kind: a text, and the value that an option of this type has
    "str": ("a", str),
    "int": ("3", int),
    "float": ("3", float),
    "bool": ("1", bool),
    "ints": ("3", int),
    "floats": ("3", float),
    "size": ("3", int),
}
USE = """
from __future__ import annotations
from mindlift.model_utils.config.frozen import Config

def use(cfg: Config) -> None:
    lr: float = cfg.lr
    size: tuple[int, int] = cfg.image_size
    scale: float | None = cfg.loss_scale
    net: str = cfg.replace(lr=1.0).net
    cfg.learning_rate  # refused: no such option
    cfg.lr = 0.5  # refused: frozen
    cfg.loss_scale + 1  # refused: may be None
    epochs: int = cfg.lr  # refused: float
"""


def test_the_file_is_as_default_config_yaml_says():
    wanted = generate.source(config.read_schema(ROOT / config.DEFAULTS))
    found = generate.TARGET.read_text(encoding="utf-8")
    assert found == wanted, "run python -m mindlift.model_utils.config.generate"


def test_every_kind_has_a_type():
    assert set(generate.TYPES) == set(options.EXPECTED) == set(SAMPLES)


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_type_of_a_kind_is_that_of_its_values(kind):
    text, item = SAMPLES[kind]
    value = Option("name", "group", kind, None, "help").parse(text, "place", text=True)
    wanted = eval(generate.TYPES[kind])
    assert isinstance(value, getattr(wanted, "__origin__", wanted))
    if get_args(wanted):
        assert {type(each) for each in value} == {item}
        assert set(get_args(wanted)) - {...} == {item}
    else:
        assert type(value) is item is wanted


def test_only_what_is_null_by_default_may_be_none():
    declared = {"unset": None, "set": 3}
    found = {name: generate.annotation(Option(name, "g", "int", declared[name], "h")) for name in declared}
    assert found == {"unset": "int | None", "set": "int"}


def test_recipes_keep_to_the_types():
    """And so do sizes that height and width settle."""
    declared = options_types.Options.__annotations__
    for path in recipes(ROOT).values():
        values = config.load(["--config_path", str(path)]).to_dict()
        assert list(values) == list(declared)
        assert {
            name for name, value in values.items() if value is None and "None" not in declared[name]
        } == set()
    cfg = config.load(["--net", "resnet50", "--dataset", "imagenet", "--height", "256"])
    assert (cfg.image_size, cfg.eval_image_size) == ((256, 224), None)


def test_config_is_at_run_time_what_it_was():
    assert Config.__mro__ == (Config, object)
    code = "import sys; from mindlift.model_utils.config import config; assert not [m for m in sys.modules if m.endswith(('options_types', 'generate'))]"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_mypy_knows_the_options_and_refuses_others(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT / "src"))
    (tmp_path / "use.py").write_text(USE)
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    said, _, _ = api.run([*settings, "--follow-imports", "silent", str(tmp_path / "use.py")])
    refused = [number for number, line in enumerate(USE.splitlines(), 1) if "refused" in line]
    assert [int(number) for number in re.findall(r"use.py:(\d+): error", said)] == refused, said
