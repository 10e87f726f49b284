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
    assert not (tmp_path / "whole/graphs/graphs").exists()
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
    done = train(tmp_path, "--max_steps", 1)
    assert COMPILES in done.out
    assert done.out.count("the compiled graph is not kept: ") == 1


@pytest.mark.heavy
def test_a_graph_that_a_power_failure_has_cut_is_compiled_again(tmp_path):
    expected = weights(train(tmp_path, "--max_steps", 2, "--resume", "none"))
    (folder,) = (tmp_path / "graphs/graphs").iterdir()
    for file in folder.rglob("*.mindir"):
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-100])
    for said in (COMPILES, FOUND):
        again = train(tmp_path, "--max_steps", 2, "--resume", "none")
        assert said in again.out
        found = weights(again)
        assert all((found[name] == expected[name]).all() for name in expected)


NETWORK = """
import mindspore.nn as nn
from {module} import widened

class Small(nn.Cell):
    def __init__(self, classes):
        super().__init__()
        self.pool, self.classifier = nn.AvgPool2d(8, 8), nn.Dense(3 * 16, classes)

    def construct(self, x):
        x = self.pool(x)
        return self.classifier(widened(x.reshape(x.shape[0], -1)))

def small(num_classes=10):
    return Small(num_classes)
"""


@pytest.mark.heavy
def test_a_graph_of_other_code_is_not_loaded(tmp_path, monkeypatch):
    """A network of the user's, whose helper in another module is changed between two trainings."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "own_network.py").write_text(NETWORK.format(module="own_helper"))
    options = ["--dataset", "digits", "--run_eval", "false", "--max_steps", 2, "--resume", "none"]
    options += ["--net", "own_network:small", "--ckpt_path", tmp_path / "runs", "--progress", "false"]
    found: dict[tuple[str, str], dict] = {}
    for factor in ("1.0", "3.0"):
        (tmp_path / "own_helper.py").write_text(f"def widened(x):\n    return x * {factor}\n")
        for cache in ("true", "false", "true"):
            done = run_program(
                "train.py", *options, "--compile_cache", cache, "--cache_path", tmp_path / "cache"
            )
            assert done.code == 0, done.err
            is_second = (factor, cache) in found
            assert (FOUND if is_second else COMPILES) in done.out
            found.setdefault((factor, cache), weights(done))
            assert same(weights(done), found[factor, "true"])
    assert not same(found["1.0", "true"], found["3.0", "true"])


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def test_the_key_is_of_every_file_of_the_package(tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("training.py", "models/layers.py"):
        (tmp_path / name).write_text("x = 1\n")
    first = compile_cache.key({"net": "a"}, package=tmp_path)
    assert compile_cache.key({"net": "a"}, package=tmp_path) == first
    assert compile_cache.key({"net": "b"}, package=tmp_path) != first
    (tmp_path / "models/layers.py").write_text("x = 2\n")
    changed = compile_cache.key({"net": "a"}, package=tmp_path)
    assert changed != first
    (tmp_path / "models/layers.py").rename(tmp_path / "models/other.py")
    assert compile_cache.key({"net": "a"}, package=tmp_path) not in (first, changed)


def test_a_second_training_of_a_process_takes_no_graph_of_the_first(environ, tmp_path):
    with compile_cache.caching(tmp_path / "one"):
        Path(environ[compile_cache.PLACE]).mkdir()
    with compile_cache.caching(tmp_path / "two"):
        assert compile_cache.ENABLE not in environ
    assert not compile_cache.has(tmp_path / "one")


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
    monkeypatch.setattr(compile_cache, "TAKEN", [])
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
        compile_cache.TAKEN.clear()
        with compile_cache.caching(tmp_path / f"key{number}"):
            Path(environ[compile_cache.PLACE]).mkdir()
        compile_cache.os.utime(tmp_path / f"key{number}", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key2", "key3"]


def test_large_graphs_go_before_the_disk_is_full(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "KEPT_BYTES", 2500)
    for number in range(4):
        compile_cache.TAKEN.clear()
        with compile_cache.caching(tmp_path / f"key{number}"):
            place = Path(environ[compile_cache.PLACE])
            place.mkdir()
            (place / "graph").write_bytes(bytes(1000))
        compile_cache.os.utime(tmp_path / f"key{number}", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key2", "key3"]


def test_what_cant_be_kept_is_said(environ, tmp_path, monkeypatch):
    def full(part: Path) -> dict:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    monkeypatch.setattr(compile_cache, "sums_of", full)
    with compile_cache.caching(tmp_path / "key", said.append):
        Path(environ[compile_cache.PLACE]).mkdir()
    assert said == [f"the compiled graph is not kept: {tmp_path / 'key'}: No space left on device"]
    assert list(tmp_path.iterdir()) == []


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
