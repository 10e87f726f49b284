"""Child of test_ranks_equal.py: a device that saturates overflows on the last rank only, in the second of three steps.

`overflow_after.py OUT` runs on the ranks that the launcher gives; each writes what it saw of every step.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mindlift.model_utils import device_adapter


def main(out: str) -> None:
    ranks = device_adapter.read_ranks()
    device_adapter.prepare_environment(ranks)
    device_adapter.connect(ranks, "CPU")
    from tests.support.saturating import batch, trainer

    step, weight = trainer(size=ranks.size, loss_scale=8.0, dynamic_loss_scale=True)
    seen = []
    for number in range(3):
        overflows = number == 1 and ranks.rank == ranks.size - 1
        _, finite = step([batch(1e5 if overflows else 1.0)])
        seen.append([finite, float(step.scale.value.asnumpy()), float(weight.asnumpy()[0])])
    Path(f"{out}_{ranks.rank}.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
    device_adapter.leave(0)
