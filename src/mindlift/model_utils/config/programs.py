"""Which options a program has a use for, and which ones say what weights were made for. Pure."""

from __future__ import annotations

from mindlift.model_utils.config.options import Option

GROUP = "inference"
EMBEDDED = ("digits", "vocdigits")  # data sets that come with the project
INFERENCE = {
    "export.py": frozenset("batch_size_export file_name file_format input_format class_names".split()),
    "predict.py": frozenset(
        "model_file top_k class_names output_json output_csv output_dir contact_sheet scales flip progress".split()
    ),
}
GENERAL = frozenset(
    "amp_level ckpt_path config_path device_target device_id cache_path threads debug".split()
)
OF_TRAINING = frozenset(
    """data_dir data_lst data_file min_scale max_scale ignore_label eval_data_dir augment train_resize
    rand_augment_num_layers rand_augment_magnitude mixup_alpha mixup_shares mixup_least_images hflip color_jitter
    skip_corrupt drop_remainder seed filter_head backbone enable_cache freeze_layer zero_gamma weight_init bn_momentum
    dropout freeze_bn recompute""".split()
)
NOT_OF_WEIGHTS = frozenset(
    "pretrained weights_channels num_parallel_workers allow_unused_classes per_batch_size".split()
)
FIXED_IN_MODELS = frozenset(
    "num_classes image_size eval_image_size height width per_batch_size amp_level".split()
)


def takes_inputs(prog: str) -> bool:
    """Whether words without a flag are files to work on."""
    return prog == "predict.py"


def has_use(prog: str, option: Option) -> bool:
    if prog not in INFERENCE:
        return option.group != GROUP
    if option.group in ("data", "model"):
        return option.name not in OF_TRAINING
    return option.name in GENERAL | INFERENCE[prog]


def belongs_to_weights(option: Option) -> bool:
    """Whether a training's value of this option has to hold wherever its weights are used."""
    is_part = option.group in ("data", "model") and option.name not in OF_TRAINING | NOT_OF_WEIGHTS
    return is_part or option.name == "amp_level"


def is_fixed_in_models(option: Option) -> bool:
    """Whether an exported model can't have another value; the rest prepares its images."""
    return option.group == "model" or option.name in FIXED_IN_MODELS
