"""The compile cache changes when a training starts, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mindlift.models.weights.mindspore_files import read
from mindlift.training import compile_cache
from tests.support.programs import TINY, Finished, run_program

FOUND, COMPILES = "finds its graph in the cache", "compiles the graph"


def train(root: Path, *arguments: object, cache: str = "graphs") -> Finished:
    done = run_program("train.py", *TINY, "--ckpt_path", root, "--cache_path", root / cache, *arguments)
    assert done.code == 0, done.err
    return done


def weights(done: Finished) -> dict[str, np.ndarray]:
    return {name: tensor.asnumpy() for name, tensor in read(Path(done.result["checkpoint"])).items()}


STATES = [
    ("--is_dynamic_loss_scale", 1, "--enable_ema", "true", "--enable_clip_norm", "true"),
    ("--accumulation_steps", 2, "--enable_ema", "true"),
    ("--optimizer", "rmsprop"),
]


@pytest.mark.heavy
@pytest.mark.parametrize("state", STATES)
def test_a_job_that_continues_finds_its_graph_and_the_same_weights(state, tmp_path):
    whole = train(tmp_path / "whole", *state, "--max_steps", 6, "--compile_cache", "false")
    assert COMPILES in whole.out
    assert not (tmp_path / "whole/graphs").exists()
    first = train(tmp_path / "cut", *state, "--max_steps", 6)
    assert COMPILES in first.out
    stopped = train(tmp_path / "cut", *state, "--max_steps", 2, "--resume", "none")
    (Path(stopped.result["run"]) / "result.json").unlink()
    again = train(tmp_path / "cut", *state, "--max_steps", 6)
    assert FOUND in again.out
    assert "after step 2" in again.out
    expected = weights(whole)
    for done in (first, again):
        found = weights(done)
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.heavy
def test_dropout_drops_the_same_features_by_a_graph_of_the_cache(tmp_path):
    """A graph of the cache knows only the parameters of cells, and the masks' keys are one of them."""
    options = [
        "--net",
        "deeplab_v3_r26_s16",
        "--dataset",
        "vocdigits",
        "--run_eval",
        "false",
        "--image_size",
        33,
    ]
    options += ["--per_batch_size", 4, "--dropout", 0.5, "--max_steps", 3, "--resume", "none"]
    places = ["--ckpt_path", tmp_path, "--cache_path", tmp_path / "graphs"]
    first, again = (run_program("train.py", *options, *places) for _ in range(2))
    assert COMPILES in first.out
    assert FOUND in again.out
    expected, found = weights(first), weights(again)
    assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.heavy
def test_another_option_is_another_graph(tmp_path):
    train(tmp_path, "--max_steps", 1)
    other = train(tmp_path, "--max_steps", 1, "--label_smoothing", 0.3)
    assert COMPILES in other.out
    assert len(list((tmp_path / "graphs/graphs").iterdir())) == 2


def test_a_cache_that_cant_be_written_does_not_end_a_training(tmp_path):
    (tmp_path / "graphs").write_text("a file")
    assert COMPILES in train(tmp_path, "--max_steps", 1).out


@pytest.mark.parametrize(
    ("version", "is_tried"),
    [("2.6.0", False), ("2.7.2", True), ("2.8.0", True), ("2.10.0", True), ("2.11.0rc1", False)],
)
def test_versions_that_were_not_tried_compile(version, is_tried):
    assert compile_cache.is_tried(version) is is_tried


@pytest.fixture
def environ(monkeypatch) -> dict:
    for name in (compile_cache.ENABLE, compile_cache.PLACE):
        monkeypatch.delenv(name, raising=False)
    return compile_cache.os.environ


def test_a_process_that_fails_leaves_nothing_to_load(environ, tmp_path):
    folder = tmp_path / "graphs" / "key"

    def fail() -> None:
        with compile_cache.caching(folder):
            Path(environ[compile_cache.PLACE]).mkdir()
            raise RuntimeError("does not compile")

    with pytest.raises(RuntimeError, match="does not compile"):
        fail()
    assert list((tmp_path / "graphs").iterdir()) == []
    assert compile_cache.ENABLE not in environ


def test_the_oldest_graphs_go(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "KEPT", 2)
    for number in range(4):
        with compile_cache.caching(tmp_path / f"key{number}"):
            Path(environ[compile_cache.PLACE]).mkdir()
        compile_cache.os.utime(tmp_path / f"key{number}", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key2", "key3"]


def test_a_users_own_cache_stays_the_users_business(environ, tmp_path):
    environ[compile_cache.ENABLE] = "1"
    with compile_cache.caching(tmp_path / "key"):
        assert compile_cache.PLACE not in environ
    assert environ.pop(compile_cache.ENABLE) == "1"


def test_a_folder_that_another_rank_deletes_meanwhile_is_no_failure(environ, tmp_path, monkeypatch):
    listed = [*Path.iterdir(tmp_path), tmp_path / "gone"]
    monkeypatch.setattr(compile_cache.Path, "iterdir", lambda self: iter(listed))
    with compile_cache.caching(tmp_path / "key"):
        Path(environ[compile_cache.PLACE]).mkdir()
    assert (tmp_path / "key").is_dir()
