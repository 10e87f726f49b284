"""Weights that anybody can draw again: each tensor from a generator that is seeded with its name."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LAYOUTS = HERE / "layouts.json.gz"  # source and net -> name -> shape, as the source's library has them
LOGITS = HERE / "logits.json"  # the same -> size of the images, and the logits that the library computes
EVERY = (
    9  # of maps of logits one in so many rows and columns is kept: no multiple of what logits are enlarged by
)


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that keep the activations of a deep network of the size of its inputs; variances are positive."""
    random = np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    )
    part = name.rpartition(".")[2]
    if part == "num_batches_tracked":
        return np.array(1000)
    if part in ("running_var", "moving_variance", "gamma") or (part == "weight" and len(shape) == 1):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    spread = 0.1 if len(shape) == 1 else math.sqrt(2 / math.prod(shape[1:]))
    return random.standard_normal(shape, np.float32) * np.float32(spread)


def weights(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    return {name: tensor(name, tuple(shape)) for name, shape in shapes.items()}


def images(side: int | tuple[int, int]) -> np.ndarray:
    """Two images (2, 3, height, width); `side` is both or (height, width)."""
    height, width = (side, side) if isinstance(side, int) else side
    return tensor("images", (2, 3, height, width)) * np.float32(math.sqrt(3 * height * width / 2))


def kept(logits: np.ndarray) -> np.ndarray:
    """What LOGITS holds of the output of a network."""
    return logits[..., ::EVERY, ::EVERY] if logits.ndim == 4 else logits


def layouts() -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress(LAYOUTS.read_bytes()))


def logits() -> dict[str, dict]:
    return json.loads(LOGITS.read_text(encoding="utf-8"))
