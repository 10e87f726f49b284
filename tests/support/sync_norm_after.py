"""Child of tests on several ranks: trains a network with batch norms on the digits and saves all that it holds.

`sync_norm_after.py DATA OUT STEPS GLOBAL_BATCH [--option value ...]` runs on the ranks that the launcher gives. The first
norm by itself, forward and backward, is saved too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mindlift.model_utils import device_adapter


def main(data: str, out: str, steps: int, global_batch: int, words: list[str]) -> None:
    ranks = device_adapter.read_ranks()
    device_adapter.prepare_environment(ranks)
    device_adapter.connect(ranks, "CPU")
    import mindspore as ms
    import numpy as np

    from mindlift.data.classification import split
    from mindlift.model_utils import devices
    from mindlift.model_utils.config import config
    from mindlift.tasks import network as networks
    from mindlift.tasks.classification import task as classify
    from tests.support.few_steps import losses_of

    cfg = config.load(
        ["--net", "densenet22", "--per_batch_size", str(global_batch // ranks.size), "--lr", "0.05", *words]
    )
    options = classify.options(cfg, 1)
    samples = split.open_split(options, Path(data), train=True)
    network = networks.network(cfg, devices.current(), trained_by=ranks.size)
    rates = np.full(steps, 0.05, np.float32)
    losses = losses_of(cfg, network, (samples, options), rates, ranks)
    held = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    np.savez(f"{out}_{ranks.rank}_of_{ranks.size}.npz", losses=np.array(losses), **held)
    norm = network.norm.set_train()
    rng = np.random.default_rng(5)
    shape = (global_batch, norm.num_features, 3, 2)
    x, weights = (rng.normal(2, 3, size=shape).astype(np.float32) for _ in range(2))
    norm.moving_mean.set_data(ms.ops.zeros_like(norm.moving_mean))
    norm.moving_variance.set_data(ms.ops.ones_like(norm.moving_variance))
    norm.gamma.set_data(ms.Tensor(rng.normal(1, 0.1, norm.gamma.shape), ms.float32))
    norm.beta.set_data(ms.Tensor(rng.normal(size=norm.beta.shape), ms.float32))

    class Parts(ms.nn.Cell):
        def __init__(self) -> None:
            super().__init__(auto_prefix=False)
            self.norm = norm
            self.gradient = ms.grad(self.weighted, (0,), ms.ParameterTuple([norm.gamma, norm.beta]))

        def weighted(self, x, weights):
            return (self.norm(x) * weights).sum()

        def construct(self, x, weights):
            return self.gradient(x, weights)

    mine = [ms.Tensor(array[ranks.rank :: ranks.size]) for array in (x, weights)]
    by_image, (by_gamma, by_beta) = Parts()(*mine)
    found = {
        "moving_mean": norm.moving_mean,
        "moving_variance": norm.moving_variance,
        "by_image": by_image[0] if isinstance(by_image, tuple) else by_image,
        "by_gamma": by_gamma,
        "by_beta": by_beta,
    }
    arrays = {name: each.asnumpy() for name, each in found.items()}
    given = {"x": x, "weights": weights, "gamma": norm.gamma.asnumpy(), "beta": norm.beta.asnumpy()}
    np.savez(f"{out}_norm_{ranks.rank}_of_{ranks.size}.npz", **arrays, **given)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:5]), sys.argv[5:])
    device_adapter.leave(0)
