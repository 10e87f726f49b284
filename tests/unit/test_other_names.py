"""`did you mean` for the options of three programs that people come from.

Sources, read in their repositories: pytorch/vision references/classification/train.py (get_args_parser, commit 017e9b9,
and what main has added since),
huggingface/pytorch-image-models train.py (commit 004fb5f), mindspore-lab/mindcv config.py (create_parser, commit
01f0d14), facebookresearch/deit main.py, pytorch/examples imagenet/main.py. What an option means is what its help says there.
"""

from __future__ import annotations

import pytest

from mindlift.errors import ConfigError
from mindlift.model_utils.config import config
from mindlift.model_utils.config.other_names import OTHER_NAMES

TORCHVISION = """
data-path=data_dir model=net device=device_target b=per_batch_size batch-size=per_batch_size epochs=max_epoch
j=num_parallel_workers workers=num_parallel_workers opt=optimizer lr=lr momentum=momentum wd=weight_decay
weight-decay=weight_decay norm-weight-decay= bias-weight-decay= transformer-embedding-decay=
label-smoothing=label_smoothing mixup-alpha=mixup_alpha cutmix-alpha=cutmix_alpha lr-scheduler=lr_scheduler
lr-warmup-epochs=warmup_epochs lr-warmup-method= lr-warmup-decay= lr-step-size=lr_epochs lr-gamma=lr_gamma lr-min=eta_min
print-freq=log_interval output-dir=ckpt_path resume=resume start-epoch=resume cache-dataset= sync-bn=sync_bn test-only=
pretrained=pretrained auto-augment=auto_augment ra-magnitude=rand_augment_magnitude augmix-severity=auto_augment
random-erase=random_erase amp=amp_level world-size=group_size dist-url= model-ema=enable_ema model-ema-steps=
model-ema-decay=ema_decay use-deterministic-algorithms= interpolation=interpolation val-resize-size=eval_resize
val-crop-size=eval_image_size train-crop-size=image_size clip-grad-norm=gradient_norm ra-sampler=aug_repeats ra-reps=aug_repeats
weights=pretrained backend= use-v2=
"""
TIMM = """
 c=config_path config=config_path dataset=dataset d=dataset train-split= val-split= dataset-download= class-map=
model=net pretrained=pretrained initial-checkpoint=pretrained resume=resume no-resume-opt= num-classes=num_classes gp=
img-size=image_size input-size=image_size crop-pct=crop_pct mean=mean std=std interpolation=interpolation
b=per_batch_size batch-size=per_batch_size vb= validation-batch-size= channels-last= torchscript= fuser=
grad-checkpointing=recompute opt=optimizer opt-eps=epsilon opt-betas=betas momentum=momentum weight-decay=weight_decay
clip-grad=gradient_norm clip-mode=clip_mode layer-decay=layer_decay sched=lr_scheduler lr=lr lr-noise= lr-noise-pct=
lr-noise-std= lr-cycle-mul=lr_cycle_mul lr-cycle-decay=lr_cycle_decay lr-cycle-limit= lr-k-decay= warmup-lr=lr_init
min-lr=eta_min epochs=max_epoch epoch-repeats= start-epoch=resume decay-milestones=lr_epochs
decay-epochs=lr_num_epochs_per_decay warmup-epochs=warmup_epochs cooldown-epochs= patience-epochs=plateau_patience
decay-rate=lr_decay dr=lr_decay no-aug=augment scale=crop_scale ratio=crop_ratio hflip=hflip vflip=vflip color-jitter=color_jitter
aa=auto_augment aug-repeats=aug_repeats aug-splits=aug_splits jsd-loss=loss bce-loss=loss bce-target-thresh=bce_target_threshold reprob=random_erase
remode=random_erase_mode recount=random_erase_count
resplit=random_erase_resplit mixup=mixup_alpha cutmix=cutmix_alpha cutmix-minmax= mixup-prob=mixup_prob mixup-switch-prob=mixup_switch_prob
mixup-mode=mixup_shares mixup-off-epoch=mixup_off_epoch smoothing=label_smoothing train-interpolation=interpolation drop=dropout drop-connect= drop-path=drop_path
drop-block= bn-momentum=bn_momentum bn-eps=bn_eps sync-bn=sync_bn dist-bn= split-bn=split_bn model-ema=enable_ema
model-ema-force-cpu= model-ema-decay=ema_decay seed=seed worker-seeding= log-interval=log_interval
recovery-interval=ckpt_interval checkpoint-hist=keep_checkpoint_max j=num_parallel_workers
workers=num_parallel_workers save-images= amp=amp_level apex-amp=amp_level native-amp=amp_level no-ddp-bb= pin-mem=
no-prefetcher= output=ckpt_path experiment= eval-metric=best_metric tta= local_rank=device_id use-multi-epochs-loader=
log-wandb=
"""
MINDCV = """
 c=config_path config=config_path mode= distribute=is_distributed val_while_train=eval_interval
val_interval=eval_interval log_interval=log_interval pretrained=pretrained ckpt_path=ckpt_path resume_opt=resume
seed=seed dataset=dataset data_dir=data_dir train_split= val_split= dataset_download=
num_parallel_workers=num_parallel_workers shuffle= num_samples= batch_size=per_batch_size
drop_remainder=drop_remainder aug_repeats=aug_repeats image_resize=image_size scale=crop_scale ratio=crop_ratio
hflip=hflip vflip=vflip
color_jitter=color_jitter interpolation=interpolation auto_augment=auto_augment re_prob=random_erase re_scale=random_erase_scale
re_ratio=random_erase_ratio re_value=random_erase_mode re_max_attempts= mean=mean std=std crop_pct=crop_pct
cutmix=cutmix_alpha cutmix_prob=mixup_prob
mixup=mixup_alpha model=net num_classes=num_classes drop_rate=dropout drop_path_rate=drop_path amp_level=amp_level
keep_checkpoint_max=keep_checkpoint_max ckpt_save_dir=ckpt_path ckpt_save_interval=save_checkpoint_epochs
epoch_size=max_epoch dataset_sink_mode=dataset_sink_mode in_channels= ckpt_save_policy=keep_best ema=enable_ema
ema_decay=ema_decay clip_grad=gradient_norm clip_value=gradient_norm opt=optimizer momentum=momentum
weight_decay=weight_decay loss_scale=loss_scale dynamic_loss_scale=is_dynamic_loss_scale use_nesterov=nesterov
filter_bias_and_bn=weight_decay_exclude eps=epsilon scheduler=lr_scheduler lr=lr min_lr=eta_min
warmup_epochs=warmup_epochs warmup_factor= decay_epochs=lr_num_epochs_per_decay decay_rate=lr_decay
multi_step_decay_milestones=lr_epochs lr_epoch_stair= num_cycles= cycle_decay=lr_cycle_decay loss=loss
label_smoothing=label_smoothing aux_factor= reduction= enable_modelarts=enable_modelarts device_target=device_target
multi_data_url=multi_data_url data_url=data_url ckpt_url=ckpt_url train_url=train_url
"""
DEIT = """
teacher-model=teacher teacher-path=teacher_weights distillation-type=distill distillation-alpha=distill_alpha
distillation-tau=distill_temperature
"""
EXAMPLE = "a=net arch=net p=log_interval print-freq=log_interval learning-rate=lr"
HEARD_OF = (
    "save_dir=ckpt_path num-workers=num_parallel_workers gpus=group_size grad-accum-steps=accumulation_steps"
)
# not equivalents: the same word means another thing here, which --help says
OTHER_THINGS = {"scale": "scales"}


def options() -> list[tuple[str, str]]:
    words = " ".join((TORCHVISION, TIMM, MINDCV, DEIT, EXAMPLE, HEARD_OF)).split()
    return sorted({tuple(word.split("=")) for word in words})


@pytest.mark.parametrize(("name", "ours"), [pair for pair in options() if pair[1]])
def test_an_option_of_another_program_leads_to_ours(name, ours):
    """It is an alias, or the line that refuses it names ours."""
    dashes = "--" if len(name) > 1 else "-"
    schema = config.own_schema()
    key = name.replace("-", "_")
    known = schema.names.get(key)
    if known and known.name == ours:
        return
    with pytest.raises(ConfigError, match=f"{dashes}{key}'?; did you mean '--{ours}'") as caught:
        config.load([f"{dashes}{key}", "1"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, ours in options() if not ours])
def test_what_has_no_equivalent_has_no_line(name):
    assert name.replace("-", "_") not in OTHER_NAMES


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_each_line_names_an_option_and_is_no_alias(name):
    schema = config.own_schema()
    assert OTHER_NAMES[name] in schema.options
    assert name not in schema.names or name in ("output_dir",), "train.py has no use for it"


def test_a_key_of_a_recipe_is_told_as_well(tmp_path):
    (tmp_path / "a.yaml").write_text("net: densenet22\nepochs: 3\n")
    with pytest.raises(ConfigError, match="a.yaml:2: unknown option 'epochs'; did you mean 'max_epoch'"):
        config.load(["--config_path", str(tmp_path / "a.yaml")])


def test_letters_still_help():
    with pytest.raises(ConfigError, match="did you mean '--weight_decay'"):
        config.load(["--weigth_decay", "1"])


@pytest.mark.parametrize("dataset", ["imagenet", "cifar10"])
def test_a_network_without_a_recipe_is_known(dataset):
    with pytest.raises(
        ConfigError, match="net 'resnet101' has no recipe of its own; .*resnet50_imagenet.yaml"
    ) as caught:
        config.load(["--net", "resnet101", "--dataset", dataset])
    recipe = str(caught.value).split(" ")[-1]
    assert config.load(["--net", "resnet101", "--config_path", recipe]).net == "resnet101"
