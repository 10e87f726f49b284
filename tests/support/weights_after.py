"""Child of tests on several ranks: trains a network without batch norm on the digits and saves its weights.

`weights_after.py DATA OUT STEPS GLOBAL_BATCH [GROUP_END ...] [--option value ...]` runs on the ranks that the launcher
gives.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mindlift.model_utils import device_adapter


def main(data: str, out: str, steps: int, global_batch: int, groups: list[int], words: list[str]) -> None:
    ranks = device_adapter.read_ranks()
    device_adapter.prepare_environment(ranks)
    device_adapter.connect(ranks, "CPU")
    import mindspore as ms
    import mindspore.nn as nn
    import numpy as np

    from mindlift.data.classification import split
    from mindlift.model_utils import collectives
    from mindlift.model_utils.config import config
    from mindlift.tasks.classification import task as classify
    from tests.support.few_steps import losses_of

    cfg = config.load(["--net", "densenet22", "--per_batch_size", str(global_batch // ranks.size), *words])
    options = classify.options(cfg, 1)
    samples = split.open_split(options, Path(data), train=True)
    options = classify.train_options(cfg, options, samples)
    ms.set_seed(1 + ranks.rank)  # different weights, so that the copy from rank 0 is needed
    network = nn.SequentialCell(
        nn.Conv2d(3, 8, 3, pad_mode="pad", padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Dense(128, 10),
    )
    collectives.copy_from_rank0(network.trainable_params(), ranks.rank, ranks.size)
    collectives.fuse_all_reduces(network.trainable_params(), groups, by_size=False)
    rates = np.full(steps, 0.001 if words else 0.1, np.float32)
    losses = losses_of(cfg, network, (samples, options), rates, ranks)
    weights = {parameter.name: parameter.asnumpy() for parameter in network.trainable_params()}
    np.savez(f"{out}_{ranks.rank}_of_{ranks.size}.npz", losses=np.array(losses), **weights)


if __name__ == "__main__":
    at = next((at for at, word in enumerate(sys.argv) if word.startswith("--")), len(sys.argv))
    steps, global_batch, *groups = map(int, sys.argv[3:at])
    main(*sys.argv[1:3], steps, global_batch, groups, sys.argv[at:])
    device_adapter.leave(0)
