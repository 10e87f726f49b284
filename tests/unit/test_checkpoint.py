from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace

import mindspore as ms
import mindspore.nn as nn
import numpy as np
import pytest

from mindlift.errors import CheckpointError, ConfigError, StorageError
from mindlift.runs import checkpoint, named_weights
from mindlift.runs import manifest as checkpoint_manifest
from tests.support.programs import ROOT

NAME = "stages.0.0.conv1.conv.weight"  # one that a ResNet has


def parameters(value: float = 1.0, shape=(2, 3)) -> list[ms.Parameter]:
    weight = ms.Parameter(ms.Tensor(np.full(shape, value), ms.float32), name=NAME)
    moment = ms.Parameter(ms.Tensor(np.full(shape, value / 2), ms.float32), name=f"moments.{NAME}")
    return [weight, moment]


class OneLayer(nn.Cell):
    def __init__(self, shape=(2, 3), name=NAME):
        super().__init__()
        self.weight = ms.Parameter(ms.Tensor(np.zeros(shape), ms.float32), name=name)


TRAINING = checkpoint.TrainingInfo("net", steps_per_epoch=10, seed=7)


def save(folder, step, value=1.0):
    return checkpoint.save(folder, parameters(value), step, TRAINING)


def test_saved_checkpoint_is_listed_and_restores_everything(tmp_path):
    file = save(tmp_path, 25, value=3.0)
    assert file.name == "net-3_5.ckpt"
    line = json.loads((tmp_path / checkpoint_manifest.MANIFEST).read_text())
    assert (line["epoch"], line["step"], line["seed"]) == (2, 25, 7)
    assert line["size_bytes"] == file.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "net-3_5.ckpt"]
    target = parameters(0.0)
    assert checkpoint.restore(file, target) == 25
    assert (target[0].asnumpy() == 3.0).all()
    assert (target[1].asnumpy() == 1.5).all()


def test_latest_passes_over_what_is_damaged_or_unlisted(tmp_path):
    assert checkpoint_manifest.latest(tmp_path) is None
    good, cut, flipped = (save(tmp_path, step) for step in (10, 20, 30))
    cut.write_bytes(cut.read_bytes()[:-7])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    (tmp_path / "net-9_9.ckpt").write_bytes(good.read_bytes())
    assert checkpoint_manifest.latest(tmp_path).file == good.name


def test_manifest_line_cut_short_by_a_kill_is_passed_over(tmp_path):
    save(tmp_path, 10)
    with open(tmp_path / checkpoint_manifest.MANIFEST, "a") as manifest:
        manifest.write('{"file": "net-2_1')
    assert checkpoint_manifest.latest(tmp_path).step == 10
    save(tmp_path, 20)
    assert checkpoint_manifest.latest(tmp_path).step == 20


def test_prune_keeps_the_newest(tmp_path):
    for step in (10, 20, 90, 100):
        save(tmp_path, step)
    checkpoint.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["net-10_10.ckpt", "net-9_10.ckpt"]
    assert [saved.step for saved in checkpoint_manifest.listed(tmp_path)] == [90, 100]


def test_candidates_are_newest_first(tmp_path):
    files = [save(tmp_path / "checkpoints", step) for step in (10, 20, 100)]
    assert named_weights.candidates(tmp_path) == files[::-1]
    assert named_weights.candidates(tmp_path / "checkpoints") == files[::-1]
    assert named_weights.candidates(files[0]) == [files[0]]
    (tmp_path / "checkpoints" / checkpoint_manifest.MANIFEST).unlink()
    for age, file in enumerate(files[::-1]):
        os.utime(file, (1e9 - age, 1e9 - age))
    assert named_weights.candidates(tmp_path) == files[::-1]


def test_weights_load_without_the_optimiser(tmp_path):
    network = OneLayer()
    checkpoint.load_weights(save(tmp_path, 10, 5.0), network, "resnet", {})
    assert (network.weight.asnumpy() == 5.0).all()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (OneLayer((2, 4)), rf"1 of other shape \({NAME} \(2, 3\) instead of \(2, 4\)\)"),
        (OneLayer(name="stem.conv.weight"), rf"1 missing \(stem\.conv\.weight\); 1 unexpected \({NAME}\)"),
    ],
)
def test_checkpoint_of_another_network_says_what_differs(tmp_path, network, message):
    before = network.weight.asnumpy().copy()
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load_weights(save(tmp_path, 10), network, "resnet", {})
    assert (network.weight.asnumpy() == before).all()


def test_a_checkpoint_says_for_which_network_it_is(tmp_path):
    """What changes the function of the same tensors can't be seen in them; the file notes it, resuming ignores it."""
    made_with = {"stem_pool": "same", "bn_eps": 1e-5}
    file = checkpoint.save(tmp_path, parameters(5.0), 10, replace(TRAINING, network=made_with))
    assert checkpoint.restore(file, parameters()) == 10
    network = OneLayer()
    for fitting in (made_with, {**made_with, "bn_eps": None}, {}):
        checkpoint.load_weights(file, network, "resnet", fitting)
    with pytest.raises(ConfigError, match=r"pass --stem_pool same --bn_eps 1e-05 \(now sym, 0\.0001\)"):
        checkpoint.load_weights(file, network, "resnet", {"stem_pool": "sym", "bn_eps": 1e-4})


@pytest.mark.parametrize("content", [b"", b"junk that is no checkpoint" * 9])
def test_unreadable_checkpoint_is_one_line(tmp_path, content):
    file = tmp_path / "x.ckpt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"can't read checkpoint .*x\.ckpt") as caught:
        checkpoint.read(file)
    assert "\n" not in str(caught.value)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*gone\.ckpt"):
        checkpoint.read(tmp_path / "gone.ckpt")
    with pytest.raises(CheckpointError, match=r"no \.ckpt, \.pth, \.pt, \.safetensors, \.npz files in"):
        named_weights.candidates(tmp_path)


def test_weights_alone_are_no_state_to_resume_from(tmp_path):
    ms.save_checkpoint([{"name": NAME, "data": parameters()[0]}], str(tmp_path / "w.ckpt"))
    with pytest.raises(CheckpointError, match="pass it as --pretrained instead of --resume"):
        checkpoint.restore(tmp_path / "w.ckpt", parameters())


FULL_DISK = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import signal
from mindlift.errors import StorageError
from tests.unit import test_checkpoint as t
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
t.save(folder, 10)
big = t.parameters(1.0, (1000, 1000))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    t.checkpoint.save(folder, big, 20, t.TRAINING)
except StorageError as err:
    print(err)
"""


def test_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """A file size limit makes writing fail midway, as a full disk does."""
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "can't save checkpoint" in done.stdout
    assert "earlier checkpoints are unharmed" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.jsonl", "net-1_10.ckpt"]
    assert checkpoint_manifest.latest(tmp_path).step == 10


def test_folder_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError, match="can't save checkpoint"):
        save(tmp_path / "f", 10)
