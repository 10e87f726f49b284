"""Options of a training that contradict each other, or do nothing."""

from __future__ import annotations

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.training import rules

FIGURES = ("top1", "top5", "loss")
REFUSED = {
    "--nesterov true --optimizer adamw": "--nesterov true has no effect on --optimizer adamw",
    "--betas 0.9,0.99": "--betas has no effect on --optimizer momentum; .* choose one of adam, adamw, lamb, lion",
    "--optimizer adam --betas 0.9": "--betas 0.9: expected two numbers from 0 to below 1",
    "--optimizer lion --betas 0.9,1.0": "--betas 0.9,1.0: expected two numbers",
    "--clip_mode agc": "--clip_mode agc has no effect without clipping; pass --enable_clip_norm true too",
    "--early_stop 3": "--early_stop 3 goes by evaluations while training; pass --eval_interval 1",
    "--keep_best 2": "--keep_best 2 goes by evaluations",
    "--lr_scheduler plateau": "--lr_scheduler plateau goes by evaluations",
    "--lr_scheduler plateau --eval_interval 1 --freeze backbone --unfreeze_epoch 2": "plateau and --unfreeze_epoch exclude each",
    "--ema_start_epoch 2": "--ema_start_epoch 2 has no effect without --enable_ema true",
    "--enable_ema true --max_epoch 3 --ema_start_epoch 3": "--ema_start_epoch 3: the training ends after 3 epochs",
    "--mixup_prob 0.3": "--mixup_prob 0.3 has no effect without --mixup_alpha / --cutmix_alpha; leave it out",
    "--mixup_shares pair": "--mixup_shares pair has no effect without --mixup_alpha",
    "--mixup_alpha 1 --mixup_switch_prob 0.2": "--mixup_switch_prob 0.2 chooses between MixUp and CutMix",
    "--random_erase_mode pixel": "--random_erase_mode pixel has no effect without --random_erase;",
    "--random_erase_scale 0.1,0.2": "--random_erase_scale 0.1,0.2 has no effect without --random_erase;",
    "--ema_decay 0.5": "--ema_decay 0.5 has no effect without --enable_ema",
    "--gradient_norm 2": "--gradient_norm 2.0 has no effect without --enable_clip_norm",
    "--lars_coefficient 2": "--lars_coefficient 2.0 has no effect without --optimizer lars",
    "--plateau_patience 2": "--plateau_patience 2 has no effect without --lr_scheduler plateau",
    "--min_delta 2": "--min_delta 2.0 has no effect without --early_stop / --lr_scheduler plateau",
    "--label_smooth 1 --label_smoothing 0.1": "--label_smooth and --label_smoothing 0.1 are two ways to smooth",
    "--teacher resnet50": "--teacher resnet50 needs --teacher_weights too",
    "--teacher_weights x.ckpt": "--teacher_weights x.ckpt needs --teacher too",
    "--distill hard": "--distill hard has no effect without --teacher",
    "--distill_alpha 0.2": "--distill_alpha 0.2 has no effect without --teacher",
    "--teacher resnet50 --teacher_weights x.ckpt --distill hard --distill_temperature 2": "--distill_temperature 2 has no"
    " effect on --distill hard",
}
TAKEN = (
    "--enable_ema true --ema_start_epoch 2",
    "--teacher resnet50 --teacher_weights x.ckpt --distill hard --distill_alpha 0.9",
    "--teacher resnet50 --teacher_weights x.ckpt --distill_temperature 4",
    "--optimizer adamw --betas 0.9,0.98",
    "--nesterov true",
    "--enable_clip_norm true --clip_mode value",
    "--early_stop 3 --eval_steps 10",
    "--early_stop 3 --eval_steps 10 --min_delta 1",
    "--mixup_alpha 1 --mixup_prob 0.3 --mixup_shares batch",
    "--mixup_alpha 1 --cutmix_alpha 1 --mixup_switch_prob 0.2",
    "--random_erase 0.2 --random_erase_mode pixel",
    "--mixup_prob 1 --ema_decay 0.9999",
    "--keep_best 1 --lr_scheduler plateau --eval_interval 1",
)


def load(words: str) -> config.Config:
    return config.load(["--net", "densenet22", *words.split()])


@pytest.mark.parametrize("words", REFUSED)
def test_refused_in_one_line(words):
    with pytest.raises(ConfigError, match=REFUSED[words]) as caught:
        rules.check(load(words))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", TAKEN)
def test_taken(words):
    rules.check(load(words))


def test_figures_that_evaluations_do_not_give():
    with pytest.raises(
        ConfigError, match="--best_metric miou: densenet22 is evaluated by top1, top5, loss; choose"
    ):
        rules.check_metric(load("--best_metric miou"), FIGURES)
    with pytest.raises(ConfigError, match="--best_metric top5: it is not counted for 4 classes"):
        rules.check_metric(load("--best_metric top5 --num_classes 4"), FIGURES)
    rules.check_metric(load("--best_metric top5"), FIGURES)
    assert rules.metric_of(load("--best_metric loss"), FIGURES) == "loss"
    assert rules.metric_of(load(""), FIGURES) == "top1"
