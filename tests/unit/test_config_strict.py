"""Strictness of config.load on a small made-up root, and on the project's own declarations."""

from __future__ import annotations

import copy
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from tests.support.made_up_options import DECLARED, error_of, read, write_home
from tests.support.programs import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--lr", "1e-3"], "lr", 0.001),
        (["--lr=+.5"], "lr", 0.5),
        (["--lr", "1", "--lr", "2"], "lr", 2.0),
        (["--'lr'='0.5'"], "lr", 0.5),
        (["'--lr=0.5'"], "lr", 0.5),
        (["'--lr'", "0.5"], "lr", 0.5),
        (['"--lr"="0.5"'], "lr", 0.5),
        (["--limit", "-3"], "limit", -3.0),
        (["--limit", "-.5"], "limit", -0.5),
        (["--limit", "-1e3"], "limit", -1000.0),
        (["--drops", ""], "drops", ()),
        (["--drops", "[]"], "drops", ()),
        (["--drops", "[1,", "2]"], "drops", (1, 2)),
        (["--drops", "1,2", "--drops=3"], "drops", (1, 2, 3)),
        (["--rates", "1e-1,2"], "rates", (0.1, 2.0)),
        (["--image_size", "224", "192"], "image_size", (224, 192)),
        (["--image_size", "(224, 192)"], "image_size", (224, 192)),
        (["--image_size", "224X192"], "image_size", (224, 192)),
        (["--image-size=7"], "image_size", (7, 7)),
        (["--batch-size", "3"], "batch", 3),
        (["--batch_size", "3", "--batch", "3"], "batch", 3),
        (["--period", "~"], "period", None),
        (["--period", "None"], "period", None),
        (["--note", "none"], "note", None),
        (["--augment", "none"], "augment", "none"),
        (["--smooth", "--lr", "1"], "smooth", True),
        (["--smooth=0"], "smooth", False),
        (["--smooth", "NO"], "smooth", False),
        (["--data_url", "--lr", "1"], "data_url", ""),
        (["--data_url", "[]"], "data_url", "[]"),
        (["--data_url", "null"], "data_url", "null"),
        (["--data_url", "a", "--data_url", "b"], "data_url", "b"),
        (["--data_dir=a=b"], "data_dir", "a=b"),
        (["--data_dir", ""], "data_dir", ""),
    ],
)
def test_every_spelling_gives_the_declared_type(home: Path, argv: list[str], name: str, value: Any) -> None:
    found = getattr(read(home, *argv), name)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--batchsize", "3"], ["command line: unknown option '--batchsize'; did you mean '--batch_size'?"]),
        (["--dat", "3"], ["unknown option '--dat'"]),
        (["--xyzzy"], ["'--xyzzy'", "--help"]),
        (["-x"], ["unknown option '-x'"]),
        (["--print_confg"], ["did you mean '--print_config'"]),
        (["--"], ["'--' is no option"]),
        (["--a\nb"], ["unknown option '--a"]),
        (["--lr", "1", "a\nb"], ["takes one value, got 1 a"]),
        (["--lr", "-0.1"], ["command line: lr is '-0.1'", "at least 0"]),
        (["--lr=-0.1"], ["lr is '-0.1'", "at least 0"]),
        (["--lr", "9"], ["lr is '9'", "at most 5"]),
        (["--lr", "-inf"], ["lr is '-inf'", "a number"]),
        (["--lr", "1e999"], ["lr is '1e999'", "a number"]),
        (["--lr", "1_0"], ["lr is '1_0'", "a number"]),
        (["--lr", ""], ["lr is ''", "a number"]),
        (["--lr", "none"], ["lr is 'none'", "a number"]),
        (["--batch", "1e1"], ["batch is '1e1'", "a whole number"]),
        (["--batch", "1_0"], ["batch is '1_0'", "a whole number"]),
        (["--batch", "true"], ["batch is 'true'", "a whole number"]),
        (["--batch_size", "0"], ["batch_size (batch) is '0'", "at least 1"]),
        (["--batch", "9" * 5000], ["batch is '9999", "whole number"]),
        (["--batch", "3", "--batch_size", "4"], ["'batch' and 'batch_size'", "'3', '4'"]),
        (["--batch", "x", "--lr", "1"], ["batch is 'x'"]),
        (["--drops", "30,,60"], ["drops is", "30,,60", "whole numbers"]),
        (["--drops", "30,-1"], ["drops is", "at least 0"]),
        (["--drops", "1.5"], ["whole numbers"]),
        (["--drops"], ["--drops needs a value"]),
        (["--image_size", "-3"], ["image_size is '-3'"]),
        (["--image_size", "3x"], ["image_size is '3x'"]),
        (["--image_size", "3,0"], ["image_size is '3,0'"]),
        (["--image_size", "[3"], ["image_size is '[3'"]),
        (["--augment", "crp"], ["choose one of crop, none", "did you mean 'crop'"]),
        (["--augment", "null"], ["augment is 'null'", "choose one of crop, none"]),
        (["--data_dir", "null"], ["data_dir is 'null'", "text"]),
        (["--smooth", "2"], ["smooth is '2'", "true or false"]),
        (["--smooth", "yes", "no"], ["--smooth takes one value, got yes no"]),
        (
            ["--dataset", "dogs", "--net", "in_cep"],
            ["net 'in_cep'", "'dogs'", "in_cep cats, tiny cats, tiny dogs"],
        ),
        (["--net", "tinny"], ["unknown net 'tinny'", "did you mean 'tiny'", "in_cep, tiny"]),
        (["--net", "../tiny"], ["unknown net '../tiny'"]),
        (["--net", "t*"], ["unknown net 't*'"]),
        (["--config_path", "no\nwhere"], ["No such file"]),
    ],
)
def test_a_bad_command_line_is_one_line(home: Path, argv: list[str], parts: list[str]) -> None:
    message = error_of(home, *argv)
    assert [part for part in parts if part not in message] == [], message
    assert len(message) < 300


def test_in_a_cloud_job_the_first_platform_argument_stays(home: Path) -> None:
    argv = ["--device_target=CPU", "--lr", "1", "--data_url=", "--lr", "2"]
    argv += ["--device_target", "Ascend", "--data_url", "late", "--'train_url'='s3:///b/d/'"]
    inside, outside = read(home, *argv, in_cloud=True), read(home, *argv)
    assert (inside.device_target, inside.data_url, inside.train_url, inside.lr) == (
        "CPU",
        "",
        "s3:///b/d/",
        2.0,
    )
    assert (outside.device_target, outside.data_url, outside.train_url) == ("Ascend", "late", "s3:///b/d/")
    assert [inside.origin(name) for name in ("device_target", "data_url", "lr")] == [
        "platform",
        "platform",
        "command line",
    ]
    assert outside.origin("data_url") == "command line"


def test_unknown_arguments_of_a_cloud_job_are_kept(home: Path, capsys: pytest.CaptureFixture) -> None:
    argv = ["stray", "--odd", "1", "--flag", "--my_token=hush", "--lr", "1", "--batchsize=3"]
    cfg = read(home, *argv, in_cloud=True)
    assert cfg.extra == ("stray", "--odd=1", "--flag", "--my_token=hush", "--batchsize=3")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "--odd=1" in captured.err
    assert "hush" not in captured.err, "a log must not show what may be a secret"
    assert cfg.lr == 1.0
    assert read(home, in_cloud=True).extra == ()
    assert capsys.readouterr().err == "", "nothing ignored, nothing said"


def test_known_options_stay_strict_in_a_cloud_job(home: Path) -> None:
    assert "lr is 'fast'" in error_of(home, "--lr", "fast", in_cloud=True)
    assert "choose one of auto" in error_of(home, "--device_target", "TPU", in_cloud=True)


def test_a_configuration_is_a_value(home: Path) -> None:
    cfg = read(home, "--odd", in_cloud=True)
    with pytest.raises(AttributeError, match="frozen"):
        cfg.lr = 3
    with pytest.raises(AttributeError, match="frozen"):
        del cfg.extra
    cfg.to_dict()["lr"] = 3
    assert cfg.lr == 1e-4
    for twin in (pickle.loads(pickle.dumps(cfg)), copy.deepcopy(cfg)):
        assert (twin, hash(twin), twin.extra, twin.origin("lr")) == (
            cfg,
            hash(cfg),
            ("--odd",),
            "tiny_cats.yaml",
        )
    assert cfg.replace(lr=2).lr == 2.0
    assert cfg.replace(batch_size=2).batch == 2
    assert cfg.replace(drops=[1]).drops == (1,)
    assert cfg.replace(lr=2) != cfg
    for changes, part in (({"lr": 9}, "at most 5"), ({"batch": 2.0}, "whole number"), ({"lrr": 1}, "'lr'")):
        with pytest.raises(ConfigError, match=part):
            cfg.replace(**changes)
    assert not hasattr(cfg, "lrr")
    with pytest.raises(ConfigError, match="did you mean 'lr'"):
        cfg.origin("lrr")


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("x: {value: 1}", "help"),
        ("x: {value: 1, help: ''}", "help"),
        ("x: {value: 1, help: 5}", "help"),
        ("x: {help: h}", "value"),
        ("x: 5", "needs a mapping"),
        ("x: {value: 1, help: h, chioces: [1]}", "unknown property 'chioces'"),
        ("x: {value: 1, help: h, help: i}", "'help' is given twice"),
        ("x: {value: null, help: h}", "has type '?'"),
        ("x: {value: 1, help: h, type: number}", "has type 'number'"),
        ("x: {value: 1, help: h, type: [int]}", "has type ['int']"),
        ("x: {value: 1.5, help: h, type: int}", "whole number"),
        ("x: {value: 0, help: h, min: 1}", "at least 1"),
        ("x: {value: c, help: h, choices: [a, b]}", "choose one of a, b"),
        ("x: {value: a, help: h, choices: [a, 1]}", "must be text"),
        ("x: {value: a, help: h, choices: a}", "choices"),
        ("x: {value: 1, help: h, min: low}", "bound 'low'"),
        ("x: {value: a, help: h, min: 1}", "does not fit str"),
        ("x: {value: 1, help: h, min: 2, max: 1}", "min above its max"),
        ("x: {value: 1, help: h, aliases: y}", "aliases"),
        ("x: {value: 1, help: h, aliases: [lr]}", "'lr' names both lr and x"),
        ("x: {value: 1, help: h, aliases: [batch_size]}", "'batch_size' names both batch and x"),
        ("x: {value: 1, help: h, platform: 1}", "platform"),
        ("batch_size: {value: 1, help: h}", "'batch_size' names both batch"),
        ("lr: {value: 1, help: h}", "'lr' is declared twice"),
        ("help: {value: 1, help: h}", "'help' names both a switch"),
        ("replace: {value: 1, help: h}", "an attribute of Config"),
        ("extra: {value: 1, help: h}", "an attribute of Config"),
        ("data: {value: 1, help: h}", "'data' names both a group"),
        ("a-b: {value: 1, help: h}", "identifier"),
    ],
)
def test_faults_of_declarations(home: Path, entry: str, part: str) -> None:
    (home / "default_config.yaml").write_text(DECLARED + f"more:\n  {entry}\n")
    message = error_of(home)
    assert message.startswith("default_config.yaml")
    assert part in message, message


@pytest.mark.parametrize("text", ["", "- a", "data: 5", "data:\n  lr: {value: 1, help: h}"])
def test_a_useless_declaration_file_is_an_error(home: Path, text: str) -> None:
    (home / "default_config.yaml").write_text(text)
    assert "default_config.yaml" in error_of(home)


def shown(home: Path, capsys: pytest.CaptureFixture, *argv: str, **options: Any) -> str:
    with pytest.raises(SystemExit) as end:
        read(home, *argv, **options)
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_help(
    home: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    (home / "src/mindlift/models/one/recipes/tiny_dogs.yaml").write_text("lr: 0.25\n")
    out = shown(home, capsys, "--dataset", "dogs", "--help", "--lr", "3", prog="eval.py")
    assert out.splitlines()[0] == "usage: eval.py [--option value ...]"
    assert [line for line in out.splitlines() if line.endswith(":") and line[0] != " "] == [
        "data:",
        "model:",
        "schedule:",
        "platform:",
        "examples:",
    ]
    words = " ".join(out.split())
    for part in (
        "rate [0.25]",
        "factors [[0.5, 1.0]]",
        "also: --batch_size",
        "choices: crop, none",
        "--print_config",
    ):
        assert part in words
    assert max(len(line) for line in out.splitlines()) <= columns


@pytest.mark.parametrize(
    "argv", [["-h"], ["--lr", "fast", "--help"], ["--unknown", "-h"], ["--net", "no", "-h"]]
)
def test_help_works_beside_mistakes(home: Path, capsys: pytest.CaptureFixture, argv: list[str]) -> None:
    assert shown(home, capsys, *argv).startswith("usage: train.py")


def test_print_config(home: Path, capsys: pytest.CaptureFixture) -> None:
    out = shown(home, capsys, "--print_config", "--period", "3")
    assert "  lr: 0.0001  # from tiny_cats.yaml\n" in out
    assert "  period: 3  # from command line\n" in out
    assert "  smooth: false  # from default_config.yaml\n" in out
    assert "lr is 'x'" in error_of(home, "--print-config", "--lr", "x")
    assert read(home, "--print_config=false").lr == 1e-4


def test_argv_defaults_to_that_of_the_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "2"])
    assert config.load(root=home).lr == 2.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The real declarations with one made-up recipe."""
    shutil.copy(ROOT / "default_config.yaml", tmp_path)
    (tmp_path / "src/mindlift/models/made_up/recipes").mkdir(parents=True)
    (tmp_path / "src/mindlift/models/made_up/recipes/densenet100_digits.yaml").write_text("lr: 0.5\n")
    return tmp_path


def test_the_projects_declarations(project: Path) -> None:
    cfg = read(project)
    assert (cfg.net, cfg.dataset, cfg.lr, cfg.image_size) == ("densenet100", "digits", 0.5, (32, 32))
    assert (cfg.loss_scale, cfg.label_smooth, cfg.lr_epochs) == (None, False, (150, 225, 300))
    assert read(project, "--run_distribute", "0").is_distributed is False
    assert "did you mean '--batch_size'" in error_of(project, "--batchsize", "3")


def test_what_openi_appends_is_accepted(project: Path) -> None:
    models = '[{"model_url": "s3://b/m/x.ckpt", "model_name": "x"}]'
    argv = ["--data_url=s3:///b/d/", f"--pretrain_url={models}", "--ckpt_url", "[]", "--result_url="]
    cfg = read(project, *argv, "--lr", "0.2", "--device_target", "Ascend", in_cloud=True)
    assert (cfg.pretrain_url, cfg.ckpt_url, cfg.result_url) == (models, "[]", "")
    assert (cfg.device_target, cfg.lr, cfg.extra) == ("Ascend", 0.2, ())


def test_importing_is_free() -> None:
    code = "import sys, mindlift.model_utils.config.config; print({'mindspore', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
