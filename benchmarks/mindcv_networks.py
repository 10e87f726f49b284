"""Tries each of mindcv's classification networks here: one training step and one evaluation on a CPU.

`mindcv_networks.py --work DIR` tries what DIR has no result of yet, each network within --limit seconds; several of them
may run at once on one DIR, and a stopped one is started again with the same command. With --limit 120, and then
--limit 900 --again time, the large networks come last. `--table FILE --page PAGE` writes what DIR has to a file of JSON
and into a page.

A step is this project's: loss, gradients, update, of two images. `--mode pynative` computes it operator by
operator, which shows whether there are kernels for all of them; `--mode graph` compiles it, as train.py does.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
SIZES = (
    32,
    64,
    224,
    256,
    299,
    160,
    192,
    240,
    384,
    448,
)  # of images, the smallest first that the network takes
BATCH, CLASSES = 2, 10
MODES = ("pynative", "graph")
LATE = "more than"
FAILURES = ("| network | images | step | evaluation | why not |", "|---|---|---|---|---|")
BEGIN, END = "<!-- results of benchmarks/mindcv_networks.py -->", "<!-- end of results -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of results, a file for each network")
    parser.add_argument("--mode", choices=MODES, default="pynative")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a network")
    parser.add_argument("--only", nargs="*", default=[], help="these networks")
    parser.add_argument(
        "--again", choices=("time", "failed"), help="also those that took too long, or failed"
    )
    parser.add_argument("--for_seconds", type=float, default=float("inf"), help="begin no network after that")
    parser.add_argument("--table", type=Path, help="write what there is, and try nothing")
    parser.add_argument("--page", type=Path, help="with --table: rewrite the results in this page")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.mode)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.table:
        return write_table(args.work, args.table, args.page)
    from mindlift.models.external import names

    known = names.of_mindcv()
    unknown = [name for name in args.only if name not in known]
    if unknown or not known:
        parser.error(
            f"mindcv has no network {unknown[0]}" if unknown else names.not_installed("mindcv", "mindcv")
        )
    sweep(args, args.only or known)
    return 0


def sweep(args: argparse.Namespace, networks: Sequence[str]) -> None:
    begin, worker = time.monotonic(), None
    for name in networks:
        with claimed(args.work / f"{name}.lock") as is_mine:
            if not is_mine or not is_wanted(args.work / f"{name}.json", args.again):
                continue
            if time.monotonic() - begin > args.for_seconds:
                break
            worker = worker if worker is not None and worker.is_alive() else Worker(args.mode)
            found = worker.result(name, args.limit)
            write(args.work / f"{name}.json", found)
            print(json.dumps(found), flush=True)
    if worker is not None:
        worker.end()


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether the network of this file is ours for now; a process that dies lets go of it."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_wanted(path: Path, again: str | None) -> bool:
    if not path.exists():
        return True
    found = json.loads(path.read_text())
    is_late = found["why"].startswith(LATE)
    return {None: False, "time": is_late, "failed": bool(found["why"])}[again]


def write(path: Path, found: dict) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(path)


class Worker:
    """A process that tries networks until one of them ends or outlasts it."""

    def __init__(self, mode: str):
        command = [sys.executable, __file__, "--worker", "--mode", mode, "--work", "."]
        self.mode = mode
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines = selectors.DefaultSelector()
        self.lines.register(self.process.stdout, selectors.EVENT_READ)

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def result(self, name: str, limit: float) -> dict:
        """What came of a network; one that takes longer than `limit` seconds, or ends the process, failed."""
        begin = time.monotonic()
        print(name, file=self.process.stdin, flush=True)
        missing = {"net": name, "mode": self.mode, "parameters": None, "step": False, "evaluation": False}
        if not self.lines.select(limit):
            self.end()
            why = f"{LATE} {limit:g} s"
        else:
            line = self.process.stdout.readline()
            if line:
                return json.loads(line)
            why = f"the process ended with code {self.process.wait()}"
        return {**missing, "size": None, "why": why, "seconds": round(time.monotonic() - begin)}

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def work(mode: str) -> int:
    """Reads names of networks, and writes a line of JSON about each; what networks print goes to stderr."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from mindlift.model_utils import device_adapter

    ranks = device_adapter.read_ranks({})
    device_adapter.prepare_environment(ranks, threads=1)
    device_adapter.connect(ranks, "CPU", 1)
    for line in sys.stdin:
        print(json.dumps(tried(line.strip(), mode)), file=lines, flush=True)
    return 0


def tried(name: str, mode: str) -> dict:
    import gc

    import mindspore as ms

    from mindlift.models.external import family

    begin = time.monotonic()
    found = {
        "net": name,
        "mode": mode,
        "size": None,
        "parameters": None,
        "step": False,
        "evaluation": False,
        "why": "",
    }
    try:
        run(name, mode, found)
    except Exception as err:  # whatever a network of another package raises
        found["why"] = one_line(err)
    family.of.cache_clear()
    ms.set_context(mode=ms.GRAPH_MODE)
    gc.collect()
    return {**found, "seconds": round(time.monotonic() - begin, 1)}


def one_line(err: Exception) -> str:
    """The kind of an error and its first sentences, without MindSpore's banners and places in its source."""
    text = " ".join(
        line.strip() for line in str(err).split("\n- C++ Call Stack")[0].splitlines() if line.strip(" -")
    )
    kind = "" if text.startswith("--net") else f"{type(err).__name__}: "
    return f"{kind}{text[:300] or 'no message'}"


def run(name: str, mode: str, found: dict) -> None:
    """Fills `found` as far as it comes."""
    import mindspore as ms
    import numpy as np

    from mindlift.model_utils import devices
    from mindlift.model_utils.ranks import Ranks
    from mindlift.tasks.classification import task
    from mindlift.tasks.classification.objective import Places
    from mindlift.training import build
    from mindlift.training.masks import Masks
    from mindlift.training.step import TrainStep

    device = devices.of(devices.CPU)
    cfg, network = built(name, device)
    size = cfg.image_size[0]
    found.update(size=size, parameters=sum(each.size for each in network.get_parameters()))
    ms.set_context(mode=ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE)
    objective = task.objective(cfg, network, task.options(cfg, 1))
    masks = Masks(objective, 1, Ranks())
    optimizer = build.optimizer(cfg, network, np.full(2, 1e-4, np.float32), device)
    step = TrainStep(
        objective, optimizer, build.step_options(cfg, 1), others=[masks.keys] if masks.cells else []
    )
    masks.draw()
    images = ms.Tensor(np.random.default_rng(0).normal(size=(BATCH, 3, size, size)), ms.float32)
    labels = ms.Tensor(np.arange(BATCH), ms.int32)
    loss = float(step([(images, labels)])[0])
    if not np.isfinite(loss):
        raise ArithmeticError(f"the loss of the first step is {loss}")
    found["step"] = True
    network.set_train(False)
    places, losses = (
        each.asnumpy() for each in Places(network, CLASSES).set_train(False)(images, labels)[:2]
    )
    assert places.shape == (BATCH,)
    found["evaluation"] = True
    if not np.isfinite(losses).all():
        found["why"] = "after one step the evaluation's losses are not finite"


def built(name: str, device: object) -> tuple:
    """The configuration and the network of the smallest images that it takes; ConfigError of the last size that it doesn't."""
    from mindlift.errors import ConfigError
    from mindlift.model_utils.config import config
    from mindlift.tasks import network as networks

    for size in SIZES:
        words = ["--net", f"mindcv:{name}", "--per_batch_size", str(BATCH), "--image_size", str(size)]
        cfg = config.load(words)
        try:
            return cfg, networks.network(cfg, device)
        except ConfigError as err:
            last = err
            if "can't compute an image" not in str(err):
                raise
    raise last


def write_table(work_folder: Path, path: Path, page: Path | None) -> int:
    """All results, by name, and in `page` what they come to."""
    found = [json.loads(file.read_text()) for file in sorted(work_folder.glob("*.json"))]
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in found) + "\n]\n")
    text = summary(found)
    print(text)
    if page is not None:
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 0


def summary(found: Sequence[dict]) -> str:
    """Counts, which networks ran, with their parameters in millions, and a table of those that did not."""
    from mindlift.models.external import names

    known = names.of_mindcv()
    ran = [each for each in found if each["evaluation"]]
    late = [each for each in found if each["why"].startswith(LATE)]
    failed = [each for each in found if each not in ran and each not in late]
    tried = {each["net"] for each in found}
    rest = [name for name in known if name not in tried]
    by_size: dict[int, list[str]] = {}
    for each in ran:
        mark = " (2)" if each["why"] else ""
        by_size.setdefault(each["size"], []).append(f"{each['net']} {each['parameters'] / 1e6:.1f}{mark}")
    odd = "(2): after one step from random weights the evaluation's losses are not finite."
    lines = [
        f"Of mindcv's {len(known)} networks {len(found)} were tried: {len(ran)} made a step and an evaluation,"
        f" {len(failed)} failed, {len(late)} took more time than they were given, {len(rest)} were not tried.",
        "",
        *(FAILURES if failed else ()),
        *(
            f"| {each['net']} | {each['size'] or '-'} | {yes(each['step'])} | no | {each['why'].replace('|', '/')} |"
            for each in failed
        ),
        *([""] if failed else []),
        "| images | networks that ran, with millions of parameters |",
        "|---|---|",
        *(f"| {size} x {size} | {', '.join(nets)} |" for size, nets in sorted(by_size.items())),
        "",
        *([odd, ""] if any(each["why"] for each in ran) else []),
        *([f"Took too long: {', '.join(each['net'] for each in late)}.", ""] if late else []),
        *([f"Not tried: {', '.join(rest)}.", ""] if rest else []),
    ]
    return "\n".join(lines)


def yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    raise SystemExit(main())
