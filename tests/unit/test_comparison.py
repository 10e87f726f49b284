"""docs/comparison.md: every option of two other trainers is there, and every one named beside it is one of ours.

The lists are those of timm's train.py (huggingface/pytorch-image-models, commit aa4b585) and of mindcv's config.py
(mindspore-lab/mindcv, commit 51b0636): the arguments of add_argument, in the order of the page.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mindlift.model_utils.config import config
from tests.support import option_effects as effects

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([\w-]+) \| (no|`--\w+`(?:, `--\w+`)*) \|(?: (.+?))? \|$", re.MULTILINE)
TIMM = """
config data data-dir dataset train-split val-split train-num-samples val-num-samples dataset-download
class-map input-img-mode input-key target-key dataset-trust-remote-code model pretrained pretrained-path
initial-checkpoint resume no-resume-opt num-classes gp img-size in-chans input-size crop-pct mean std
interpolation batch-size validation-batch-size channels-last fuser grad-accum-steps grad-checkpointing
fast-norm model-kwargs head-init-scale head-init-bias torchcompile-mode torchscript torchcompile device amp
amp-dtype model-dtype no-ddp-bb synchronize-step local_rank device-modules opt opt-eps opt-betas momentum
weight-decay clip-grad clip-mode layer-decay layer-decay-min-scale layer-decay-no-opt-scale opt-kwargs sched
sched-on-updates lr lr-base lr-base-size lr-base-scale lr-noise lr-noise-pct lr-noise-std lr-cycle-mul
lr-cycle-decay lr-cycle-limit lr-k-decay warmup-lr min-lr epochs epoch-repeats start-epoch decay-milestones
decay-epochs warmup-epochs warmup-prefix cooldown-epochs patience-epochs decay-rate no-aug train-crop-mode
scale ratio hflip vflip color-jitter color-jitter-prob grayscale-prob gaussian-blur-prob aa aug-repeats
aug-splits jsd-loss bce-loss bce-sum bce-target-thresh bce-pos-weight reprob remode recount resplit mixup
cutmix cutmix-minmax mixup-prob mixup-switch-prob mixup-mode mixup-off-epoch smoothing train-interpolation
drop drop-connect drop-path drop-block bn-momentum bn-eps sync-bn dist-bn split-bn model-ema
model-ema-force-cpu model-ema-decay model-ema-warmup seed worker-seeding log-interval val-interval
recovery-interval checkpoint-hist workers save-images pin-mem no-prefetcher output experiment eval-metric
tta use-multi-epochs-loader log-wandb wandb-project wandb-tags wandb-resume-id train-img-sizes
train-batch-sizes train-size-probs train-size-schedule train-size-schedule-spread train-size-random-mix
train-batches-per-epoch variable-batch-loss-scale naflex-loader naflex-train-seq-lens naflex-max-seq-len
naflex-patch-sizes naflex-patch-size-probs naflex-loss-scale naflex-patchify-channels-first kd-model-name
kd-distill-type kd-loss-type distill-loss-weight task-loss-weight kd-temperature kd-student-feature-dim
kd-teacher-feature-dim kd-token-distill-type
"""
MINDCV = """
config mode distribute val_while_train val_interval log_interval seed device_target dataset data_dir
train_split val_split dataset_download num_parallel_workers shuffle num_samples batch_size drop_remainder
image_resize scale ratio hflip vflip color_jitter interpolation auto_augment aug_splits re_prob re_scale
re_ratio re_value re_max_attempts mean std crop_pct mixup cutmix cutmix_prob aug_repeats model num_classes
in_channels drop_rate drop_path_rate pretrained ckpt_path resume_opt keep_checkpoint_max ckpt_save_dir
ckpt_save_interval ckpt_save_policy epoch_size dataset_sink_mode ema ema_decay clip_grad clip_value
layer_decay gradient_accumulation_steps opt momentum weight_decay use_nesterov weight_decay_filter eps
scheduler lr min_lr warmup_epochs warmup_factor decay_epochs decay_rate multi_step_decay_milestones
lr_epoch_stair num_cycles cycle_decay loss label_smoothing aux_factor reduction amp_level val_amp_level
amp_cast_list loss_scale_type loss_scale drop_overflow_update eval_shuffle
"""
TABLES = {"timm": TIMM.split(), "mindcv": MINDCV.split()}
SHOWN = {*effects.EFFECTS, *effects.SHOWN_BY, *effects.IN_A_RUN}


def section(name: str) -> str:
    return PAGE.partition(f"### {name}\n")[2].partition("\n### ")[0]


def rows(name: str) -> list[tuple[str, list[str], str]]:
    """(their option, ours, the note) of each row."""
    return [
        (theirs, re.findall(r"--(\w+)", ours), note or "")
        for theirs, ours, note in ROW.findall(section(name))
    ]


ALL = [pytest.param(*row, id=f"{name}-{row[0]}") for name in TABLES for row in rows(name)]


@pytest.mark.parametrize("name", TABLES)
def test_every_option_of_the_trainer_has_a_row(name):
    assert [theirs for theirs, _, _ in rows(name)] == TABLES[name]
    assert len(rows(name)) == section(name).count("\n| ") - 1, "a row that can't be read"


@pytest.mark.parametrize("name", TABLES)
def test_the_counts_are_those_of_the_table(name):
    found = rows(name)
    yes = sum(bool(ours) for _, ours, _ in found)
    assert f"Of {len(found)} options {yes} have a counterpart." in section(name)


@pytest.mark.parametrize(("theirs", "ours", "note"), ALL)
def test_a_counterpart_is_an_option_whose_effect_is_tested_and_a_no_has_a_reason(theirs, ours, note):
    known = config.own_schema().options
    assert [each for each in ours if each not in known] == []
    assert [each for each in ours if each not in SHOWN] == []
    assert ours or len(note) > 7, "why not?"


def test_a_no_that_is_like_the_one_before_has_one_before():
    for name in TABLES:
        before = ""
        for _, ours, note in rows(name):
            assert not note.startswith("the same") or before
            before = note if note else ("" if ours else before)


def test_options_in_notes_are_options():
    """Of MindLift's programs, those that only eval.py or `mindlift` has among them."""
    known = set(config.own_schema().options)
    named = re.findall(
        r"`(?:eval\.py )?--(\w+)[^`]*`", " ".join(note for name in TABLES for _, _, note in rows(name))
    )
    assert named
    assert [each for each in named if each not in known and each != "help"] == []
