"""Images per second of the pipeline that DeepLabV3 trains from, next to the steps of its original in their order.

    python benchmarks/bench_seg_input.py
    python benchmarks/bench_seg_input.py --workers 1 --crop 769

Both read the same generated JPEGs of 500 x 375 pixels and grey labels from files, in as many threads, make batches of
the same size, and take turns, one round each. `original` decodes, scales, normalises, pads, crops and mirrors whole
images in float64, as the model zoo's src/mindlift/data/dataset.py does. The ratio is taken round by round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import positive, quartiles

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
SIZE, COUNT, CLASSES = (375, 500), 48, 21
MEAN, STD = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]  # of BGR


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=513)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=25, help="in a round")
    parser.add_argument("--rounds", type=positive, default=9)
    parser.add_argument("--output", type=Path, default=HERE / "results/seg_input.json")
    return parser.parse_args()


def write_pairs(folder: Path) -> None:
    """Pictures with edges, gradients and grain, and labels of smooth regions."""
    from PIL import Image

    from mindlift.data.segmentation import lists as seg_lists
    from mindlift.data.segmentation import voc

    pairs = []
    for i in range(COUNT):
        rng = np.random.default_rng(i)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(
            SIZE[::-1], Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 6, (*SIZE, 1))
        regions = Image.fromarray(rng.integers(0, CLASSES, (3, 4), np.uint8)).resize(
            SIZE[::-1], Image.Resampling.NEAREST
        )
        pairs.append(seg_lists.Pair(f"{i}.jpg", f"{i}.png"))
        pixels = (np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / pairs[-1].image, quality=92)
        (folder / pairs[-1].label).write_bytes(voc.as_png(np.asarray(regions), coloured=False))
    seg_lists.write(folder / seg_lists.TRAIN_LIST, pairs)


class Original:
    """The original's transformation of the bytes of a pair, with numpy's global random state, as it has."""

    def __init__(self, options):
        self.options = options

    def __call__(self, data: np.ndarray, label_data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import cv2

        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        label = cv2.imdecode(label_data, cv2.IMREAD_GRAYSCALE)
        scale = np.random.uniform(self.options.min_scale, self.options.max_scale)
        height, width = int(scale * image.shape[0]), int(scale * image.shape[1])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
        image = (image - np.array(MEAN)) / np.array(STD)
        h, w = self.options.image_size
        low, right = max(h - height, 0), max(w - width, 0)
        if low or right:
            image = cv2.copyMakeBorder(image, 0, low, 0, right, cv2.BORDER_CONSTANT, value=0)
            label = cv2.copyMakeBorder(label, 0, low, 0, right, cv2.BORDER_CONSTANT, value=255)
        top, left = (np.random.randint(0, side - crop + 1) for side, crop in zip(image.shape, (h, w)))
        image, label = image[top : top + h, left : left + w], label[top : top + h, left : left + w]
        if np.random.uniform(0.0, 1.0) > 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        return image.transpose(2, 0, 1).astype(np.float32), label.copy()


class Bytes:
    def __init__(self, samples, count: int):
        self.samples, self.count = samples, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int):
        index, source = int(item) % len(self.samples), self.samples.source
        return tuple(
            np.frombuffer(read(index), np.uint8) for read in (source.image_bytes, source.label_bytes)
        )


def of_original(samples, options, count: int):
    """Like ours, `count` batches."""
    import mindspore.dataset as ds

    source = Bytes(samples, count * options.per_batch_size)
    rows = ds.GeneratorDataset(
        source, ["data", "label"], shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )
    dataset = rows.map(
        Original(options), ["data", "label"], ["data", "label"], num_parallel_workers=options.workers
    )
    return dataset.batch(options.per_batch_size).create_tuple_iterator(num_epochs=1, do_copy=False)


def timed(batches, images: int) -> dict[str, float]:
    """Images per second, and milliseconds of all threads for one, which other jobs on the machine change less."""
    started, cpu = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    spent = time.process_time() - cpu
    return {"images_per_second": images / (time.perf_counter() - started), "cpu_ms": 1000 * spent / images}


def main() -> None:
    wanted = arguments()
    import cv2
    import mindspore as ms

    from mindlift.data.order import BatchRange
    from mindlift.data.segmentation import pairs as segmentation
    from mindlift.data.segmentation.options import SegmentationOptions

    options = SegmentationOptions(
        dataset="voc",
        num_classes=CLASSES,
        image_size=(wanted.crop, wanted.crop),
        per_batch_size=wanted.batch,
        workers=wanted.workers,
        seed=1,
        hflip=0.5,
        skip_corrupt=False,
        min_scale=0.5,
        max_scale=2.0,
        ignore_label=255,
        data_lst="",
        data_file="",
    )
    images = wanted.batches * wanted.batch
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder))
        samples = segmentation.open_split(options, Path(folder), train=True)
        for number in range(wanted.rounds + 1):
            ours = segmentation.train_batches(samples, options, BatchRange(0, wanted.batches))
            found = {
                "ours": timed(ours, images),
                "original": timed(of_original(samples, options, wanted.batches), images),
            }
            if number:  # the first one warms up
                rounds.append(found)
                print(f"round {number} of {wanted.rounds}: {found}", file=sys.stderr)
    names, kinds = ("ours", "original"), ("images_per_second", "cpu_ms")
    figures = {
        name: {kind: quartiles(each[name][kind] for each in rounds) for kind in kinds} for name in names
    }
    ratios = {
        "images_per_second": quartiles(
            each["ours"]["images_per_second"] / each["original"]["images_per_second"] for each in rounds
        ),
        "cpu_ms": quartiles(each["original"]["cpu_ms"] / each["ours"]["cpu_ms"] for each in rounds),
    }
    for name, found in {**figures, "ours over original": ratios}.items():
        for kind, (low, middle, high) in found.items():
            print(f"{name}, {kind}: {middle:.2f} ({low:.2f} - {high:.2f})")
    result = {
        "size": SIZE,
        "crop": wanted.crop,
        "workers": wanted.workers,
        "batch": wanted.batch,
        "images_per_round": images,
        "versions": {
            "mindspore": ms.__version__,
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "cpus": len(os.sched_getaffinity(0)),
        "n": len(rounds),
        "quartiles": figures,
        "ratio_quartiles": ratios,
        "rounds": rounds,
    }
    wanted.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
