"""JSON and YAML that were made to take all time or memory: one line, soon, wherever they are read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from mindlift import json_text, limits, yaml_text
from mindlift.errors import ConfigError, MindLiftError
from mindlift.model_utils.config.recipes import read_yaml
from mindlift.runs import metrics, records
from tests.support.packed import LAUGHS, MERGES, NESTED


@pytest.mark.parametrize(
    "text", [NESTED, '{"a":' * 100_000, "9" * 5_000_000, "\ud800", ""], ids=lambda t: t[:9]
)
def test_json_has_one_error(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deep|Expecting value|Exceeds the limit"):
        json_text.parse(text)


def test_json_is_limited_by_size_and_by_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "JSON_VALUES", 1000)
    with pytest.raises(ValueError, match="more than 1,000 values"):
        json_text.parse("[" + "0," * 1001 + "0]")
    assert len(json_text.parse("[" + "0," * 900 + "0]")) == 901
    monkeypatch.setattr(limits, "JSON_BYTES", 5000)
    (tmp_path / "a.json").write_text(json.dumps("x" * 5000))
    with pytest.raises(ValueError, match="more than 5,000"):
        json_text.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    "text", [LAUGHS, MERGES, "[" * 100_000, "a: &a [*a]", "x: 2020-99-99", "? [1]\n: 2", "\x07"]
)
def test_yaml_has_one_error(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml_text.parse(text)


def test_yaml_is_limited_by_size_and_by_depth() -> None:
    with pytest.raises(yaml.YAMLError, match="more than 262,144"):
        yaml_text.parse("a: " + "x" * 300_000)
    with pytest.raises(yaml.YAMLError, match="nested too deep"):
        yaml_text.parse("[" * 40 + "]" * 40)
    assert yaml_text.parse("[" * 20 + "]" * 20)


def test_aliases_of_a_person_are_read() -> None:
    text = "base: &base {lr: 0.1, size: [32, 32]}\nfirst: {<<: *base, lr: 0.2}\nsecond: *base\n"
    assert yaml_text.parse(text) == yaml.safe_load(text)


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "[" * 100_000, "#" + "x" * 300_000], ids=lambda t: t[:9])
def test_a_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"recipe\.yaml(:\d+)?: not valid YAML: it "):
        read_yaml(tmp_path / "recipe.yaml")


def test_lines_above_the_limit_are_passed_over(tmp_path: Path) -> None:
    """500 MB without an end, here 5: it is neither kept nor copied again and again."""
    text = b'{"step": 1, "loss": 1.0}\n{"x": "' + b"y" * (5 << 20) + b'"}\n{"step": 2, "loss": 2.0}\n'
    (tmp_path / "metrics.jsonl").write_bytes(text)
    assert max(map(len, json_text.blocks(io.BytesIO(text)))) <= 2 * limits.JSON_LINE_BYTES
    found, skipped = json_text.read_records(tmp_path / "metrics.jsonl")
    assert ([record["step"] for record in found], skipped) == ([1, 2], 1)
    assert metrics.read(tmp_path / "metrics.jsonl").last is None


def test_too_many_values_in_lines_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "JSON_LINES_VALUES", 1000)
    (tmp_path / "a.jsonl").write_text('{"a": [1, 2, 3]}\n' * 1000)
    with pytest.raises(MindLiftError, match="more than 1,000 values"):
        records.read_records(tmp_path / "a.jsonl")
