"""A few images to segment with their labels, and weights of a small network that find several classes on them."""

from __future__ import annotations

from pathlib import Path

import mindspore as ms
import numpy as np
from PIL import Image

from mindlift.data.embedded import digits as demo
from mindlift.data.embedded import vocdigits as demo_voc
from mindlift.data.segmentation import lists as seg_lists
from mindlift.data.segmentation import voc
from mindlift.data.segmentation.transform import scaled
from mindlift.model_utils import devices
from mindlift.model_utils.config import config
from mindlift.tasks import network as build

SIDE = 65
NET = ["--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--image_size", SIDE]


def write_images(root: Path, count: int) -> list[Path]:
    """`root`/images, `root`/labels and the list `root`/lst.txt; returns the images."""
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    digits = next(iter(demo.split_digits()))
    names = [f"{chr(97 + number)}_{number}" for number in range(count)]
    for number, name in enumerate(names):
        image, label = demo_voc.picture(digits, np.random.default_rng(number))
        Image.fromarray(image).save(root / f"images/{name}.png")
        (root / f"labels/{name}.png").write_bytes(voc.as_png(label, coloured=True))
    pairs = [seg_lists.Pair(f"images/{name}.png", f"labels/{name}.png") for name in names]
    seg_lists.write(root / "lst.txt", pairs)
    return [root / pair.image for pair in pairs]


def save_weights(path: Path, images: list[Path]) -> Path:
    """Random ones whose classes are about equally frequent on `images`; untrained ones find a single class everywhere."""
    cfg = config.load([str(word) for word in NET])
    network, rng = build.network(cfg, devices.of(devices.CPU)).set_train(False), np.random.default_rng(0)
    weight = network.classifier.weight
    weight.set_data(ms.Tensor(rng.normal(size=weight.shape), ms.float32))
    pixels = [scaled(np.asarray(Image.open(file)), SIDE)[0].transpose(2, 0, 1) for file in images]
    logits = network(ms.Tensor(np.stack(pixels))).asnumpy()
    network.classifier.bias.set_data(ms.Tensor(-logits.mean((0, 2, 3))))
    ms.save_checkpoint(network, str(path))
    return path
