"""What an option that names a place takes: paths, `~`, URLs, and names that are no text."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from mindlift import files, json_text
from mindlift.api import job
from mindlift.errors import ConfigError, ExportError
from mindlift.inference import export
from mindlift.model_utils.config import config, places

URLS = (
    "obs://b/x/",
    "s3://b/x",
    "s3a://b/x",
    "https://b.obs.cn/x",
    "hdfs://h/x",
    "obs:/b/x",
    "S3A:/b/x",
    "x+y://z",
)
TAKEN = (
    {"data_url": "obs://b/d/", "train_url": "s3:///b/r/"},
    {"data_url": "file:///data"},
    {"ckpt_path": "runs:1/x"},
    {"ckpt_path": "C:/x"},
    {"train_url": "/home/ma/output"},
    {"multi_data_url": '[{"dataset_url": "https://x/y"}]'},
)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("name", places.LOCAL)
def test_a_url_where_a_path_belongs_is_one_line(name, url):
    with pytest.raises(ConfigError, match=f"--{name} .* is a URL; ") as caught:
        places.settled({name: url})
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3a://b/x", "https://b.obs.cn/x", "hdfs://h/x", "oss://b/x"])
@pytest.mark.parametrize("name", [*places.ANYWHERE, *places.BY_PLATFORMS])
def test_an_odd_scheme_is_named(name, url):
    with pytest.raises(
        ConfigError, match=f"--{name} .*: {url.partition(':')[0]}:// is not understood; write obs://"
    ):
        places.settled({name: url})


@pytest.mark.parametrize("values", TAKEN)
def test_what_is_taken_as_it_is(values):
    assert places.settled(values) == values


@pytest.mark.parametrize(
    ("prog", "name"),
    [
        ("train.py", "ckpt_path"),
        ("train.py", "log_path"),
        ("eval.py", "eval_path"),
        ("predict.py", "output_json"),
        ("predict.py", "contact_sheet"),
        ("export.py", "file_name"),
    ],
)
def test_every_program_asks(prog, name):
    with pytest.raises(ConfigError, match=f"--{name} obs://b/x is a URL"):
        config.load(["--net", "densenet22", f"--{name}", "obs://b/x"], prog=prog)


@pytest.mark.parametrize("prog", ["train.py", "eval.py"])
@pytest.mark.parametrize("name", ["data_url", "train_url"])
def test_a_bucket_that_nothing_would_be_read_from_is_refused(prog, name):
    """A training whose results go nowhere looks like any other."""
    cfg = job.read(["--net", "densenet22", "--dataset", "digits", f"--{name}", "obs://b/x"], prog)
    with pytest.raises(
        ConfigError, match=f"--{name} obs://b/x has no effect without --enable_modelarts True"
    ):
        job.start(cfg, prog)


def test_every_option_that_is_a_path_is_known():
    """A new option of text is a place, or named here."""
    words = {"net", "aspp_rates", "backbone", "multi_data_url", "grampus_code_file_name"}
    texts = {
        option.name
        for option in config.own_schema().options.values()
        if option.kind == "str" and not option.choices
    }
    listed = (*places.LOCAL, *places.ANYWHERE, *places.BY_PLATFORMS)
    assert set(listed) <= texts | {"weight_init"}
    assert {name for name in texts - set(listed) - words if name.endswith(("_path", "_url", "_dir"))} == set()


def test_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert files.expanded("~/x") == "/home/me/x"
    assert files.expanded("~") == "/home/me"
    assert files.expanded("a/~/x") == "a/~/x"
    (tmp_path / "~1.jpg").touch()
    assert files.expanded("~1.jpg") == "~1.jpg"
    assert files.expanded("~nobody-of-that-name/x") == "~nobody-of-that-name/x"
    assert places.settled({"ckpt_path": "~/runs"}) == {"ckpt_path": "/home/me/runs"}
    assert places.settled({"data_dir": "~/d"}) == {"data_dir": "~/d"}, "a run is continued by its words"


def test_a_user_without_a_home(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert os.path.isabs(files.home())
    assert files.expanded("~/.cache") == f"{files.home()}/.cache"


NAMES = (b"\xb9\xb7", b"a\xff.jpg", "狗".encode())


@pytest.mark.parametrize("raw", NAMES)
def test_names_that_are_not_utf8_are_written_and_read_back(tmp_path, raw):
    name = os.fsdecode(raw)
    files.append_line(tmp_path / "a.jsonl", {"name": name})
    files.write_atomic(tmp_path / "b.json", json.dumps({"name": name}, ensure_ascii=False))
    with files.atomic_text(tmp_path / "c.csv") as file:
        file.write(name)
    assert json_text.read_records(tmp_path / "a.jsonl")[0] == [{"name": name}]
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == {"name": name}
    (tmp_path / "c.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["plain", "我的 model", "a b", "c#d", "e'f"])
def test_mindspore_is_given_a_plain_path(tmp_path, folder):
    (tmp_path / folder).mkdir()
    target = tmp_path / folder / "m.mindir"
    with export.plain_path(target) as file:
        assert export.PLAIN.fullmatch(str(file))
        assert file.suffix == ".mindir"
        file.write_bytes(b"x")
    assert target.read_bytes() == b"x"


def test_outputs_that_prove_nothing():
    zeros = np.zeros((1, 3), np.float32)
    assert export.says_something(zeros + 1)
    assert not export.says_something(zeros)
    assert "not verified" in export.verdict("MINDIR", None, zeros)
    with pytest.raises(ExportError, match="not finite"):
        export.says_something(zeros * np.nan)


@pytest.mark.parametrize("prog", ["export.py", "predict.py", "eval.py"])
def test_what_a_recipe_says_of_the_beginning_does_not_hold_for_finished_weights(prog):
    cfg = config.load(["--net", "bit_r101x3", "--dataset", "cifar10"], prog=prog)
    assert config.load(["--net", "bit_r101x3", "--dataset", "cifar10"]).filter_head is True
    assert cfg.of_finished_weights().filter_head is False
