"""Every option has an effect: the parts that the configuration makes, with and without it.

`EFFECTS` says for each option which parts change, and the tests demand that exactly these do. `IN_A_RUN` are
options that one real run shows, the other tests of the rest are where `SHOWN_BY` says.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import pipeline, split
from mindlift.data.order import BatchRange
from mindlift.errors import CheckpointError, DataError
from mindlift.inference import evaluate
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build
from mindlift.tasks.classification import task as classify
from mindlift.training import build as training_build
from mindlift.training.schedules import from_config, lr_table
from tests.support.programs import run_program

ROOT = Path(__file__).resolve().parents[2]

BASE = {"net": "densenet22", "dataset": "digits", "per_batch_size": "16", "max_epoch": "4"}
TREE = {**BASE, "dataset": "imagenet", "num_classes": "2", "image_size": "8", "per_batch_size": "4"}
SMOOTH, COSINE, STEPS, RMSPROP, POLY, STAIRS, EXP = (
    {**BASE, **more}
    for more in (
        {"label_smooth": "1"},
        {"lr_scheduler": "cosine_annealing"},
        {"lr_scheduler": "exponential", "lr_epochs": "1,2"},
        {"optimizer": "rmsprop"},
        {"lr_scheduler": "poly"},
        {"lr_scheduler": "staircase"},
        {"lr_scheduler": "exp", "lr_decay_step": "5"},
    )
)
PHASES = {
    **BASE,
    "lr_scheduler": "phases",
    "phase_epochs": "2,2",
    "phase_lr": "0.1,0.05",
    "phase_warmup": "0,0",
    "phase_decay": "0.9,0.8",
    "phase_decay_epochs": "1,1",
}

# option: (base, another value, the parts that change)
EFFECTS = {
    "dataset": ({**TREE, "color_jitter": "0"}, "cifar10", {"error", "batches", "evaluation"}),
    "data_dir": (BASE, "other", {"batches", "evaluation"}),
    "num_classes": ({**BASE, "allow_unused_classes": "true"}, "12", {"network", "loss"}),
    "allow_unused_classes": ({**TREE, "num_classes": "3"}, "true", {"error", "batches", "evaluation"}),
    "image_size": (BASE, "12,16", {"batches", "evaluation"}),
    "height": (BASE, "12", {"batches", "evaluation"}),
    "width": (BASE, "12", {"batches", "evaluation"}),
    "eval_image_size": (BASE, "12", {"evaluation"}),
    "interpolation": ({**BASE, "image_size": "12"}, "bicubic", {"batches", "evaluation"}),
    "train_resize": ({**BASE, "augment": "resize_crop", "train_resize": "10"}, "12", {"batches"}),
    "rand_augment_num_layers": (BASE, "2", {"batches"}),
    "rand_augment_magnitude": ({**BASE, "rand_augment_num_layers": "2"}, "5", {"batches"}),
    "per_batch_size": (BASE, "8", {"batches", "evaluation", "rates"}),
    "num_parallel_workers": (BASE, "1", {"workers"}),
    "augment": (BASE, "none", {"batches"}),
    "hflip": (BASE, "1", {"batches"}),
    "color_jitter": (BASE, "0.3", {"batches"}),
    "eval_resize": (TREE, "12", {"evaluation"}),
    "crop_pct": (TREE, "0.5", {"evaluation"}),
    "normalize": (BASE, "imagenet", {"batches", "evaluation"}),
    "mixup_alpha": (BASE, "0.5", {"batches", "loss"}),
    "mixup_shares": ({**BASE, "mixup_alpha": "0.5"}, "batch", {"batches"}),
    "skip_corrupt": (
        {**TREE, "data_dir": "corrupt", "per_batch_size": "11"},
        "true",
        {"error", "batches", "evaluation"},
    ),
    "drop_remainder": (BASE, "true", {"evaluation"}),
    "seed": (BASE, "2", {"batches", "network"}),
    "net": (BASE, "densenet100", {"network"}),
    "transition_pool": (BASE, "max", {"outputs"}),
    "stem_norm": (BASE, "true", {"network"}),
    "momentum": (BASE, "0.5", {"optimiser"}),
    "weight_decay": (BASE, "0.3", {"optimiser"}),
    "label_smooth": (BASE, "1", {"loss"}),
    "label_smooth_factor": (SMOOTH, "0.3", {"loss"}),
    "loss_scale": (BASE, "8", {"step"}),
    "is_dynamic_loss_scale": (BASE, "1", {"step"}),
    "amp_level": (BASE, "O3", {"outputs"}),
    "loss_scale_window": (BASE, "100", {"step"}),
    "label_smoothing": (BASE, "0.1", {"loss"}),
    "enable_clip_norm": (BASE, "true", {"step"}),
    "gradient_norm": ({**BASE, "enable_clip_norm": "true"}, "2", {"step"}),
    "enable_ema": (BASE, "true", {"step"}),
    "ema_decay": ({**BASE, "enable_ema": "true"}, "0.5", {"step"}),
    "ema_warmup": ({**BASE, "enable_ema": "true"}, "true", {"step"}),
    "accumulation_steps": (BASE, "2", {"step", "rates"}),
    "max_epoch": (BASE, "5", {"rates"}),
    "lr_scheduler": (BASE, "exponential", {"rates"}),
    "lr": (BASE, "0.2", {"rates"}),
    "lr_epochs": (STEPS, "2,3", {"rates"}),
    "lr_gamma": (STEPS, "0.5", {"rates"}),
    "eta_min": (COSINE, "0.01", {"rates"}),
    "T_max": (COSINE, "2", {"rates"}),
    "warmup_epochs": (BASE, "1.5", {"rates"}),
    "optimizer": (BASE, "rmsprop", {"optimiser"}),
    "rmsprop_decay": (RMSPROP, "0.5", {"optimiser"}),
    "epsilon": (RMSPROP, "0.5", {"optimiser"}),
    "lr_base_batch": (BASE, "64", {"rates"}),
    "lr_init": ({**BASE, "warmup_epochs": "1"}, "0.05", {"rates"}),
    "lr_decay": (STAIRS, "0.5", {"rates"}),
    "lr_num_epochs_per_decay": (STAIRS, "1.5", {"rates"}),
    "lr_decay_step": (EXP, "7", {"rates"}),
    "lr_decay_rate": (EXP, "0.5", {"rates"}),
    "lr_power": (POLY, "1.5", {"rates"}),
    "phase_epochs": (PHASES, "1,1", {"rates"}),
    "phase_lr": (PHASES, "0.3,0.2", {"rates"}),
    "phase_warmup": (PHASES, "1,0", {"rates"}),
    "phase_decay": (PHASES, "0.5,0.5", {"rates"}),
    "phase_decay_epochs": (PHASES, "2,1", {"rates"}),
    "phase_reading": ({**PHASES, "phase_warmup": "1,1"}, "code", {"rates"}),
    "phase": (PHASES, "2", {"rates"}),
}

# Shown by the test of this name below tests/.
SHOWN_BY = {
    "config_path": "unit/test_config.py::test_every_recipe_loads_and_names_itself",
    "debug": "e2e/test_bad_input.py::test_the_traceback_is_there_with_debug",
    "resume": "e2e/test_train.py::test_resume_from_a_step_inside_an_epoch",
    "is_save_on_master": "e2e/test_train.py::test_two_ranks_end_with_equal_weights",
    "enable_modelarts": "e2e/test_bad_input.py::test_bad_input_is_one_line",
    "dataset_sink_mode": "e2e/test_ascend_form.py::test_sink_mode_trains_the_same_weights_with_the_same_logs_and_checkpoints",
    "compile_cache": "e2e/test_compile_cache.py::test_a_job_that_continues_finds_its_graph_and_the_same_weights",
    "divergence_factor": "unit/test_divergence.py::test_factor_0_compares_nothing",
    "device_target": "e2e/test_bad_input.py::test_bad_input_is_one_line",
    "is_distributed": "unit/test_ranks.py::test_check_ranks",
    "rank": "unit/test_ranks.py::test_check_ranks",
    "group_size": "unit/test_ranks.py::test_check_ranks",
    "threads": "unit/test_ranks.py::test_threads_are_shared_and_the_users_values_stay",
    "filter_head": "e2e/test_flags.py::test_filter_head_keeps_the_body_and_leaves_the_head",
    "stem_pool": "unit/test_models.py::test_the_stems_pooling_is_an_option",
    **dict.fromkeys(
        ("crops", "crop_scales", "crop_batch"),
        "unit/test_crops.py::test_the_mean_is_that_of_144_single_crops",
    ),
    **dict.fromkeys(
        ("eval_interval", "eval_start_epoch", "tensorboard"),
        "e2e/test_train.py::test_a_run_leaves_what_the_documents_promise",
    ),
    "data_format": "e2e/test_train.py::test_mindrecord_trains_to_the_same_weights",
    "eval_path": "e2e/test_evaluation.py::test_a_killed_evaluation_continues_also_on_two_ranks",
    "blacklist": "e2e/test_evaluation.py::test_a_killed_evaluation_continues_also_on_two_ranks",
    "mixup_least_images": "e2e/test_train.py::test_few_images_are_not_mixed",
    **dict.fromkeys(("std_eps", "recompute"), "unit/test_bit.py::test_options_of_the_network"),
    **dict.fromkeys(("conv_pad", "zero_gamma", "weight_init"), "unit/test_models.py::test_resnets_options"),
    **dict.fromkeys(
        ("bn_eps", "bn_momentum", "dropout"), "unit/test_models.py::test_norms_and_dropout_are_options"
    ),
    **dict.fromkeys(
        ("min_scale", "max_scale", "ignore_label"),
        "unit/test_segmentation.py::test_the_scale_mirroring_and_ignored_label_are_options",
    ),
    "data_lst": "unit/test_seg_lists.py::test_splits_by_default",
    "data_file": "e2e/test_deeplab.py::test_the_documents_scripts_train_and_evaluate_on_cpu_ranks",
    **dict.fromkeys(
        ("scales", "flip"), "e2e/test_deeplab.py::test_scales_and_mirror_are_options_of_the_evaluation"
    ),
    "overlays": "e2e/test_deeplab.py::test_evaluation_finds_what_the_training_said_over_any_ranks_and_leaves_pictures",
    "aspp_rates": "unit/test_deeplab_v3.py::test_the_share_that_is_dropped_and_the_rates_are_options",
    "freeze_bn": "unit/test_deeplab_v3.py::test_frozen_norms_use_their_statistics_and_do_not_move_them",
    "output_dir": "e2e/test_segment_inference.py::test_masks_are_what_eval_counts",
    "weights_channels": "unit/test_weight_maps.py::test_colours_are_turned_round_once_and_only_where_they_have_to_be",
    "input_format": "unit/test_predict_pixels.py::test_a_model_of_either_layout_is_the_network",
    "all_reduce_fusion": "e2e/test_ranks_equal.py::test_grouped_gradients_are_the_same",
    **dict.fromkeys(
        ("parameter_server", "enable_cache", "freeze_layer", "save_checkpoint"),
        "e2e/test_bad_input.py::test_bad_input_is_one_line",
    ),
    "device_id": "unit/test_ranks.py::test_a_device_that_is_asked_for",
    "batch_size_export": "unit/test_exporter.py::test_the_batch_of_a_model",
    "pretrained": "e2e/test_flags.py::test_training_starts_from_pretrained_weights",
    "cache_path": "unit/test_cloud_adapter.py::test_the_cache_is_where_the_option_says",
    "stage_mode": "unit/test_cloud_adapter.py::test_a_node_copies_all_or_its_shards",
    "stage_timeout": "unit/test_cloud_adapter.py::test_peers_wait_as_long_as_the_option_says",
    "publish_timeout": "e2e/test_cloud_job.py::test_a_store_that_does_not_come_back_is_an_error_that_says_where_the_files_are",
    "file_name": "unit/test_exporter.py::test_the_files_name",
    "file_format": "e2e/test_inference.py::test_what_export_refuses",
    "model_file": "e2e/test_inference.py::test_a_model_predicts_what_its_checkpoint_does",
    "top_k": "e2e/test_inference.py::test_the_options_of_predict",
    "class_names": "e2e/test_inference.py::test_the_options_of_predict",
    "output_json": "e2e/test_inference.py::test_predict_counts_what_eval_counts",
    "output_csv": "e2e/test_inference.py::test_predict_counts_what_eval_counts",
    "contact_sheet": "e2e/test_inference.py::test_the_options_of_predict",
    **dict.fromkeys(
        (
            "data_url",
            "train_url",
            "multi_data_url",
            "pretrain_url",
            "ckpt_url",
            "checkpoint_url",
            "result_url",
            "model_url",
            "resume_url",
        ),
        "unit/test_inputs.py::test_inputs",
    ),
}
IN_A_RUN = {
    "ckpt_path",
    "ckpt_interval",
    "keep_checkpoint_max",
    "log_path",
    "log_interval",
    "progress",
    "run_eval",
    "max_steps",
    "eval_data_dir",
    "backbone",
    "save_checkpoint_epochs",
}
# Taken because a platform passes it, without an effect.
IGNORED = {"grampus_code_file_name"}


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
    decays = tuple(sorted({float(d) for d in np.ravel(optimiser.weight_decay)}))
    numbers = (
        float(getattr(value, "asnumpy", lambda value=value: value)())
        for value in (getattr(optimiser, name, 0.0) for name in ("momentum", "decay", "epsilon"))
    )
    return type(optimiser).__name__, decays, tuple(numbers)


def loss_part(cfg: config.Config) -> float:
    logits = np.random.default_rng(0).normal(size=(4, 10))
    wide = (
        np.concatenate([logits, np.zeros((4, cfg.num_classes - 10))], 1) if cfg.num_classes > 10 else logits
    )
    loss = classify.objective(cfg, ms.nn.Cell(), classify.options(cfg, 1)).loss
    mixing = [ms.Tensor([1, 2, 3, 0], ms.int32), ms.Tensor([0.3] * 4, ms.float32)] if cfg.mixup_alpha else []
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
    iterations = [line.split("iter[")[1].split("]")[0] for line in done.out.splitlines() if "iter[" in line]
    assert iterations == ["1", "3", "5", "7"]
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
    cfg = evaluate.without_initial_options(config.load(["--config_path", str(file)]))
    assert (cfg.filter_head, cfg.weights_channels) == (False, "auto")
    typed = evaluate.without_initial_options(
        config.load(["--config_path", str(file), "--weights_channels", "rgb"])
    )
    assert (typed.filter_head, typed.weights_channels) == (False, "rgb")
