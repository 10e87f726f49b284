"""The variables of launchers as numbers; RankError for those that are half set or no numbers."""

from __future__ import annotations

from typing import Mapping

from mindlift.errors import RankError

Env = Mapping[str, str]


def pair(env: Env, rank_name: str, size_name: str) -> tuple[int, int]:
    rank, size = number(env, rank_name), number(env, size_name, least=1)
    if rank is None or size is None:
        have, lack = (rank_name, size_name) if size is None else (size_name, rank_name)
        raise RankError(f"{have}={env[have]}, but {lack} is not set: set both, or neither for one process")
    return rank, size


def agree(env: Env, name: str, value: int, other: str) -> None:
    found = number(env, name)
    if found is not None and found != value:
        raise RankError(f"{name}={found} contradicts {other}={value}: unset what an earlier job left behind")


def number(env: Env, name: str, least: int = 0) -> int | None:
    text = env.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise RankError(f"{name}={text}: expected a whole number from {least} on")
    return int(text)


def has(env: Env, *names: str) -> bool:
    return any(env.get(name, "").strip() for name in names)
