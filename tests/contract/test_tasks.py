"""One contract for all tasks: see mindlift.tasks.base.Task. A task that is added there is tested by being there."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator

import mindspore as ms
import numpy as np
import pytest

from mindlift.checkout import ROOT
from mindlift.data.order import BatchRange
from mindlift.errors import ConfigError, DataError
from mindlift.model_utils.config import config
from mindlift.model_utils.config.options import TASKS
from mindlift.runs.log import RunLog
from mindlift.tasks import base as tasks
from mindlift.tasks import network as networks
from mindlift.tasks.progress import Progress
from tests.contract import rigs
from tests.contract.rigs import TRAIN, VAL, Rig

SCHEMA = config.read_schema(ROOT / config.DEFAULTS)
BEST = {
    "top1": 100,
    "top5": 100,
    "map": 1,
    "f1": 1,
    "miou": 1,
    "pixel_accuracy": 1,
}  # the highest that a figure can be


@pytest.fixture(scope="module", params=sorted(tasks.TASKS))
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return rigs.make(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def log() -> Iterator[RunLog]:
    with RunLog(None, 0, False) as opened:
        yield opened


def rows(rig: Rig, part: BatchRange, *more: str, workers: int = 2) -> list[np.ndarray]:
    """The arrays of all batches, one behind another."""
    options = rig.task.options(rig.cfg(*more), workers)
    samples = rig.task.open_split(options, rig.path, train=True)
    batches = rig.task.train_batches(samples, options, part)
    found = [tuple(tensor.asnumpy() for tensor in batch) for batch in batches]
    assert len(found) == len(batches) == part.last - part.first
    return [np.concatenate(column) for column in zip(*found)]


def are_equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def test_it_is_found_by_its_networks(rig):
    assert tasks.of(rig.cfg()) is rig.task


def test_its_data_sets_and_options_are_in_default_config(rig):
    assert set(rig.task.DATASETS) <= set(SCHEMA.options["dataset"].choices)
    assert set(rig.task.OPTIONS_OF) <= set(TASKS)


def own(task: tasks.Task) -> list[str]:
    """The options that default_config.yaml gives to this task."""
    return [name for name, option in SCHEMA.options.items() if option.task in task.OPTIONS_OF]


def same_networks(task: tasks.Task) -> set[str]:
    """The data sets by which networks of this task are trained for another one."""
    kinds = [set(other.OPTIONS_OF) & set(task.OPTIONS_OF) for other in tasks.TASKS.values()]
    return {name for other, kind in zip(tasks.TASKS.values(), kinds) if kind for name in other.DATASETS}


def test_what_is_another_tasks_is_refused(rig):
    for other in tasks.TASKS.values():
        for option in set(own(other)) - set(own(rig.task)):
            if SCHEMA.options[option].kind == "bool":
                other_value = {option: not SCHEMA.options[option].default}
                with pytest.raises(ConfigError, match=rf"--{option} .* has no effect on {rig.name}"):
                    tasks.of(rig.cfg().replace(**other_value))
        for dataset in sorted(set(other.DATASETS) - set(rig.task.DATASETS) - same_networks(rig.task)):
            name = "classification" if rig.name == "multilabel" else rig.name  # that of the network
            with pytest.raises(ConfigError, match=f"--dataset {dataset} is not for {name}"):
                tasks.of(rig.cfg().replace(dataset=dataset))


def test_options_say_what_decides_the_batches(rig):
    cfg = rig.cfg("--num_parallel_workers", "3", "--seed", "7")
    options = rig.task.options(cfg, 2)
    assert (options.workers, rig.task.options(cfg, 8).workers) == (
        2,
        3,
    ), "no more than asked for or there are"
    assert (options.dataset, options.num_classes, options.seed) == (cfg.dataset, cfg.num_classes, 7)
    assert (options.image_size, options.per_batch_size) == (cfg.image_size, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.seed = 1
    samples = rig.task.open_split(options, rig.path, train=True)
    assert type(rig.task.train_options(cfg, options, samples)) is type(options)
    assert type(rig.task.eval_options(options)) is type(options)


def test_splits_have_their_images(rig):
    options = rig.task.options(rig.cfg(), 1)
    found = [rig.task.open_split(options, rig.path, train) for train in (True, False)]
    assert [len(samples) for samples in found] == [TRAIN, VAL]
    assert [samples.skipped for samples in found] == [0, 0]
    with pytest.raises(DataError, match="nowhere"):
        rig.task.open_split(options, rig.path / "nowhere", train=True)


def test_batches_depend_on_seed_and_number_alone(rig):
    """Not on the number of threads, nor on where a training was continued; 10 batches make an epoch."""
    whole = rows(rig, BatchRange(8, 13))
    assert (whole[0].shape[:2], whole[0].dtype) == ((10, 3), np.float32)
    assert all(column.dtype in (np.float32, np.int32, np.uint8) for column in whole)
    assert are_equal(whole, rows(rig, BatchRange(8, 13), workers=1))
    assert are_equal([column[4:] for column in whole], rows(rig, BatchRange(10, 13)))
    assert not are_equal(whole, rows(rig, BatchRange(8, 13), "--seed", "2"))
    assert not are_equal(rows(rig, BatchRange(0, 10)), rows(rig, BatchRange(10, 20))), "epochs differ"


def test_ranks_share_the_batches_of_one(rig):
    """Two ranks with batches of two are one with batches of four, and so are two batches of a step."""
    whole = rows(rig, BatchRange(0, 3), "--per_batch_size", "4")
    halves = [rows(rig, BatchRange(0, 3, rank, 2)) for rank in range(2)]
    assert are_equal(whole, [np.stack(pair, 1).reshape(-1, *pair[0].shape[1:]) for pair in zip(*halves)])
    assert are_equal(whole, rows(rig, BatchRange(0, 6, accumulation=2)))


def test_the_objective_is_a_finite_loss(rig, log):
    job = rig.job(log)
    options = rig.task.options(job.cfg, 1)
    samples = rig.task.open_split(options, rig.path, train=True)
    options = rig.task.train_options(job.cfg, options, samples)
    loss = rig.task.objective(job.cfg, networks.network(job.cfg, job.device), options)
    (batch,) = rig.task.train_batches(samples, options, BatchRange(0, 1))
    found = loss.set_train()(*batch)
    assert found.shape == ()
    assert found.dtype == ms.float32
    assert 0 < float(found.asnumpy()) < 10 * math.log(job.cfg.num_classes)


def test_evaluations_count_every_image_once(rig, log, tmp_path, capsys):
    job = rig.job(log)
    options = rig.task.options(job.cfg, 1)
    samples = rig.task.open_split(rig.task.eval_options(options), rig.path, train=False)
    network = networks.network(job.cfg, job.device).set_train(False)
    evaluator = rig.task.Evaluator(job.cfg, network, options)
    asked = rig.task.evaluate(job, evaluator, samples, tmp_path / "some.ckpt")
    assert f"checkpoint {tmp_path / 'some.ckpt'}" in capsys.readouterr().out
    assert asked["checkpoint"] == str(tmp_path / "some.ckpt")
    assert (asked["net"], asked["dataset"], asked["skipped"]) == (job.cfg.net, job.cfg.dataset, 0)
    final = rig.task.final_figures(job, evaluator, samples, 1)
    for figures in (asked, final):
        assert figures["total"] == VAL
        found = BEST.keys() & figures.keys()
        assert found
        assert all(0 <= figures[name] <= BEST[name] for name in found)
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        assert {name: figures[name] for name in found} == {name: asked[name] for name in found}


def test_progress_is_told_in_lines(rig):
    at = Progress(0, 10, 10, 10, 1.25, 100.0, 10, 2.0, 40)
    for each in (at, dataclasses.replace(at, step=3, step_in_epoch=3, images_per_second=None)):
        lines = rig.task.original_lines(each)
        assert lines
        assert any("1.25" in line for line in lines)
        assert not any("\n" in line for line in lines)


def test_an_exported_model_is_described(rig):
    cfg = rig.cfg()
    height, width = rig.task.input_size(cfg)
    assert min(height, width) >= rigs.models.family_of(cfg.net).least_side(cfg.net)
    facts = json.loads(json.dumps(rig.task.describe(cfg, 3)))
    assert facts["output"]["shape"][:2] == [3, cfg.num_classes]
    assert {"resize", "mean", "std", "range"} <= facts["preprocessing"].keys()
