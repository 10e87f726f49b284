"""What a platform's arguments and variables ask for: which data, which weights, where results go. Pure.

| what | first that is set |
|---|---|
| data | multi_data_url, data_url, the variable data_url (ModelArts), DATASET_URL (c2net), data_dir |
| weights | pretrained, ckpt_url, checkpoint_url, pretrain_url, PRETRAIN_MODEL_URL (c2net) |
| results | train_url, result_url, model_url, the variable train_url (ModelArts), OUTPUT_URL (c2net) |

Values may be URLs, or local folders that the platform has filled before (ModelArts v2) or mounted
(c2net with DATA_DOWNLOAD_METHOD=MOUNT). `[]`, which OpenI writes for "none", counts as not set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping

from mindlift import json_text
from mindlift.errors import ConfigError

if TYPE_CHECKING:
    from mindlift.model_utils.config.options_types import Options

Env = Mapping[str, str]
NOTHING = ("", "[]", "None", "null")


@dataclass(frozen=True)
class Source:
    """A data set or a model: a URL or a local path, and the name that the platform knows it by."""

    url: str
    name: str = ""


@dataclass(frozen=True)
class Inputs:
    """`data` holds more than one source only if the user has selected several data sets."""

    data: tuple[Source, ...]
    weights: str
    output: str
    output_path: str = ""  # a local folder that the platform prescribes for results
    resume_url: str = ""  # where the platform uploads results to


def read_inputs(cfg: Options, env: Env) -> Inputs:
    """The inputs of a job; ConfigError for JSON that can't be read."""
    is_mounted = env.get("DATA_DOWNLOAD_METHOD", "").upper() == "MOUNT"
    data = read_list("multi_data_url", cfg.multi_data_url, "dataset") or as_sources(
        first(cfg.data_url, env.get("data_url", ""))
    )
    data = data or selected(env, "DATASET", "dataset", is_mounted)
    weights = first(cfg.pretrained, cfg.ckpt_url, cfg.checkpoint_url)
    models = read_list("pretrain_url", cfg.pretrain_url, "model")
    models = models or selected(env, "PRETRAIN_MODEL", "model", is_mounted)
    output = first(cfg.train_url, cfg.result_url, cfg.model_url, env.get("train_url", ""))
    local_output = env.get("LOCAL_OUTPUT_PATH", "") if not output else ""
    if not output:
        output = local_output if is_mounted else first(env.get("OUTPUT_URL", ""))
    return Inputs(
        data or as_sources(cfg.data_dir),
        weights or (models[0].url if models else ""),
        output,
        local_output,
        first(cfg.resume_url),
    )


def first(*values: str) -> str:
    return next((value for value in values if value.strip() not in NOTHING), "")


def as_sources(url: str) -> tuple[Source, ...]:
    return (Source(url),) if first(url) else ()


def selected(env: Env, what: str, kind: str, is_mounted: bool) -> tuple[Source, ...]:
    """What c2net's variables name: by URL, or mounted as <LOCAL_..._PATH>/<name>."""
    sources = read_list(f"{what}_URL", env.get(f"{what}_URL", ""), kind)
    folder = env.get(f"LOCAL_{what}_PATH", "")
    if not is_mounted or not folder:
        return sources
    return tuple(Source(f"{folder}/{source.name}".rstrip("/"), source.name) for source in sources)


def read_list(name: str, text: str, kind: str) -> tuple[Source, ...]:
    """`[{"dataset_url": ..., "dataset_name": ...}]`, or a plain URL in its place."""
    text = text.strip()
    if text in NOTHING:
        return ()
    if text[0] not in "[{":
        return as_sources(text)
    expected = (
        f'expected a JSON list such as [{{"{kind}_url": "obs://bucket/folder/", "{kind}_name": "name"}}]'
    )
    try:
        items = json_text.parse(text)
        items = items if isinstance(items, list) else [items]
        return tuple(Source(item[f"{kind}_url"], item.get(f"{kind}_name") or "") for item in items)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{name} is {text[:200]!r}; {expected}") from None


def main_source(sources: tuple[Source, ...], data_url: str) -> Source | None:
    """The one of several data sets that `data_url` names, if it names one."""
    wanted = data_url.rstrip("/")
    return next((source for source in sources if source.url.rstrip("/") == wanted), None)


def shards_of(files: list[str], node: int, nodes: int) -> list[str]:
    """Every `nodes`-th shard of a data set from the `node`-th on, with its index file; other files go everywhere.

    A shard is a file `<name>.mindrecord<number>`; its index has `.db` after that.
    """
    shards = sorted(name for name in files if is_shard(name))
    mine = set(shards[node::nodes])
    return [name for name in files if shard_of(name) in mine or not shard_of(name)]


def shard_of(name: str) -> str:
    """The shard that a file is or belongs to; '' for other files."""
    base = name[:-3] if name.endswith(".db") else name
    return base if is_shard(base) else ""


def is_shard(name: str) -> bool:
    stem, found, number = name.rpartition(".mindrecord")
    return bool(found) and bool(stem) and (number == "" or number.lstrip("-_").isdigit())
