"""Every option has an effect: the parts that the configuration makes, with and without it.

`EFFECTS` says for each option which parts change, and the tests demand that exactly these do. `IN_A_RUN` are
options that one real run shows, the other tests of the rest are where `SHOWN_BY` says.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import pipeline, split
from mindlift.data.order import BatchRange
from mindlift.errors import CheckpointError, DataError
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build
from mindlift.tasks.classification import task as classify
from mindlift.training import build as training_build
from mindlift.training.schedules import from_config, lr_table
from tests.support.option_effects import BASE, EFFECTS, IGNORED, IN_A_RUN, SHOWN_BY
from tests.support.programs import run_program

ROOT = Path(__file__).resolve().parents[2]


def test_every_option_has_a_test_of_its_effect():
    tables = [EFFECTS, SHOWN_BY, IGNORED, IN_A_RUN]
    listed = [name for table in tables for name in table]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(config.load([]).to_dict())


@pytest.mark.parametrize("option", SHOWN_BY)
def test_the_tests_named_here_are_there(option):
    file, _, name = SHOWN_BY[option].partition("::")
    assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folders(few_digits, digits, tmp_path_factory) -> dict[str, Path]:
    """Data folders by the names that the table uses."""
    root = tmp_path_factory.mktemp("tree")
    for tree in ("tree", "corrupt"):
        for label, count in (("a", 6), ("b", 5)):
            (root / tree / label).mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng(i + 10 * count).integers(0, 255, (24, 20, 3), np.uint8)
                Image.fromarray(pixels).save(root / tree / label / f"{i}.jpg")
    broken = root / "corrupt/a/3.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    return {"digits": few_digits, "other": digits, "imagenet": root / "tree", "corrupt": root / "corrupt"}


def digest(arrays) -> str:
    total = hashlib.sha256()
    for array in arrays:
        value = np.ascontiguousarray(array.asnumpy() if isinstance(array, ms.Tensor) else array)
        total.update(str((value.shape, value.dtype)).encode() + value.tobytes())
    return total.hexdigest()


def data_parts(cfg: config.Config, path: Path) -> dict[str, object]:
    options = classify.options(cfg, workers=1)
    found: dict[str, object] = {
        "workers": classify.options(cfg, workers=8).workers,
        "batches": None,
        "evaluation": None,
        "error": "",
    }
    try:
        train = split.open_split(options, path, train=True)
        test = split.open_split(options, path, train=False)
        batches = pipeline.train_batches(train, options, BatchRange(0, 2))
        found["batches"] = digest(array for batch in batches for array in batch)
        evaluation = pipeline.eval_batches(test, options, 0, 1)
        found["evaluation"] = digest(array for batch in evaluation for array in batch)
    except DataError as err:
        found["error"] = type(err).__name__
    return found


def network_parts(cfg: config.Config) -> dict[str, object]:
    net = build.network(cfg, devices.of(devices.CPU))
    parameters = net.get_parameters()
    images = ms.Tensor(np.random.default_rng(0).normal(size=(2, 3, *cfg.image_size)), ms.float32)
    outputs = net.set_train(False)(images)
    rates = lr_table(200 // (cfg.per_batch_size * cfg.accumulation_steps), from_config(cfg, 1, images=200))
    groups = training_build.optimizer(cfg, net, rates, devices.of(devices.CPU))
    return {
        "network": digest(
            value
            for p in sorted(parameters, key=lambda p: p.name)
            for value in (p.asnumpy().astype(np.float32),)
        ),
        "outputs": digest([outputs]),
        "rates": digest([rates]),
        "optimiser": optimiser_part(groups),
    }


def optimiser_part(optimiser: ms.nn.Optimizer) -> tuple:
    """What does not depend on the number of weights."""
    decays = tuple(sorted({float(d) for d in np.ravel(optimiser.weight_decay)}))
    numbers = (
        float(getattr(value, "asnumpy", lambda value=value: value)())
        for value in (
            getattr(optimiser, name, 0.0) for name in ("momentum", "decay", "epsilon", "coefficient")
        )
    )
    kinds = [parameter.name.rpartition(".")[2] for parameter in optimiser.parameters]
    decayed = tuple(sorted({kind for kind, flag in zip(kinds, optimiser.decay_flags) if flag}))
    scales = tuple(sorted(set(getattr(optimiser, "scales", None) or ())))
    others = tuple(getattr(optimiser, name, None) for name in ("betas", "nesterov"))
    return type(optimiser).__name__, decays, tuple(numbers), decayed, scales, others


def loss_part(cfg: config.Config) -> float:
    logits = np.random.default_rng(0).normal(size=(4, 10))
    wide = (
        np.concatenate([logits, np.zeros((4, cfg.num_classes - 10))], 1) if cfg.num_classes > 10 else logits
    )
    loss = classify.objective(cfg, ms.nn.Cell(), classify.options(cfg, 1)).loss
    is_mixed = cfg.mixup_alpha > 0 or cfg.cutmix_alpha > 0
    mixing = [ms.Tensor([1, 2, 3, 0], ms.int32), ms.Tensor([0.3] * 4, ms.float32)] if is_mixed else []
    labels = ms.Tensor([1, 2, 3, 4], ms.int32)
    return float(loss(ms.Tensor(wide, ms.float32), labels, *mixing).asnumpy())


def parts(options: dict[str, str], folders: dict[str, Path]) -> dict[str, object]:
    """What the configuration `options` becomes, by part."""
    given = {
        "config_path": str(ROOT / "src/mindlift/models/densenet/recipes/densenet22_digits.yaml"),
        **options,
    }
    path = folders[given.pop("data_dir", "imagenet" if given["dataset"] == "imagenet" else "digits")]
    cfg = config.load([word for name, value in given.items() for word in (f"--{name}", value)])
    return {
        **data_parts(cfg, path),
        **network_parts(cfg),
        "loss": loss_part(cfg),
        "step": asdict(training_build.step_options(cfg, 1)),
    }


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, object]]:
    return {}


@pytest.mark.heavy
@pytest.mark.parametrize("option", EFFECTS)
def test_an_option_changes_what_it_is_for_and_nothing_else(option, folders, known):
    base, value, wanted = EFFECTS[option]
    key = str(sorted(base.items()))
    without = known.setdefault(key, known.get(key) or parts(base, folders))
    with_it = parts({**base, option: value}, folders)
    changed = {name for name in without if without[name] != with_it[name]}
    assert changed - {"outputs"} == wanted - {"outputs"}
    assert "outputs" in changed or "outputs" not in wanted


def test_filter_head_keeps_the_body_and_leaves_the_head(tmp_path):
    cfg = config.load(["--net", "densenet22", "--num_classes", "4"])
    source = build.network(cfg.replace(seed=5), devices.of(devices.CPU))
    ms.save_checkpoint(source, str(tmp_path / "net.ckpt"))
    other = cfg.replace(num_classes=7)
    with pytest.raises(CheckpointError, match="classifier"):
        build.load_pretrained(other, build.network(other, devices.of(devices.CPU)), tmp_path / "net.ckpt")
    other = other.replace(filter_head=True)
    net = build.network(other, devices.of(devices.CPU))
    before = net.classifier.weight.asnumpy().copy()
    build.load_pretrained(other, net, tmp_path / "net.ckpt")
    np.testing.assert_array_equal(net.classifier.weight.asnumpy(), before)
    np.testing.assert_array_equal(net.stem.conv0.weight.asnumpy(), source.stem.conv0.weight.asnumpy())


@pytest.fixture(scope="module")
def trained(few_digits, digits, tmp_path_factory):
    """Eight steps with every option of IN_A_RUN set; the run and where it was told to write."""
    out = tmp_path_factory.mktemp("run")
    done = run_program(
        "train.py",
        *(word for name, value in BASE.items() for word in (f"--{name}", value)),
        "--data_dir",
        few_digits,
        "--ckpt_path",
        out / "runs",
        "--ckpt_interval",
        3,
        "--keep_checkpoint_max",
        2,
        "--log_path",
        out / "logs",
        "--log_interval",
        2,
        "--progress",
        "true",
        "--run_eval",
        "true",
        "--max_steps",
        8,
        "--eval_data_dir",
        digits,
        "--backbone",
        "densenet",
    )
    assert done.code == 0, done.err
    return done, out


def test_a_run_heeds_its_options(trained):
    done, out = trained
    run = Path(done.result["run"])
    assert run.parent == out / "runs"
    assert sorted(path.name for path in (run / "checkpoints").glob("*.ckpt")) == [
        "densenet22-1_6.ckpt",
        "densenet22-1_8.ckpt",
    ]
    assert [path.name for path in (out / "logs").iterdir()] == ["rank_0.log"]
    assert not (run / "logs").exists()
    assert re.findall(r"epoch \d+ of \d+, step (\d+) of 8: loss", done.out) == ["2", "4", "6", "8"]
    assert "train densenet22" in done.err
    assert "8/8" in done.err
    assert done.result["steps"] == 8
    assert done.result["total"] == 357, "of eval_data_dir; data_dir has 83"
    assert "--backbone is ignored" in done.err


def test_training_starts_from_pretrained_weights(trained, few_digits, tmp_path):
    source = Path(trained[0].result["checkpoint"])
    done = run_program(
        "train.py",
        *(word for name, value in BASE.items() for word in (f"--{name}", value)),
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--pretrained",
        source,
        "--lr",
        0,
        "--max_steps",
        1,
        "--run_eval",
        "false",
    )
    assert done.code == 0, done.err
    assert "train densenet22" not in done.err, "no progress bar in a file"
    one, two = ms.load_checkpoint(str(source)), ms.load_checkpoint(done.result["checkpoint"])
    names = [name for name in one if name.endswith((".weight", ".gamma", ".beta"))]
    assert len(names) > 50
    for name in names:
        if not name.startswith("moments."):
            np.testing.assert_array_equal(one[name].asnumpy(), two[name].asnumpy())


def test_how_a_run_began_does_not_hold_for_its_own_weights(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("net: densenet22\nfilter_head: true\nweights_channels: bgr\n")
    cfg = config.load(["--config_path", str(file)]).of_finished_weights()
    assert (cfg.filter_head, cfg.weights_channels) == (False, "auto")
    typed = config.load(["--config_path", str(file), "--weights_channels", "rgb"]).of_finished_weights()
    assert (typed.filter_head, typed.weights_channels) == (False, "rgb")
