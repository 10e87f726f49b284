"""Pairs of image and label: options, made-up pixels, rows of a pipeline."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from mindlift.data.segmentation import pairs as segmentation
from mindlift.data.segmentation import transform
from mindlift.data.segmentation.options import SegmentationOptions
from tests.support.batches import collect

OPTIONS = SegmentationOptions(
    dataset="voc",
    num_classes=11,
    image_size=(65, 65),
    per_batch_size=4,
    workers=2,
    seed=1,
    hflip=0.5,
    min_scale=0.5,
    max_scale=2.0,
    ignore_label=255,
    data_lst="",
    data_file="",
    skip_corrupt=False,
)


def noise(size, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 11, size, dtype=np.uint8)
    label[rng.random(size) < 0.1] = 255
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8), label


def rows(samples, options, part):
    return collect(segmentation.train_batches(samples, options, part))


def train_pair(image, label, rng, options):
    """A pair as it looks in a batch, in arrays that held something else."""
    pixels, classes = transform.empty(1, options)
    pixels[:], classes[:] = 99, 99
    transform.train_pair((image, label), rng, options, (pixels[0], classes[0]))
    return pixels[0], classes[0]


def grey_png(values, bits):
    """PNG of `bits` bits a pixel, which Pillow can't write. `values` (H, W) fit them, 8 / bits divides W + 1."""
    packed = np.packbits(
        np.unpackbits(np.pad(values, ((0, 0), (0, 1)))[..., None], axis=-1)[..., -bits:].reshape(
            len(values), -1
        ),
        axis=1,
    )
    lines = zlib.compress(np.pad(packed, ((0, 0), (1, 0))).tobytes())
    parts = (
        (b"IHDR", struct.pack(">2I5B", values.shape[1], len(values), bits, 0, 0, 0, 0)),
        (b"IDAT", lines),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
