"""The one rule for options that name places: what may be a URL, and what a path of this machine is. Pure but for `~`."""

from __future__ import annotations

from collections.abc import Mapping

from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.model_utils.config.options import Value, show
from mindlift.storage.url import ANY, is_remote

IN_BUCKET = "obs://bucket/folder/"
RESULTS = "pass it as --train_url, with --enable_modelarts True (results), or as --pretrained (weights)"
COPY = "give a path here, and copy the file yourself"
# Paths of this machine, and what to do with a URL.
LOCAL = {
    "data_dir": "pass it as --data_url, with --enable_modelarts True",
    "eval_data_dir": "pass it as --data_url, with --enable_modelarts True",
    "data_file": "pass its folder as --data_url, with --enable_modelarts True",
    "data_lst": COPY,
    "ckpt_path": RESULTS,
    "log_path": "leave it out: the logs are in the run, which --train_url publishes",
    "eval_path": COPY,
    "resume": "pass the run as --resume_url, with --enable_modelarts True",
    "config_path": COPY,
    "cache_path": "give a folder here",
    "blacklist": COPY,
    "class_names": COPY,
    "model_file": COPY,
    "file_name": COPY,
    "output_json": COPY,
    "output_csv": COPY,
    "output_dir": COPY,
    "output_features": COPY,
    "contact_sheet": COPY,
}
# Places in a bucket, or paths.
ANYWHERE = (
    *("data_url", "train_url", "pretrained", "teacher_weights"),
    *("pretrain_url", "ckpt_url", "checkpoint_url"),
)
BY_PLATFORMS = ("result_url", "model_url", "resume_url")
COUNTS = (
    "data_dir",
    "data_lst",
    "data_file",
)  # written into the run as they are, and expanded when they are read


def settled(values: Mapping[str, Value]) -> dict[str, Value]:
    """`values` with `~` expanded, once, in those that are paths; ConfigError for a URL that can't work."""
    found = dict(values)
    for name, advice in LOCAL.items():
        text = values.get(name)
        if not isinstance(text, str) or not text:
            continue
        if ANY.match(text):
            raise ConfigError(f"--{name} {text} is a URL; {advice}")
        found[name] = text if name in COUNTS or text == "~" else expanded(text)
    for name in (*ANYWHERE, *BY_PLATFORMS):
        text = values.get(name)
        if not isinstance(text, str) or not text:
            continue
        if ANY.match(text) and not is_remote(text) and not text.startswith("file:///"):
            scheme = text.partition(":")[0]
            raise ConfigError(
                f"--{name} {show(text)}: {scheme}:// is not understood; write {IN_BUCKET}, s3://bucket/folder/ or a path"
            )
        found[name] = text if is_remote(text) or ANY.match(text) or text == "~" else expanded(text)
    return found
