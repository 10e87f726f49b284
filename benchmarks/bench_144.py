"""Images per second of the 144-crop evaluation next to one crop per forward pass, as its original was written.

    python benchmarks/bench_144.py
    python benchmarks/bench_144.py --net densenet121 --size 224 --scales 256,288,320,352

Both evaluate the same generated photographs with the same weights in one process, turn by turn, and have to agree on
every mean. `single` decodes an image once and passes each of its 144 crops, mirrored ones included, through the network
by itself; ours passes batches of crops, and equal squares of a square image once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import positive, quartiles, spread
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
SHAPES = ((375, 500), (500, 375), (500, 500), (333, 500))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", default="inception_v4")
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--scales", default="320,352,384,448")
    parser.add_argument("--rounds", type=positive, default=4, help="images, one per round")
    parser.add_argument(
        "--batch", type=int, default=24, help="crops in one of our forward passes, without mirrors"
    )
    parser.add_argument("--output", type=Path, default=HERE / "results/crops.json")
    return parser.parse_args()


class Photographs:
    """Generated JPEGs of usual sizes, as samples."""

    skipped = 0

    def __init__(self, folder: Path, count: int):
        self.files = []
        rng = np.random.default_rng(0)
        for i in range(count):
            height, width = SHAPES[i % len(SHAPES)]
            noise = Image.fromarray(rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8))
            self.files.append(str(folder / f"{i}.jpg"))
            noise.resize((width, height), Image.Resampling.BICUBIC).save(self.files[-1], quality=90)

    def paths_of(self, index: int) -> tuple[str, ...]:
        """None has to be fetched."""
        return ()

    def pixels(self, index: int) -> np.ndarray:
        with Image.open(self.files[index]) as picture:
            return np.asarray(picture.convert("RGB"))


def one_by_one(network, pixels: np.ndarray, scales: list[int], size: int, mean, std) -> np.ndarray:
    import mindspore as ms

    from mindlift.data.classification import crops

    total: np.ndarray | float = 0.0
    for crop, weight in crops.crops(pixels, scales, size):
        for _ in range(weight):
            for view in (crop, crop[:, ::-1]):
                x = ((view - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
                logits = network(ms.Tensor(x)).asnumpy()[0].astype(np.float64)
                exponentials = np.exp(logits - logits.max())
                total = total + exponentials / exponentials.sum()
    return np.asarray(total) / crops.views_of(scales)


def main() -> None:
    options = arguments()
    from mindlift.model_utils import device_adapter

    ranks = device_adapter.read_ranks({})
    device_adapter.prepare_environment(ranks)
    device_adapter.connect(ranks, "CPU")
    import mindspore as ms

    from mindlift.model_utils import devices
    from mindlift.model_utils.config import config
    from mindlift.models import layers
    from mindlift.tasks import network as build
    from mindlift.tasks.classification import multi_crop

    trained = config.load(["--net", options.net, "--dataset", "imagenet", "--image_size", str(options.size)])
    cfg = trained.replace(crop_scales=options.scales, crop_batch=options.batch)
    scales, (mean, std) = list(cfg.crop_scales), ([127.5] * 3, [127.5] * 3)
    source = build.network(cfg, devices.of(devices.CPU))
    network = build.inference_network(cfg, source, devices.of(devices.CPU))
    layers.refill(network, source)
    network.set_train(False)
    cell = multi_crop.CropProbabilities(network, mean, std).set_train(False)
    one = ms.jit(network.construct) if network is source else network
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        samples = Photographs(Path(folder), options.rounds + 1)
        for index in range(options.rounds + 1):
            started = time.perf_counter()
            ((_, ours),) = multi_crop.averages(cell, np.array([index]), samples, cfg, 2)
            middle = time.perf_counter()
            theirs = one_by_one(one, samples.pixels(index), scales, options.size, mean, std)
            ended = time.perf_counter()
            difference = float(np.abs(ours - theirs).max())
            assert difference < 1e-5, difference
            if index:  # the first one compiles
                rows.append(
                    {"ours_s": middle - started, "single_s": ended - middle, "difference": difference}
                )
                print(f"image {index} of {options.rounds}: {rows[-1]}", file=sys.stderr)
    ratios = [row["single_s"] / row["ours_s"] for row in rows]
    low, middle, high = quartiles(ratios)
    print(
        f"{options.net} {options.size}: {1 / statistics.median(row['ours_s'] for row in rows):.3f} images/s; "
        f"ours over single crops {middle:.2f} ({low:.2f} - {high:.2f}, n = {len(rows)})"
    )
    if options.output:
        options.output.write_text(
            json.dumps(
                {
                    "net": options.net,
                    "size": options.size,
                    "batch": options.batch,
                    "mindspore": ms.__version__,
                    "ratio": {**spread(ratios), "n": len(rows)},
                    "rows": rows,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
