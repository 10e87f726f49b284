"""From the configuration to the optimiser and the options of a step."""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import nn

from mindlift.model_utils.config.frozen import Config
from mindlift.model_utils.devices import Device
from mindlift.training.optimizers.adaptive import LAMB, Adam, AdamW, Lion
from mindlift.training.optimizers.formula import Plan
from mindlift.training.optimizers.groups import layer_scales, patterns_of
from mindlift.training.optimizers.momentum import LARS, sgd_momentum
from mindlift.training.optimizers.one_pass import OnePassAdam, OnePassMomentum, OnePassRMSProp
from mindlift.training.optimizers.rmsprop import RMSPropOptions, rmsprop
from mindlift.training.step import StepOptions

FIXED_LOSS_SCALE = 1024.0
FIRST_DYNAMIC_LOSS_SCALE = 65536.0
EPSILON = {"rmsprop": 1.0, "lamb": 1e-6}
USUAL_EPSILON = 1e-8
BETAS = {"lion": (0.9, 0.99)}
USUAL_BETAS = (0.9, 0.999)


def optimizer(cfg: Config, net: nn.Cell, rates: np.ndarray, device: Device) -> nn.Optimizer:
    """`rates` (steps,) holds the learning rate of every step."""
    plan, name = plan_of(cfg, net, rates), cfg.optimizer
    library = (
        device.kernels_at(cfg.amp_level) if all(each.dtype == ms.float32 for each in plan.parameters) else ""
    )
    epsilon = EPSILON.get(name, USUAL_EPSILON) if cfg.epsilon is None else cfg.epsilon
    if name == "rmsprop":
        options = RMSPropOptions(cfg.rmsprop_decay, cfg.momentum, epsilon)
        if library:
            return OnePassRMSProp(plan, options, library)
        return rmsprop(plan, options, has_kernel=not device.has_cpu_kernels)
    if name == "lars":
        return LARS(plan, cfg.momentum, cfg.lars_coefficient)
    if name == "lion":
        return Lion(plan, betas_of(cfg))
    if name in ("adam", "adamw") and library:
        return OnePassAdam(plan, betas_of(cfg), epsilon, library, apart=name == "adamw")
    if name in ("adam", "adamw", "lamb"):
        return {"adam": Adam, "adamw": AdamW, "lamb": LAMB}[name](plan, betas_of(cfg), epsilon)
    if library:
        return OnePassMomentum(plan, cfg.momentum, cfg.nesterov, library)
    return sgd_momentum(plan, cfg.momentum, cfg.nesterov)


def plan_of(cfg: Config, net: nn.Cell, rates: np.ndarray) -> Plan:
    """What every optimiser is given."""
    weights = net.trainable_params()
    names = [each.name for each in weights]
    excluded = patterns_of(cfg.weight_decay_exclude)
    scales = layer_scales(names, cfg.layer_decay) if cfg.layer_decay != 1 else [1.0] * len(names)
    return Plan(weights, rates, cfg.weight_decay, excluded, dict(zip(names, scales)))


def betas_of(cfg: Config) -> tuple[float, float]:
    first, second = BETAS.get(cfg.optimizer, USUAL_BETAS) if cfg.betas is None else cfg.betas
    return first, second


def step_options(cfg: Config, size: int, saturates: bool = False, per_epoch: int = 1) -> StepOptions:
    default = FIRST_DYNAMIC_LOSS_SCALE if cfg.is_dynamic_loss_scale else FIXED_LOSS_SCALE
    scale = default if cfg.loss_scale is None else cfg.loss_scale
    return StepOptions(
        size,
        scale,
        cfg.is_dynamic_loss_scale,
        cfg.loss_scale_window,
        cfg.accumulation_steps,
        cfg.gradient_norm if cfg.enable_clip_norm else None,
        cfg.clip_mode,
        cfg.ema_decay if cfg.enable_ema else None,
        cfg.ema_warmup,
        cfg.ema_start_epoch * per_epoch,
        saturates,
    )
