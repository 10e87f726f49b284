"""Images per second of input pipelines on one core, next to what each replaces.

    python benchmarks/bench_input.py
    python benchmarks/bench_input.py --rows bit_cifar10 --rounds 15

Each side runs in a process of its own on one core, all its threads included, and seconds are those of its CPU time. The
sides take turns, one round each, and the ratio is taken round by round; see benchmarks/README.md for what is compared.
A row is an entry of ROWS: two functions of a folder that has photographs in it, each of which makes batches for ever.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_seg_input import write_pairs
from figures import machine, names_of, positive, spread
from input_peers import BATCH, bit_in_pillow, in_mindspore, in_torch
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
RECIPES = {
    "bit_cifar10": ["--net", "bit_r101x3", "--dataset", "cifar10"],
    "resnet50_imagenet": ["--net", "resnet50", "--dataset", "imagenet", "--num_classes", "2"],
    "densenet121_imagenet": ["--net", "densenet121", "--dataset", "imagenet", "--num_classes", "2"],
}

TORCHVISION = "torchvision"
FEED_BATCH = 32  # of the feeds, and of a card that takes one every 15 ms
WAITING = 4  # batches, at least: what the queues of a pipeline hold when its turn begins
TILES, PHOTOGRAPHS = 2000, 64  # images of the two data sets that are made


class Row(NamedTuple):
    """(folder) -> batches, each with a length; the ratio is the second side's rate over the first's."""

    first: tuple[str, Callable[[Path], Iterator]]
    second: tuple[str, Callable[[Path], Iterator]]


# --- data: real photographs, in the layouts that the pipelines read


def make_data(folder: Path) -> None:
    """cifar/: tiles of scikit-learn's two photographs as CIFAR-10; tree/ and records/: both, cut to usual sizes."""
    from sklearn.datasets import load_sample_images

    from mindlift.cli import to_mindrecord
    from mindlift.data.classification import cifar10

    rng, photographs = np.random.default_rng(0), load_sample_images().images
    corners = rng.integers(0, (427 - 96, 640 - 96), (TILES, 2))
    tiles = [
        np.asarray(
            Image.fromarray(photographs[i % 2][y : y + 96, x : x + 96]).resize((32, 32), Image.Resampling.BOX)
        )
        for i, (y, x) in enumerate(corners)
    ]
    (folder / "cifar").mkdir()
    cifar10.write_batch(folder / "cifar/data_batch_1.bin", np.stack(tiles), np.arange(TILES) % 10)
    for i in range(PHOTOGRAPHS):
        y, x = rng.integers(0, 52, 2)
        path = folder / f"tree/{'ab'[i % 2]}/{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photographs[i % 2][y : y + 375, x : x + 500]).save(path, quality=90)
    (folder / "pairs").mkdir()
    write_pairs(folder / "pairs")
    words = [
        "--data_dir",
        folder / "tree",
        "--out",
        folder / "records",
        "--num_shards",
        4,
        "--progress",
        False,
    ]
    if code := to_mindrecord.main([str(word) for word in words]):
        raise SystemExit(code)


# --- ours


def recipe(name: str, folder: Path, data_format: str = "files"):
    """The options of a recipe, and its open training data."""
    from input_feeds import complain

    from mindlift.data.classification import split
    from mindlift.data.kernels import KERNELS
    from mindlift.model_utils.config import config
    from mindlift.tasks.classification import task as classify

    KERNELS.use(folder.parent / "kernels", complain)
    cfg = config.load([*RECIPES[name], "--per_batch_size", str(BATCH), "--data_format", data_format])
    options = classify.options(cfg, workers=1)
    return options, split.open_split(options, folder, train=True)


def ours(name: str, folder: Path, data_format: str = "files") -> Iterator:
    from mindlift.data.classification import pipeline
    from mindlift.data.order import BatchRange

    options, samples = recipe(name, folder, data_format)
    return (images for images, *_ in pipeline.train_batches(samples, options, BatchRange(0, 10**6)))


def bytes_of(folder: Path, data_format: str) -> Iterator:
    """The encoded images alone, in random order; as in a training, files have been read before."""
    _, samples = recipe("resnet50_imagenet", folder, data_format)
    rng = np.random.default_rng(0)
    while True:
        yield [samples.encoded_bytes(int(index)) for index in rng.integers(0, len(samples), BATCH)]


ROWS = {
    "mindspore_operators": Row(
        ("mindspore.dataset", lambda folder: in_mindspore(folder / "tree")),
        ("MindLift", lambda folder: ours("densenet121_imagenet", folder / "tree")),
    ),
    "torchvision": Row(
        (TORCHVISION, lambda folder: in_torch(folder / "tree")),
        ("MindLift", lambda folder: ours("densenet121_imagenet", folder / "tree")),
    ),
    "bit_cifar10": Row(
        ("port's order, all in Pillow", lambda folder: bit_in_pillow(folder / "cifar")),
        ("MindLift", lambda folder: ours("bit_cifar10", folder / "cifar")),
    ),
    "resnet50_imagenet": Row(
        ("files", lambda folder: ours("resnet50_imagenet", folder / "tree")),
        ("MindRecord", lambda folder: ours("resnet50_imagenet", folder / "records", "mindrecord")),
    ),
    "read_only": Row(
        ("files", lambda folder: bytes_of(folder / "tree", "files")),
        ("MindRecord", lambda folder: bytes_of(folder / "records", "mindrecord")),
    ),
}


# --- measuring


class Side:
    """One side's process, which runs for as long as it is told to and then says how many images it made."""

    def __init__(self, row: str, side: int, folder: Path, peers: str):
        python = peers if ROWS[row][side][0] == TORCHVISION else sys.executable
        command = [python, str(Path(__file__)), "--child", row, str(side), str(folder)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GLOG_v": "3"},
        )

    def images_per_second(self, seconds: float) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench_input: a process ended with code {self.process.wait()}; its error is above")
        return float(line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def child(row: str, side: int, folder: Path) -> None:
    """For each number on stdin make images for so many seconds of CPU time, on one core; print images per second."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if ROWS[row][side][0] != TORCHVISION:
        import mindspore.dataset as ds

        ds.config.set_prefetch_size(2)  # what waits in queues since the last turn was not made in this one
    answers, sys.stdout = sys.stdout, sys.stderr
    batches = ROWS[row][side][1](folder)
    for line in sys.stdin:
        for _ in range(WAITING):
            next(batches)
        started, done = time.process_time(), 0
        while (elapsed := time.process_time() - started) < float(line):
            done += len(next(batches))
        print(done / elapsed, file=answers, flush=True)


def compare(row: str, folder: Path, options: argparse.Namespace) -> dict:
    """Rounds of both sides in turn."""
    sides = [Side(row, side, folder, options.peers) for side in (0, 1)]
    for side in sides:
        side.images_per_second(options.seconds)
    rates: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for side, found in zip(sides, rates):
            found.append(side.images_per_second(options.seconds))
    for side in sides:
        side.end()
    return {
        "row": row,
        "n": options.rounds,
        "sides": [
            {
                "name": ROWS[row][side][0],
                "images_per_second": round(statistics.median(found), 1),
                "rounds": [round(rate, 1) for rate in found],
            }
            for side, found in enumerate(rates)
        ],
        "second_over_first": spread(b / a for a, b in zip(*rates)),
    }


def table(results: list[dict]) -> str:
    lines = ["| row | images/s | images/s | ratio (median, quartiles, n) |", "|---|---|---|---|"]
    for found in results:
        one, two = found["sides"]
        ratio = found["second_over_first"]
        low, high = ratio["quartiles"]
        lines.append(
            f"| {found['row']} | {one['name']}: {one['images_per_second']} | {two['name']}:"
            f" {two['images_per_second']} | **{ratio['median']:.2f}** ({low:.2f} - {high:.2f}, {found['n']}) |"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    from input_feeds import FEEDS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows",
        type=names_of(ROWS),
        help=f"of {', '.join(ROWS)}; not given: all, {TORCHVISION} where there is one",
    )
    parser.add_argument("--peers", default=sys.executable, help="the Python that has torchvision")
    parser.add_argument(
        "--feeds", type=names_of(FEEDS), default=",".join(FEEDS), help="of " + ", ".join(FEEDS)
    )
    parser.add_argument("--only", choices=["rows", "feeds"], help="measure only these")
    parser.add_argument(
        "--threads", type=positive, default=len(os.sched_getaffinity(0)), help="of a feed, at most"
    )
    parser.add_argument("--cores", type=positive, default=24, help="to simulate")
    parser.add_argument("--rounds", type=positive, default=7, help="timed rounds of each side")
    parser.add_argument("--seconds", type=float, default=2.0, help="least length of a round")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    parser.add_argument("--show", type=Path, help="print the tables of such a file, and measure nothing")
    return parser.parse_args()


def rows_of(options: argparse.Namespace) -> list[str]:
    if options.rows:
        return options.rows
    has_none = subprocess.run([options.peers, "-c", "import torchvision"], capture_output=True).returncode
    return [name for name in ROWS if name != TORCHVISION or not has_none]


def show(found: dict) -> None:
    from input_feeds import summary
    from input_feeds import table as feed_table

    for key, made in (("results", table), ("feeds", feed_table), ("feeds", summary)):
        if key in found:
            print(made(found[key]) + "\n")


def main() -> None:
    from input_feeds import measured

    options = arguments()
    if options.show:
        return show(json.loads(options.show.read_text()))
    found: dict[str, object] = {"machine": machine(threads=1)}
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder))
        if options.only != "feeds":
            found["results"] = [compare(row, Path(folder), options) for row in rows_of(options)]
        if options.only != "rows":
            counts = [*range(1, options.threads + 1)]
            found["feeds"] = [
                measured(name, Path(folder), FEED_BATCH, options.seconds, counts, options.cores)
                for name in options.feeds
            ]
    show(found)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    return None


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
