"""What each recipe's input costs: on a core, under Python's interpreter lock, and with more threads than there are cores.

A feed is an endless series of functions of no arguments, each of which makes one image as a worker thread does.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from lock_share import locked_share

RECIPES = {
    "densenet100_cifar10": (["--net", "densenet100", "--dataset", "cifar10"], "cifar"),
    "bit_cifar10": (["--net", "bit_r101x3", "--dataset", "cifar10"], "cifar"),
    "resnet50_imagenet": (["--net", "resnet50", "--dataset", "imagenet"], "tree"),
    "densenet121_imagenet": (["--net", "densenet121", "--dataset", "imagenet"], "tree"),
    "inception_v4_imagenet": (["--net", "inception_v4", "--dataset", "imagenet"], "tree"),
    "bit_hyperrule": (
        ["--config_path", "src/mindlift/models/bit/recipes/hyperrule.yaml", "--dataset", "imagenet"],
        "tree",
    ),
    "deeplab_v3_voc": (["--net", "deeplab_v3_s16", "--dataset", "voc"], "pairs"),
}
FEEDS = (*RECIPES, "resnet50_evaluation", "inception_v4_144_crops")
CLASSES = {"cifar": "10", "tree": "2", "pairs": "21"}
# Calls that take long and need no lock; what they take of it for their arguments is left out of a simulation.
UNLOCKED: list[tuple[Any, str]] = [
    *(
        (cv2, name)
        for name in (
            "LUT",
            "addWeighted",
            "bitwise_not",
            "calcHist",
            "convertScaleAbs",
            "cvtColor",
            "flip",
            "imdecode",
            "mean",
            "minMaxLoc",
            "resize",
            "split",
            "transform",
        )
    ),
]
COMPILED = "grey", "jpeg_part", "resampled", "transformed", "write_planes"  # the same of data/kernels.py
NEEDED = {  # images per second of eight cards, as others published them: docs/recipes.md
    "bit_cifar10": 540,
    "resnet50_imagenet": 17_356,
    "densenet121_imagenet": 6_000,
    "inception_v4_imagenet": 4_430,
    "deeplab_v3_voc": 495,
}
CARDS = 8
GOAL, SEGMENTATION_GOAL = 5_000, 500  # images per second of a rank, at least, however many cores it has
SHORT_S = 20e-6  # a call of so few seconds is not slept for


class Feed(NamedTuple):
    """`source` has batches of `size` rows."""

    source: Any
    size: int

    def rows(self, batches: range) -> Iterator[Callable[[], None]]:
        for number in batches:
            unfilled = self.source.batch(number)
            for row in range(self.size):
                yield partial(unfilled.fill, row)


class Crops:
    """144 crops of an image as a row of a batch."""

    def __init__(self, samples: Any, scales: tuple[int, ...], size: int):
        self.samples, self.scales, self.size = samples, scales, size

    def batch(self, number: int) -> Any:
        from mindlift.data.classification import crops
        from mindlift.data.workers import Unfilled

        def fill(row: int) -> None:
            pixels = self.samples.pixels(row % len(self.samples))
            list(crops.crops(pixels, self.scales, self.size))

        return Unfilled((), fill)


class Endless:
    """A source that begins anew after its last batch."""

    def __init__(self, source: Any, numbers: range):
        self.source, self.numbers = source, numbers

    def batch(self, number: int) -> Any:
        return self.source.batch(self.numbers[number % len(self.numbers)])


def complain(why: Exception) -> None:
    """Figures without compiled kernels are others."""
    raise SystemExit(f"bench_input: {why}")


def feed(name: str, folder: Path, batch: int, as_pixels: bool) -> Feed:
    """`as_pixels`: as an accelerator takes images, which normalises them itself."""
    from dataclasses import replace

    from mindlift.data.kernels import KERNELS
    from mindlift.data.order import BatchRange
    from mindlift.model_utils.config import config
    from mindlift.tasks import base

    KERNELS.use(folder / "kernels", complain)
    KERNELS.get()

    recipe = {"resnet50_evaluation": "resnet50_imagenet", "inception_v4_144_crops": "inception_v4_imagenet"}
    words, data = RECIPES[recipe.get(name, name)]
    cfg = config.load([*words, "--num_classes", CLASSES[data], "--per_batch_size", str(batch)])
    task = base.of(cfg)
    options = replace(task.options(cfg, workers=1), as_pixels=as_pixels)
    samples = task.open_split(options, folder / data, train=name in RECIPES)
    if name == "inception_v4_144_crops":
        return Feed(Crops(samples, cfg.crop_scales, cfg.image_size[0]), 4)
    if name == "resnet50_evaluation":
        from mindlift.data.classification import pipeline

        evaluated = pipeline.eval_batches(samples, options, 0, 1)
        return Feed(Endless(evaluated.source, evaluated.numbers), batch)
    return Feed(task.train_batches(samples, options, BatchRange(0, 10**6)).source, batch)


# --- the interpreter lock


@contextmanager
def replaced(by: Callable[[Callable], Callable]) -> Iterator[None]:
    """Each of UNLOCKED and COMPILED exchanged for what `by` makes of it."""
    from mindlift.data.kernels import Compiled

    places = [*UNLOCKED, *((Compiled, name) for name in COMPILED)]
    usual = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, function in usual:
        setattr(place, name, by(function))
    try:
        yield
    finally:
        for place, name, function in usual:
            setattr(place, name, function)


class Watch:
    """Seconds of this thread's CPU time in calls, without those that they make themselves, and what the calls gave."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, object]] = []
        self.is_inside = False

    def __call__(self, function: Callable) -> Callable:
        def timed(*args: object, **words: object) -> object:
            if self.is_inside:
                return function(*args, **words)
            self.is_inside, started = True, time.thread_time()
            try:
                found = function(*args, **words)
            finally:
                self.is_inside = False
            self.calls.append((time.thread_time() - started, found))
            return found

        return timed


class Recorded(threading.local):
    """In calls' place: sleeps as long as the call took, without the lock, and gives what it gave."""

    calls: Iterator[tuple[float, object]] = iter(())

    def __call__(self, function: Callable) -> Callable:
        def replayed(*args: object, **words: object) -> object:
            seconds, found = next(self.calls)
            if seconds > SHORT_S:
                time.sleep(seconds)
            return found

        return replayed


def costs(feed: Feed, batches: range, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU time for an image in one thread, in all and under the lock."""

    def work() -> None:
        for make in feed.rows(batches):
            make()

    def seconds_each() -> float:
        work()
        started, turns = time.thread_time(), 0
        while (spent := time.thread_time() - started) < seconds:
            work()
            turns += 1
        return spent / (turns * len(batches) * feed.size)

    with ThreadPoolExecutor(1) as thread:  # as a worker, see lock_share.py
        cpu_ms = 1000 * thread.submit(seconds_each).result()
    return {"cpu_ms": cpu_ms, "locked_ms": cpu_ms * locked_share(work, seconds)}


def with_cores(feed: Feed, threads: int, seconds: float) -> float:
    """Images per second of so many threads if each had a core: calls that need no lock are slept for, the rest is run."""
    watch, recorded = Watch(), Recorded()
    rows, calls = list(feed.rows(range(1))), []
    with replaced(watch):
        for make in rows:
            make()
            calls.append(watch.calls)
            watch.calls = []
    made, ends = [0] * threads, time.monotonic() + seconds

    def work(number: int) -> None:
        for turn in itertools.count(number):
            if time.monotonic() > ends:
                return
            recorded.calls = iter(calls[turn % len(rows)])
            rows[turn % len(rows)]()
            made[number] += 1

    with replaced(recorded):
        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return sum(made) / seconds


def made_by(feed: Feed, workers: int, seconds: float) -> float:
    """Images per second of the pipeline itself with nothing to wait for, after its first batches."""
    batches = running(feed, workers)
    for _ in range(4):
        next(batches)
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        next(batches)
        count += feed.size
    batches.close()
    return count / elapsed


def waits(feed: Feed, workers: int, seconds: float, step_s: float) -> float:
    """The share of the time that a card waits which takes a batch every `step_s`, after its first batches."""
    batches, waited = running(feed, workers), 0.0
    for _ in range(4):
        next(batches)
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        before = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - before
        time.sleep(step_s)
    batches.close()
    return waited / elapsed


def running(feed: Feed, workers: int) -> Any:
    from mindlift.data.workers import InThreads

    return iter(InThreads(feed.source, range(10**6), feed.size, workers))


def measured(name: str, folder: Path, batch: int, seconds: float, workers: list[int], cores: int) -> dict:
    """All figures of a feed."""
    own = feed(name, folder, 8 if name == "deeplab_v3_voc" else batch, as_pixels=True)
    cost = costs(own, range(1, 3), seconds)
    host = costs(feed(name, folder, own.size, as_pixels=False), range(1, 3), seconds)
    return {
        "feed": name,
        "batch": own.size,
        **{key: round(value, 4) for key, value in cost.items()},
        "cpu_ms_normalised": round(host["cpu_ms"], 4),
        "images_per_second_per_core": round(1000 / cost["cpu_ms"], 1),
        "ceiling": round(1000 / cost["locked_ms"], 1),
        "with_cores": {"cores": cores, "images_per_second": round(with_cores(own, cores, seconds), 1)},
        "by_workers": {number: round(made_by(own, number, seconds), 1) for number in workers},
        "waits_15_ms": {number: round(waits(own, number, seconds, 0.015), 3) for number in workers},
    }


def table(found: list[dict]) -> str:
    """A feed a row; `found` is measured, or read from a file."""
    workers = [*found[0]["by_workers"]]
    head = (
        ["recipe", "ms of CPU", "images/s a core", "ms under the lock", "ceiling, images/s"]
        + [f"{each} threads" for each in workers]
        + [f"{found[0]['with_cores']['cores']} cores, simulated"]
        + [f"card waits, {each} threads" for each in workers]
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for each in found:
        cells = [
            each["feed"],
            f"{each['cpu_ms']:.2f}",
            f"{each['images_per_second_per_core']:.0f}",
            f"{each['locked_ms']:.3f}",
            f"{each['ceiling']:.0f}",
            *(f"{each['by_workers'][number]:.0f}" for number in workers),
            f"{each['with_cores']['images_per_second']:.0f}",
            *(f"{100 * each['waits_15_ms'][number]:.0f} %" for number in workers),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(found: list[dict]) -> str:
    """As docs/augmentation.md has it, and what of docs/performance.md follows from it."""
    head = ["recipe", "CPU per image", "under the lock", "images/s a core", "bound of a rank", "goal"]
    head += [f"{CARDS} cards, published", "cores for them", "share of a rank's bound"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for each in found:
        name, needed = each["feed"], NEEDED.get(each["feed"])
        goal = SEGMENTATION_GOAL if name == "deeplab_v3_voc" else GOAL
        is_met = "met" if each["ceiling"] >= goal else "not met"
        cells = [
            name,
            f"{each['cpu_ms']:.2f} ms",
            f"{each['locked_ms']:.3f} ms",
            f"{each['images_per_second_per_core']:,.0f}",
            f"{each['ceiling']:,.0f}",
            "-" if name == "inception_v4_144_crops" else f"{goal:,}: {is_met}",
        ]
        if needed:
            cores, share = needed * each["cpu_ms"] / 1000, needed / CARDS / each["ceiling"]
            cells += [f"{needed:,}/s", f"{cores:.1f}", f"{100 * share:.0f} %"]
        else:
            cells += ["-"] * 3
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
