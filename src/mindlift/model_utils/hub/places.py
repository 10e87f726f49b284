"""Where published weights are fetched from and kept: addresses, mirrors, and the caches of other programs.

| variable | what it says | whose it is |
|---|---|---|
| HF_ENDPOINT | the hub of timm: and hf:, such as a mirror; https://huggingface.co | huggingface_hub, constants.py |
| HF_TOKEN | what a private or gated repository wants; sent to that hub only | the same |
| HF_HUB_OFFLINE | 1: that hub is not asked | the same |
| HF_HUB_CACHE, HF_HOME | where huggingface_hub keeps files | the same |
| TORCH_HOME | where torch.hub keeps torchvision's | torch.hub |
| MINDLIFT_WEIGHTS_MIRROR | a server that has the others as <mirror>/<host>/<path> | this project |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Mapping
from urllib.parse import urlsplit

from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.models.weights.published import Published

HUB = "https://huggingface.co"
MIRROR = "MINDLIFT_WEIGHTS_MIRROR"
TRUE = ("1", "ON", "YES", "TRUE")  # huggingface_hub's
Env = Mapping[str, str]


def endpoint(env: Env) -> str:
    return address(env, "HF_ENDPOINT") or HUB


def address(env: Env, name: str) -> str:
    """The server that a variable names, without a slash at its end; '' for none. ConfigError if it is none."""
    given = env.get(name, "").strip().rstrip("/")
    parts = urlsplit(given)
    if given and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
        raise ConfigError(
            f"{name}={given.rpartition('@')[2]}: expected an address such as https://hub.example.com"
        )
    return given


def is_offline(env: Env) -> bool:
    return any(env.get(name, "").upper() in TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def urls(weights: Published, env: Env) -> list[str]:
    """Where the files of `weights` are, in the order in which they are asked for."""
    if weights.repo:
        base = f"{endpoint(env)}/{weights.repo}/resolve/{weights.revision.replace('/', '%2F')}/"
    else:
        mirror, parts = address(env, MIRROR), urlsplit(weights.url)
        base = f"{mirror}/{parts.netloc}{parts.path}" if mirror else weights.url
    return [base + file for file in weights.files]


def headers(weights: Published, env: Env) -> dict[str, str]:
    token = (env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or "").strip() if weights.repo else ""
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError("HF_TOKEN holds blanks or letters that no token has; set it anew")
    return {"Authorization": f"Bearer {token}"} if token else {}


def folder(weights: Published, cache: Path) -> Path:
    """Of these weights below the cache."""
    return cache.joinpath("weights", *weights.name.split(":"))


def of_others(weights: Published, env: Env) -> Iterator[Path]:
    """Files that other programs may have fetched already."""
    if weights.repo:
        yield from in_hub_cache(weights, env)
        return
    folders = {
        "torchvision": Path(expanded(env.get("TORCH_HOME") or f"{user_cache(env)}/torch"), "hub/checkpoints"),
        "mindcv": Path(expanded("~/.mindspore/models")),
    }
    if weights.source in folders:
        yield from (folders[weights.source] / file for file in weights.files)


def in_hub_cache(weights: Published, env: Env) -> Iterator[Path]:
    """huggingface_hub's layout: refs/<revision> has the commit, snapshots/<commit>/ links to blobs/<SHA-256>."""
    home = env.get("HF_HOME") or f"{user_cache(env)}/huggingface"
    hub = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    repository = Path(expanded(hub), f"models--{weights.repo.replace('/', '--')}")
    try:
        commit = (repository / "refs" / weights.revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commit = weights.revision  # perhaps one
    if commit.isalnum():
        yield from (repository / "snapshots" / commit / file for file in weights.files)


def user_cache(env: Env) -> str:
    return env.get("XDG_CACHE_HOME") or "~/.cache"
