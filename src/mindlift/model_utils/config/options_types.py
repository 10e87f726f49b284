"""The types of the options, for mypy: written by `python -m mindlift.model_utils.config.generate`.

Made from default_config.yaml; a test compares. Nothing imports this at run time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What `Config` answers for the name of an option; None where null is the default."""

    # data
    dataset: str
    data_dir: str
    data_format: str
    data_lst: str
    data_file: str
    labels: str
    eval_data_dir: str
    validation_split: float
    num_classes: int
    allow_unused_classes: bool
    image_size: tuple[int, int]
    height: int | None
    width: int | None
    eval_image_size: tuple[int, int] | None
    interpolation: str
    per_batch_size: int
    num_parallel_workers: int
    augment: str
    crop_scale: tuple[float, ...]
    crop_ratio: tuple[float, ...]
    train_resize: tuple[int, int] | None
    auto_augment: str
    rand_augment_num_layers: int
    rand_augment_magnitude: float
    hflip: float
    vflip: float
    grayscale: float
    gaussian_blur: float
    random_erase: float
    random_erase_mode: str
    random_erase_count: int
    random_erase_scale: tuple[float, ...]
    random_erase_ratio: tuple[float, ...]
    random_erase_resplit: bool
    aug_repeats: int
    aug_splits: int
    split_bn: bool
    color_jitter: float
    eval_resize: int
    crop_pct: float | None
    normalize: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    min_scale: float
    max_scale: float
    ignore_label: int
    sampler: str
    mixup_alpha: float
    cutmix_alpha: float
    mixup_prob: float
    mixup_switch_prob: float
    mixup_shares: str
    mixup_off_epoch: int
    mixup_least_images: int
    enable_cache: bool
    skip_corrupt: bool
    drop_remainder: bool
    seed: int

    # evaluation
    all: bool
    blacklist: str
    crops: int
    crop_scales: tuple[int, ...]
    crop_batch: int
    scales: tuple[float, ...]
    flip: bool
    overlays: int
    eval_path: str

    # model
    net: str
    net_args: str
    pretrained: str
    filter_head: bool
    weights_channels: str
    allow_nan: bool
    transition_pool: str
    stem_pool: str
    stem_norm: bool
    conv_pad: str
    zero_gamma: bool
    weight_init: str
    bn_eps: float | None
    bn_momentum: float | None
    dropout: float | None
    head_dropout: float | None
    drop_path: float | None
    aspp_rates: str | None
    freeze_bn: bool
    std_eps: float | None
    recompute: bool
    sync_bn: bool
    teacher: str
    teacher_weights: str
    distill: str
    distill_alpha: float
    distill_temperature: float
    freeze: str
    unfreeze_epoch: int | None
    freeze_layer: str
    backbone: str

    # optimiser
    optimizer: str
    momentum: float
    nesterov: bool
    betas: tuple[float, ...] | None
    rmsprop_decay: float
    epsilon: float | None
    lars_coefficient: float
    weight_decay: float
    weight_decay_exclude: str
    layer_decay: float
    loss: str
    bce_sum: bool | None
    bce_target_threshold: float | None
    bce_pos_weight: str
    jsd_alpha: float
    focal_gamma: float
    focal_alpha: float
    asl_gamma_neg: float
    asl_gamma_pos: float | None
    asl_clip: float
    class_weights: str
    label_smooth: bool
    label_smooth_factor: float
    label_smoothing: float
    enable_clip_norm: bool
    gradient_norm: float
    clip_mode: str
    enable_ema: bool
    ema_decay: float
    ema_start_epoch: int
    ema_warmup: bool
    loss_scale: float | None
    is_dynamic_loss_scale: bool
    loss_scale_window: int
    divergence_factor: float
    amp_level: str
    amp_dtype: str
    accumulation_steps: int

    # schedule
    max_epoch: int
    max_steps: int | None
    lr_scheduler: str
    lr: float
    lr_base_batch: int | None
    lr_base_scale: str
    lr_init: float
    lr_decay: float
    lr_num_epochs_per_decay: float
    lr_decay_step: int
    lr_decay_rate: float
    lr_epochs: tuple[int, ...]
    lr_gamma: float
    lr_power: float
    eta_min: float
    T_max: int | None
    lr_cycle_mul: float
    lr_cycle_decay: float
    plateau_patience: int
    warmup_epochs: float
    warmup_steps: int | None
    phase_epochs: tuple[int, ...]
    phase_lr: tuple[float, ...]
    phase_warmup: tuple[int, ...]
    phase_decay: tuple[float, ...]
    phase_decay_epochs: tuple[int, ...]
    phase_reading: str
    phase: int | None

    # checkpoint
    ckpt_path: str
    ckpt_interval: int
    save_checkpoint_epochs: int | None
    ckpt_minutes: float | None
    save_checkpoint: bool
    keep_checkpoint_max: int
    keep_best: int
    best_metric: str
    min_delta: float
    early_stop: int
    max_hours: float | None
    run_eval: bool
    eval_interval: int
    eval_steps: int
    eval_start_epoch: int
    is_save_on_master: bool
    resume: str

    # platform
    config_path: str
    device_target: str
    is_distributed: bool
    rank: int | None
    group_size: int | None
    device_id: int | None
    all_reduce_fusion: tuple[int, ...] | None
    parameter_server: bool
    dataset_sink_mode: bool | None
    enable_modelarts: bool
    data_url: str
    train_url: str
    multi_data_url: str
    pretrain_url: str
    ckpt_url: str
    checkpoint_url: str
    result_url: str
    model_url: str
    resume_url: str
    cache_path: str
    stage_mode: str
    stage: str
    data_index: str
    cache_gb: float
    stage_timeout: float
    join_timeout: float | None
    publish_timeout: float
    grampus_code_file_name: str
    log_path: str
    log_style: str
    log_interval: int
    tensorboard: bool
    loggers: str
    progress: bool | None
    compile_cache: bool | None
    cpu_kernels: bool | None
    any_mindspore: bool
    threads: int | None
    json: bool
    debug: bool

    # inference
    batch_size_export: int | None
    file_name: str
    file_format: str
    model_file: str
    input_format: str
    top_k: int
    threshold: float
    class_names: str
    output_json: str
    output_csv: str
    output_dir: str
    contact_sheet: str
    feature_stage: int
    output_features: str
