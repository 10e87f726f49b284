"""Made-up run folders of all kinds, in the format of docs/report.md. `python -m tests.support.synthetic_runs FOLDER` writes three."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BEGIN = 1_790_000_000.0
DIGITS = [str(digit) for digit in range(10)]
REVISION = "4be1f0c2d95a7b3e8c6f1d20a9b8c7d6e5f40312"


def classification(
    root: Path,
    *,
    lr: float = 0.1,
    steps: int = 360,
    per_epoch: int = 45,
    seed: int = 1,
    ranks: int = 2,
    ends: bool = True,
) -> Path:
    """A run of `ranks` ranks that a signal stopped, that was continued, killed, and continued further back."""
    from mindlift.model_utils.config import config

    chance = np.random.default_rng(seed)
    cfg = config.load(
        [
            "--net",
            "densenet100",
            "--lr",
            str(lr),
            "--max_epoch",
            str(steps // per_epoch),
            "--seed",
            str(seed),
            "--ckpt_path",
            "/data/runs & more",
        ]
    )
    prepare(root, cfg.to_yaml(origins=True), ranks)
    first, second = steps * 2 // 5, steps * 3 // 5
    lines = [start(BEGIN, per_epoch, steps, 1440)]
    rates = planned_rates(cfg, ranks, 1440, per_epoch)
    lines += step_lines(chance, BEGIN, 1, first, per_epoch, rates, ranks)
    lines.append(event("stopped", lines[-1]["time"] + 2, first))
    lines.append(
        {**start(lines[-1]["time"] + 300, per_epoch, steps, 1440), "event": "continued", "step": first}
    )
    lines += step_lines(chance, lines[-1]["time"], first + 1, second, per_epoch, rates, ranks)
    back = second // per_epoch * per_epoch
    lines.append(
        {**start(lines[-1]["time"] + 90, per_epoch, steps, 1440), "event": "continued", "step": back}
    )
    lines += step_lines(chance, lines[-1]["time"], back + 1, steps, per_epoch, rates, ranks)
    lines = with_evaluations(lines, per_epoch, lambda done: accuracy(done / steps, lr, chance))
    finish(root, lines, steps, "top1", ends)
    write_transfers(root, lines, chance)
    write_judged(root, steps, chance)
    return root


def segmentation(root: Path, *, steps: int = 300, per_epoch: int = 30, seed: int = 3) -> Path:
    """A run of one rank without averaged weights that is not stopped."""
    from mindlift.data.segmentation import voc
    from mindlift.model_utils.config import config

    chance, names = np.random.default_rng(seed), voc.class_names("vocdigits", 11)
    cfg = config.load(
        ["--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--max_epoch", str(steps // per_epoch)]
    )
    prepare(root, cfg.to_yaml(origins=True), 1)
    lines = [start(BEGIN, per_epoch, steps, 480)]
    lines += step_lines(chance, BEGIN, 1, steps, per_epoch, planned_rates(cfg, 1, 480, per_epoch), 1)

    def figures(done: int) -> Iterator[dict[str, Any]]:
        reached = 0.75 * (1 - math.exp(-4 * done / steps))
        ious = {name: round(max(0.0, min(0.97, reached + chance.normal(0, 0.1))), 4) for name in names}
        yield {
            "which": "weights",
            "miou": round(sum(ious.values()) / len(ious), 4),
            "pixel_accuracy": 0.6 + reached / 2,
            "total": 120,
            "per_class": {**ious, names[-1]: None},
        }

    lines = with_evaluations(lines, per_epoch, figures)
    finish(root, lines, steps, "miou", True)
    draw_overlays(root, names, chance)
    counts = (chance.random((len(names), len(names))) * 900 + np.eye(len(names)) * 90_000).astype(int)
    found = {
        "step": steps,
        "classes": names,
        "ious": [0.94, *(np.round(chance.uniform(0.4, 0.9, 9), 3).tolist()), None],
    }
    write_json(
        root / "evaluation.json",
        {**found, "confusion": counts.tolist(), "overlays": "evaluation/overlays.png"},
    )
    return root


def old(root: Path, steps: int = 100) -> Path:
    """A run of the first version: no events, few keys, and a last line that a kill cut short."""
    root.mkdir(parents=True)
    lines = [
        {
            "time": BEGIN + at,
            "epoch": at // 50,
            "step": at,
            "loss": 2.3 / at**0.3,
            "lr": 0.1,
            "images_per_second": None if at == 10 else 50.0,
            "updated": True,
        }
        for at in range(10, steps + 1, 10)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "metrics.jsonl").write_text(text + '{"time": 1790000123.1, "epoch": 2, "st', encoding="utf-8")
    return root


def long(root: Path, steps: int, every: int) -> Path:
    """A run of many steps with a line every so many of them, and a loss of 99 at the line nearest to two thirds."""
    root.mkdir(parents=True)
    spike = steps * 2 // 3 // every * every
    with open(root / "metrics.jsonl", "w", encoding="utf-8") as file:
        file.write(json.dumps(start(BEGIN, 5004, steps, 1_281_167)) + "\n")
        for step in range(every, steps + 1, every):
            loss = 99.0 if step == spike else 2.3 + step * 7919 % 1000 / 1e4
            file.write(
                f'{{"time": {BEGIN + 0.3 * step:.3f}, "epoch": {step // 5004}, "step": {step}, "loss": {loss}, "lr": 0.02,'
                f' "images_per_second": {800 + step % 97}.5, "updated": true, "data_wait": 0.0{step % 89 + 10},'
                f' "step_seconds": [0.{step % 97 + 100}, 0.31], "memory_mb": [1900.5, 1901.5], "loss_scale": 1024.0, "skipped": 3}}\n'
            )
    return root


def prepare(root: Path, config_yaml: str, ranks: int) -> None:
    (root / "evaluation").mkdir(parents=True)
    (root / "config.yaml").write_text(config_yaml, encoding="utf-8")
    write_json(root / "run.json", {"fingerprint": "0123456789abcdef", "ranks": ranks})
    facts = {
        "mindspore": "2.8.0",
        "numpy": "1.26.4",
        "python": "3.11.7",
        "machine": "Linux-6.1-x86_64",
        "cpus": 8,
        "ranks": ranks,
        "device": "CPU",
        "git": REVISION,
    }
    write_json(root / "versions.json", facts)


def start(time: float, per_epoch: int, total: int, images: int) -> dict[str, Any]:
    return {
        "time": time,
        "event": "start",
        "step": 0,
        "images": images,
        "steps_per_epoch": per_epoch,
        "total": total,
    }


def event(kind: str, time: float, step: int) -> dict[str, Any]:
    return {"time": time, "event": kind, "step": step}


def step_lines(
    chance: np.random.Generator,
    time: float,
    first: int,
    last: int,
    per_epoch: int,
    rates: list[float],
    ranks: int,
) -> list[dict[str, Any]]:
    """A line each step: a loss that falls with noise and a spike, a second rank that is slower."""
    found, total = [], len(rates)
    for step in range(first, last + 1):
        share = step / total
        seconds = [0.4 * (1 + 0.3 * (rank == 1)) * chance.lognormal(0, 0.06) for rank in range(ranks)]
        wait = min(0.9, abs(chance.normal(0.05, 0.03)) + 0.35 * (step % per_epoch < 2))
        time += max(seconds) / (1 - wait)
        spike = 2.0 if step == total // 3 else 0.0
        found.append(
            {
                "time": round(time, 3),
                "epoch": (step - 1) // per_epoch,
                "step": step,
                "loss": 2.3 * math.exp(-4 * share)
                + 0.04
                + chance.normal(0, 0.05) ** 2 * 10 * (1.2 - share)
                + spike,
                "lr": rates[step - 1],
                "updated": not spike,
                "images_per_second": None if step == first else 64 * ranks / max(seconds) * (1 - wait),
                "data_wait": wait,
                "step_seconds": seconds,
                "memory_mb": [900 + 60 * rank + 40 * share for rank in range(ranks)],
                "loss_scale": 1024.0 * 2 ** (int(share * 5)),
                "skipped": int(step >= total // 3),
            }
        )
    return found


def planned_rates(cfg: Any, ranks: int, images: int, per_epoch: int) -> list[float]:
    from mindlift.training import schedules

    return schedules.lr_table(per_epoch, schedules.from_config(cfg, ranks, images)).tolist()


def accuracy(share: float, lr: float, chance: np.random.Generator) -> Iterator[dict[str, Any]]:
    for which, factor in (("average", 1.0), ("weights", 0.97)):
        top1 = (100 - 20 * abs(math.log10(lr) + 1)) * factor * (1 - math.exp(-5 * share)) + chance.normal(
            0, 0.4
        )
        yield {
            "which": which,
            "top1": min(top1, 99.9),
            "top5": min(100.0, top1 + 6),
            "total": 357,
            "loss": 2.3 - 0.022 * top1,
        }


def with_evaluations(lines: list[dict[str, Any]], per_epoch: int, figures: Any) -> list[dict[str, Any]]:
    """An evaluation after every epoch, some seconds after its last step."""
    found = []
    for line in lines:
        found.append(line)
        if "event" not in line and line["step"] % per_epoch == 0:
            found += [
                {"time": line["time"] + 0.2, "event": "evaluation", "step": line["step"], **each}
                for each in figures(line["step"])
            ]
    return found


def finish(root: Path, lines: list[dict[str, Any]], steps: int, score: str, ends: bool) -> None:
    if ends:
        lines.append(event("ended", lines[-1]["time"] + 3, steps))
        best = max(line[score] for line in lines if score in line)
        write_json(root / "result.json", {"run": str(root), "steps": steps, score: best, "loss": 0.05})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (root / "metrics.jsonl").write_text(text, encoding="utf-8")


def write_transfers(root: Path, lines: list[dict[str, Any]], chance: np.random.Generator) -> None:
    found = [
        {"time": BEGIN - 1, "seconds": 14.5, "event": "staged", "what": "digits.zip", "bytes": 612_000_000}
    ]
    for line in [line for line in lines if line.get("event") == "evaluation" and line["which"] == "average"]:
        seconds = 2.2 * chance.lognormal(0, 0.4)
        found.append(
            {
                "time": line["time"] + 5,
                "seconds": seconds,
                "event": "published",
                "what": f"checkpoints/densenet100-{line['step']}.ckpt",
                "bytes": 63_000_000,
            }
        )
    (root / "transfers.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in found), encoding="utf-8"
    )


def write_judged(root: Path, step: int, chance: np.random.Generator) -> None:
    from mindlift.data.embedded import digits as demo

    counts = np.eye(10, dtype=int) * 33
    counts[[3, 8, 1, 9, 5], [5, 3, 7, 4, 9]] = [4, 3, 2, 1, 1]
    bins = [
        {
            "low": at / 10,
            "high": (at + 1) / 10,
            "count": int(3 * at**2.2),
            "confidence": (at + 0.5) / 10,
            "accuracy": min(1.0, 0.1 + 0.085 * at),
        }
        for at in range(10)
    ]
    mistakes = []
    digits = demo.split_digits()[1]
    threes = np.flatnonzero(digits.classes == 3)
    for at in range(6):
        file = f"evaluation/mistake_{at}.png"
        Image.fromarray(demo.enlarge(digits.images[threes[at]])).save(root / file)
        mistakes.append(
            {
                "name": f"test/{at}.png",
                "file": file,
                "truth": "3",
                "predicted": "5",
                "confidence": 0.99 - 0.03 * at,
            }
        )
    found = {
        "step": step,
        "classes": DIGITS,
        "confusion": counts.tolist(),
        "calibration": {"bins": bins, "ece": 0.0312},
        "mistakes": mistakes,
    }
    write_json(root / "evaluation.json", found)


def draw_overlays(root: Path, names: list[str], chance: np.random.Generator) -> None:
    """Images of the embedded data with truths, and truths moved a little as predictions."""
    from mindlift.data.embedded import digits as demo
    from mindlift.data.embedded import vocdigits as demo_voc
    from mindlift.tasks.segmentation.sheet import SegmentationSheet

    digits = demo.split_digits()[1]
    with SegmentationSheet(root / "evaluation" / "overlays.png", 5, names, None) as sheet:  # type: ignore[arg-type]
        for at in range(5):
            image, truth = demo_voc.picture(digits, chance)
            sheet.add(
                f"2008_00{at:04d}",
                image,
                truth,
                np.roll(truth, (2, 3), (0, 1)),
                f"mIoU {0.8 - 0.02 * at:.3f}",
            )


def write_json(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    base = Path(sys.argv[1])
    classification(base / "20260921-140640")
    classification(base / "20260921-151200", lr=0.02, seed=2)
    classification(base / "20260921-163005", lr=0.4, seed=3, ranks=4, ends=False)
    segmentation(base / "seg" / "20260922-090000")
