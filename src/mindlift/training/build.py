"""From the configuration to the optimiser and the options of a step."""

from __future__ import annotations

import numpy as np
from mindspore import nn

from mindlift.model_utils.config.config import Config
from mindlift.model_utils.devices import Device
from mindlift.training.optimizers import RMSPropOptions, rmsprop, sgd_momentum
from mindlift.training.step import StepOptions

FIXED_LOSS_SCALE = 1024.0
FIRST_DYNAMIC_LOSS_SCALE = 65536.0


def optimizer(cfg: Config, net: nn.Cell, rates: np.ndarray, device: Device) -> nn.Optimizer:
    """`rates` (steps,) holds the learning rate of every step."""
    weights = net.trainable_params()
    if cfg.optimizer == "rmsprop":
        options = RMSPropOptions(cfg.rmsprop_decay, cfg.momentum, cfg.epsilon)
        return rmsprop(weights, rates, options, cfg.weight_decay, has_kernel=not device.has_cpu_kernels)
    return sgd_momentum(weights, rates, cfg.momentum, cfg.weight_decay)


def step_options(cfg: Config, size: int, saturates: bool = False) -> StepOptions:
    default = FIRST_DYNAMIC_LOSS_SCALE if cfg.is_dynamic_loss_scale else FIXED_LOSS_SCALE
    scale = default if cfg.loss_scale is None else cfg.loss_scale
    return StepOptions(
        size,
        scale,
        cfg.is_dynamic_loss_scale,
        cfg.loss_scale_window,
        cfg.accumulation_steps,
        cfg.gradient_norm if cfg.enable_clip_norm else None,
        cfg.ema_decay if cfg.enable_ema else None,
        cfg.ema_warmup,
        saturates,
    )
