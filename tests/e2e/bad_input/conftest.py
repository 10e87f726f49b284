"""A finished run, and a folder with broken things."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from tests.support.programs import Finished


@pytest.fixture(scope="session")
def run(trained: Finished) -> Path:
    """The folder of a finished run of densenet22: three epochs of six steps."""
    return Path(trained.result["run"])


@pytest.fixture(scope="session")
def place(few_digits, run, tmp_path_factory) -> Path:
    """A folder with one broken thing under each name that the table below uses."""
    root = tmp_path_factory.mktemp("broken")
    (root / "empty").mkdir()
    (root / "good").symlink_to(few_digits)
    (root / "run").symlink_to(run)

    batch = (few_digits / "data_batch_1.bin").read_bytes()
    (root / "short").mkdir()
    (root / "short/data_batch_1.bin").write_bytes(batch[:-1000])
    (root / "label").mkdir()
    (root / "label/data_batch_1.bin").write_bytes(bytes([77]) + batch[1:])
    (root / "no_test").mkdir()
    (root / "no_test/data_batch_1.bin").write_bytes(batch)

    for name in ("tree", "tree_corrupt"):
        for label in ("cat", "dog"):
            folder = root / name / label
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = np.random.default_rng(i).integers(0, 255, (20, 20, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.jpg")
    corrupt = root / "tree_corrupt/cat/2.jpg"
    corrupt.write_bytes(corrupt.read_bytes()[:300])

    file = next((run / "checkpoints").glob("*.ckpt"))
    (root / "damaged.ckpt").write_bytes(file.read_bytes()[:5000])
    tensors = [{"name": name, "data": p} for name, p in ms.load_checkpoint(str(file)).items()]
    weights = [entry for entry in tensors if not entry["name"].startswith("moments.")]
    entries = [entry for entry in weights if entry["name"] not in ("step_num", "epoch_num", "seed")]
    ms.save_checkpoint(entries, str(root / "only_weights.ckpt"))
    entries[0] = {"name": "somewhere.else", "data": entries[0]["data"]}
    ms.save_checkpoint(entries, str(root / "other.ckpt"))
    (root / "text.txt").write_text("no checkpoint")

    (root / "without/mindspore").mkdir(parents=True)
    (root / "without/mindspore/__init__.py").write_text("raise RuntimeError('mindspore is imported')")

    (root / "broken.yaml").write_text("net: densenet22\nlr: [0.1\nmax_epoch: 3\n")
    (root / "tree.yaml").write_text("net: densenet22\ndataset: imagenet\nnum_classes: 2\n")
    (root / "unknown.yaml").write_text("net: densenet22\nlr_rate: 0.1\n")
    return root
