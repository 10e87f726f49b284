"""What other programs call an option: for `did you mean`, which would else go by letters.

The names are those of torchvision's references/classification/train.py, timm's train.py and mindcv's config.py, and of
PyTorch's ImageNet example. Values may be written otherwise there; `--help` says how they are here.
"""

from __future__ import annotations

OTHER_NAMES = {
    # data
    "j": "num_parallel_workers",
    "workers": "num_parallel_workers",
    "num_workers": "num_parallel_workers",
    "b": "per_batch_size",
    "batch": "per_batch_size",
    "bs": "per_batch_size",
    "d": "dataset",
    "val_dir": "eval_data_dir",
    "list": "data_lst",
    "img_size": "image_size",
    "image_resize": "image_size",
    "train_crop_size": "image_size",
    "val_crop_size": "eval_image_size",
    "val_resize_size": "eval_resize",
    "train_interpolation": "interpolation",
    "mean": "normalize",
    "std": "normalize",
    "no_aug": "augment",
    "aa": "rand_augment_num_layers",
    "auto_augment": "rand_augment_num_layers",
    "ra_magnitude": "rand_augment_magnitude",
    "mixup": "mixup_alpha",
    "mixup_mode": "mixup_shares",
    # network and weights
    "a": "net",
    "arch": "net",
    "network": "net",
    "backbone_name": "net",
    "weights": "pretrained",
    "initial_checkpoint": "pretrained",
    "checkpoint": "pretrained",
    "drop": "dropout",
    "drop_rate": "dropout",
    "grad_checkpointing": "recompute",
    # training
    "epochs": "max_epoch",
    "max_epochs": "max_epoch",
    "opt": "optimizer",
    "optim": "optimizer",
    "opt_eps": "epsilon",
    "eps": "epsilon",
    "wd": "weight_decay",
    "smoothing": "label_smoothing",
    "clip_grad": "gradient_norm",
    "clip_grad_norm": "gradient_norm",
    "clip_value": "gradient_norm",
    "ema": "enable_ema",
    "model_ema": "enable_ema",
    "model_ema_decay": "ema_decay",
    "dynamic_loss_scale": "is_dynamic_loss_scale",
    "amp": "amp_level",
    "native_amp": "amp_level",
    "apex_amp": "amp_level",
    "fp16": "amp_level",
    "grad_accum_steps": "accumulation_steps",
    # learning rate
    "learning_rate": "lr",
    "sched": "lr_scheduler",
    "scheduler": "lr_scheduler",
    "warmup_lr": "lr_init",
    "min_lr": "eta_min",
    "lr_min": "eta_min",
    "lr_step_size": "lr_epochs",
    "decay_milestones": "lr_epochs",
    "milestones": "lr_epochs",
    "multi_step_decay_milestones": "lr_epochs",
    "decay_epochs": "lr_num_epochs_per_decay",
    "decay_rate": "lr_decay",
    "dr": "lr_decay",
    # runs
    "c": "config_path",
    "config": "config_path",
    "o": "ckpt_path",
    "output": "ckpt_path",
    "output_dir": "ckpt_path",
    "save_dir": "ckpt_path",
    "ckpt_save_dir": "ckpt_path",
    "ckpt_save_interval": "save_checkpoint_epochs",
    "recovery_interval": "ckpt_interval",
    "checkpoint_hist": "keep_checkpoint_max",
    "resume_opt": "resume",
    "start_epoch": "resume",
    "p": "log_interval",
    "print_freq": "log_interval",
    "val_while_train": "eval_interval",
    "val_interval": "eval_interval",
    # devices
    "device": "device_target",
    "gpus": "group_size",
    "local_rank": "device_id",
    "world_size": "group_size",
    "distribute": "is_distributed",
}


def other_name(word: str) -> str:
    """The option that other programs call `word`, '' if none does."""
    return OTHER_NAMES.get(word.lower().replace("-", "_"), "")
