"""Images per second of training and evaluation next to timm or torchvision (PyTorch) and mindcv (MindSpore).

    make bench
    python benchmarks/bench_train.py --nets densenet100 --work train --rounds 20

Every library runs in a process of its own. The processes take turns, one round each, so that a machine
that drifts slows all of them; the ratio is taken round by round and shown as median and quartiles.
Only ratios within one run mean something: see benchmarks/README.md for what is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from figures import machine, names_of, positive, spread, write

HERE = Path(__file__).parent
OURS = "mindlift"
PEERS = {"mindlift": "mindspore", "mindcv": "mindcv", "timm": "timm", "torchvision": "torchvision"}
OF_PYTORCH = ("timm", "torchvision")
FORMS = ("plain", "channels_last", "compiled")  # of PyTorch's networks
SIDE = {
    "densenet100": 32,
    "densenet121": 224,
    "resnet50": 224,
    "inception_v4": 299,
    "bit_r50x1": 224,
    "deeplab_v3_s16": 257,
    "deeplab_v3_s8": 257,
}
BATCH = {
    "densenet100": 64,
    "densenet121": 8,
    "resnet50": 8,
    "inception_v4": 4,
    "bit_r50x1": 8,
    "deeplab_v3_s16": 2,
    "deeplab_v3_s8": 2,
}
SEGMENTS = ("deeplab_v3_s16", "deeplab_v3_s8")


def have(library: str, net: str) -> bool:
    """Whether a library has the network: to segment it is torchvision and not timm, and mindcv has no such model."""
    return library == OURS or (library == "torchvision") == (net in SEGMENTS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=names_of(SIDE), default=",".join(SIDE), help="of " + ", ".join(SIDE))
    parser.add_argument(
        "--libraries",
        type=names_of(PEERS),
        default=",".join(PEERS),
        help="those not installed are left out and named",
    )
    parser.add_argument("--work", type=names_of(("train", "eval")), default="train,eval")
    parser.add_argument("--rounds", type=positive, default=9, help="timed rounds of each library")
    parser.add_argument("--seconds", type=float, default=4.0, help="least length of a round")
    parser.add_argument("--batch", type=int, help="images per step; default: " + json.dumps(BATCH))
    parser.add_argument("--size", type=int, help="side of the images; default: " + json.dumps(SIDE))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--peers",
        default=sys.executable,
        help="the Python that has PyTorch, timm and torchvision; default: this one",
    )
    parser.add_argument(
        "--forms",
        type=names_of(FORMS),
        default="plain",
        help="PyTorch's networks in each of " + ", ".join(FORMS),
    )
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    return parser.parse_args()


class Worker:
    """One library's process, which times steps when told to."""

    def __init__(
        self, library: str, net: str, work: str, batch: int, size: int, threads: int, form: str, python: str
    ):
        self.library = library if form == "plain" else f"{library} {form}"
        package = os.pathsep.join(filter(None, [str(HERE.parent / "src"), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "GLOG_v": "3", "PYTHONPATH": package}
        command = [
            python,
            str(HERE / "bench_worker.py"),
            library,
            net,
            work,
            str(batch),
            str(size),
            str(threads),
            form,
        ]
        started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=HERE.parent
        )
        self.about = self.answer()
        self.about["seconds_to_first_step"] = round(time.perf_counter() - started, 2)

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench_train: {self.library} ended with code {self.process.wait()}; its error is above")
        return json.loads(line)

    def images_per_second(self, seconds: float) -> float:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()["images_per_second"]

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(libraries: list[str], net: str, work: str, options: argparse.Namespace) -> dict:
    """Rounds of all libraries in turn; figures of each by name."""
    batch, size = options.batch or BATCH[net], options.size or SIDE[net]
    there = [library for library in libraries if have(library, net)]
    workers = [
        Worker(library, net, work, batch, size, options.threads, form, python_of(library, options.peers))
        for library in there
        for form in (options.forms if library in OF_PYTORCH else FORMS[:1])
    ]
    rates: dict[str, list[float]] = {worker.library: [] for worker in workers}
    for worker in workers:
        worker.images_per_second(options.seconds / 2)
    for done in range(options.rounds):
        for worker in workers:
            rates[worker.library].append(worker.images_per_second(options.seconds))
        show_progress(net, work, done + 1, options.rounds)
    for worker in workers:
        worker.end()
    figures = {
        worker.library: {**worker.about, **summary(rates[worker.library], rates[OURS])} for worker in workers
    }
    return {"net": net, "work": work, "batch": batch, "size": size, "libraries": figures}


def summary(rates: list[float], ours: list[float]) -> dict:
    """Median rate, and the quartiles of ours / theirs over the rounds."""
    return {
        "n": len(rates),
        "images_per_second": round(statistics.median(rates), 2),
        "rounds": [round(rate, 2) for rate in rates],
        "ours_over_this": spread(a / b for a, b in zip(ours, rates)),
    }


def show_progress(net: str, work: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{net} {work}: round {done} of {of}", end="\n" if done == of else "", file=sys.stderr)
    elif done == of:
        print(f"{net} {work}: {of} rounds done", file=sys.stderr)


def table(results: list[dict]) -> str:
    lines = [
        "| network, work | library | images/s | mindlift / it (median, quartiles, n) | to first step |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        job = f"{result['net']} {result['work']}, {result['batch']} x {result['size']}²"
        for library, found in result["libraries"].items():
            ratio = found["ours_over_this"]
            low, high = ratio["quartiles"]
            shown = (
                "1"
                if library == OURS
                else f"**{ratio['median']:.2f}** ({low:.2f} - {high:.2f}, {found['n']})"
            )
            lines.append(
                f"| {job} | {library} {found['version']} | {found['images_per_second']:.1f} | {shown}"
                f" | {found['seconds_to_first_step']:.1f} s |"
            )
    return "\n".join(lines)


def python_of(library: str, peers: str) -> str:
    return peers if library in OF_PYTORCH else sys.executable


def has_module(name: str, python: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def installed(wanted: list[str], peers: str) -> list[str]:
    """Those of `wanted` that import; the others are named on stderr. Ours comes first."""
    unknown = [library for library in wanted if library not in PEERS]
    if unknown:
        sys.exit(f"bench_train: unknown library '{unknown[0]}'; known: {', '.join(PEERS)}")
    if shutil.which(peers) is None:
        sys.exit(f"bench_train: --peers {peers}: there is no such Python")
    missing = [each for each in wanted if not has_module(PEERS[each], python_of(each, peers))]
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (make bench installs them)", file=sys.stderr)
    return [OURS, *(library for library in wanted if library not in missing and library != OURS)]


def main() -> None:
    options = arguments()
    libraries = installed(options.libraries, options.peers)
    results = [compare(libraries, net, work, options) for net in options.nets for work in options.work]
    about = machine(options.threads)
    print(f"{about['cpu']}, {about['threads']} threads, Python {about['python']}, {about['date']}\n")
    print(table(results))
    write(options.output, about, results)


if __name__ == "__main__":
    main()
