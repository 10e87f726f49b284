"""Which options export.py and predict.py take, and where those come from that belong to the weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mindlift.api import inference_job
from mindlift.checkout import ROOT
from mindlift.errors import CheckpointError, ConfigError
from mindlift.model_utils.config import config
from mindlift.runs.manifest import MANIFEST, file_sha256
from mindlift.runs.paths import RunPaths
from mindlift.runs.provenance import check_content, read_model, side_file_of

EXPORT, PREDICT = "export.py", "predict.py"


def load(prog, *argv) -> config.Config:
    return config.load([str(word) for word in argv], prog=prog)


@pytest.mark.parametrize(
    ("argv", "inputs"),
    [
        ("a.png --net densenet22 b.png", ["a.png", "b.png"]),
        ("--net=densenet22 a.png", ["a.png"]),
        ("--net densenet22 --debug a.png", ["a.png"]),
        ("--net densenet22 --debug true a.png", ["a.png"]),
        ("--net densenet22 --image_size 8 8 a.png 9.png", ["a.png", "9.png"]),
        ("--net densenet22 --image_size 8,8 1.png", ["1.png"]),
        ("--net densenet22 -- --odd.png 8", ["--odd.png", "8"]),
        ("--net densenet22 a -- b", ["a", "b"]),
    ],
)
def test_words_without_a_flag_are_images(argv, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no runs are that could say what their weights are for
    cfg = load(PREDICT, *argv.split())
    assert list(cfg.inputs) == inputs
    assert cfg.net == "densenet22"
    assert cfg.image_size == (8, 8)


@pytest.mark.parametrize(
    ("prog", "argv", "parts"),
    [
        (PREDICT, "--lr 0.1 a.png", ["predict.py has no use for --lr"]),
        (PREDICT, "--file_name x a.png", ["predict.py has no use for --file_name"]),
        (EXPORT, "--top_k 3", ["export.py has no use for --top_k"]),
        ("train.py", "--top_k 3", ["train.py has no use for --top_k"]),
        ("eval.py", "--model_file a.mindir", ["eval.py has no use for --model_file"]),
        (PREDICT, "--model a.mindir b.png", ["--model is the name of a network", "--model_file a.mindir"]),
        (EXPORT, "--ignore_label 255", ["export.py has no use for --ignore_label"]),
        (PREDICT, "--topk 3 a.png", ["unknown option '--topk'", "did you mean '--top_k'"]),
        (PREDICT, "--top_k 0 a.png", ["top_k is '0'", "at least 1"]),
        (EXPORT, "--net densenet22 a.png", ["--net takes one value"]),
        (EXPORT, "--file_format mindir", ["choose one of MINDIR, AIR, ONNX"]),
        (EXPORT, "--ckpt_file x.ckpt", ["x.ckpt does not say which network it is of", "--net"]),
        (PREDICT, "--model_file a.mindir --ckpt_file b.ckpt c.png", ["both name weights"]),
    ],
)
def test_a_mistake_is_one_line(prog, argv, parts):
    with pytest.raises(ConfigError) as caught:
        load(prog, *argv.split())
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_network_with_one_data_set_needs_no_name_of_it():
    assert load(EXPORT, "--net", "densenet121", "--ckpt_file", "x.ckpt").dataset == "imagenet"
    assert load(EXPORT, "--net", "resnet50", "--ckpt_file", "x.ckpt").dataset == "digits"
    with pytest.raises(ConfigError, match="no recipe for net 'densenet121' on dataset 'digits'"):
        load("train.py", "--net", "densenet121")


@pytest.fixture
def run(tmp_path) -> Path:
    """A run's folder with a checkpoint, made with options that no recipe has."""
    paths = RunPaths(tmp_path / "runs/20260101-000000").create()
    argv = "--net densenet22 --num_classes 7 --transition_pool max --image_size 16 --per_batch_size 5 --filter_head true"
    cfg = config.load([*argv.split(), "--pretrained", "other.ckpt", "--enable_modelarts", "true"])
    paths.config.write_text(cfg.to_yaml(origins=True))
    (paths.checkpoints / "net-1_1.ckpt").write_bytes(b"weights")
    return paths.root


@pytest.mark.parametrize("named", ["", "checkpoints", "checkpoints/net-1_1.ckpt"])
def test_a_runs_checkpoint_brings_the_options_it_was_trained_with(run, named):
    cfg = load(EXPORT, "--ckpt_file", run / named)
    assert (cfg.net, cfg.num_classes, cfg.transition_pool, cfg.image_size) == (
        "densenet22",
        7,
        "max",
        (16, 16),
    )
    assert cfg.origin("num_classes") == str(run / "config.yaml")
    assert (cfg.per_batch_size, cfg.filter_head, cfg.enable_modelarts) == (64, False, False)
    assert load(EXPORT, "--ckpt_file", run, "--num_classes", "3").num_classes == 3, "the command line wins"


@pytest.mark.parametrize("named", ["", "checkpoints", "checkpoints/net-1_1.ckpt"])
def test_the_first_word_may_be_weights(run, named):
    """As `eval` names them in its line of what comes next, whatever it was given."""
    (run / "checkpoints" / MANIFEST).write_text("")
    cfg = load(PREDICT, run / named, "a.png")
    assert (cfg.pretrained, cfg.inputs) == (str(run / named), ("a.png",))


def test_config_path_wins_over_the_run(run):
    recipe = Path(ROOT) / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"
    assert load(EXPORT, "--ckpt_file", run, "--config_path", recipe).num_classes == 10


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "net.mindir"
    path.write_bytes(b"model")
    options = {"net": "densenet22", "dataset": "digits", "num_classes": 7, "image_size": [16, 8]}
    facts = {
        "sha256": file_sha256(path),
        "input": {"shape": [4, 3, 16, 8], "layout": "NCHW"},
        "options": options,
        "class_names": [],
    }
    side_file_of(path).write_text(json.dumps(facts))
    return path


def test_a_models_side_file_brings_its_options(model):
    cfg = load(PREDICT, "--model_file", model, "a.png")
    assert (cfg.net, cfg.num_classes, cfg.image_size, cfg.per_batch_size) == ("densenet22", 7, (16, 8), 4)
    assert load(PREDICT, "--model_file", model, "a.png", "--num_classes", 7).num_classes == 7
    assert (
        load(PREDICT, "--model_file", model, "a.png", "--eval_resize", 9).eval_resize == 9
    ), "not of the network"


@pytest.mark.parametrize(
    ("option", "value"),
    [("image_size", "8,8"), ("batch_size", "2"), ("num_classes", "9"), ("net", "densenet100")],
)
def test_a_model_is_not_contradicted(model, option, value):
    with pytest.raises(ConfigError, match="was exported with"):
        load(PREDICT, "--model_file", model, "a.png", f"--{option}", value)


def test_a_model_of_one_size_has_one_scale(model):
    def check(*words: object) -> None:
        inference_job.check_predict(load(PREDICT, "--model_file", model, "a.png", *words))

    check("--scales", "1.0", "--flip")
    with pytest.raises(ConfigError, match=r"--scales .*0\.5, 1\.0.*: .* takes images of 16 x 8 only"):
        check("--scales", "0.5", "--scales", "1.0")


def broken(model: Path, how: str) -> Path:
    side = side_file_of(model)
    if how == "other suffix":
        return model.with_suffix(".ckpt")
    if how == "no model":
        model.unlink()
    elif how == "no side file":
        side.unlink()
    elif how == "no JSON":
        side.write_text("{")
    elif how == "a list":
        side.write_text("[]")
    return model


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ("other suffix", "expected a .mindir file"),
        ("no model", "no such model"),
        ("no side file", "net.mindir.json is missing"),
        ("no JSON", "is not a side file"),
        ("a list", "is not a side file"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(model, how, part):
    with pytest.raises(CheckpointError, match=part):
        load(PREDICT, "--model_file", broken(model, how), "a.png")


def test_a_model_and_the_side_file_of_another_one(model):
    found = read_model(model)
    check_content(found)
    model.write_bytes(b"another")
    with pytest.raises(CheckpointError, match="is not the model that .*net.mindir.json was written for"):
        check_content(found)


def test_air_is_said_to_be_deprecated_where_it_can_be_written(capsys):
    cfg = config.load(["--file_format", "AIR"], prog=EXPORT)
    inference_job.check_export(cfg, "Ascend")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "deprecated" in said
    assert "MindSpore Lite" in said
    inference_job.check_export(cfg.replace(file_format="MINDIR"), "Ascend")
    assert capsys.readouterr().err == ""
