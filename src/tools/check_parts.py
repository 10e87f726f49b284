"""What the first hour on a card tries: one function a part. See src/tools/ascend_check.py."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.model_utils import device_adapter, devices
from src.model_utils.code_revision import code_revision

ROOT = Path(__file__).resolve().parents[2]
ASCEND_FILES = (
    "/usr/local/Ascend/driver/version.info",
    "/usr/local/Ascend/firmware/version.info",
    "/usr/local/Ascend/ascend-toolkit/latest/version.cfg",
    "/usr/local/Ascend/ascend-toolkit/latest/*/ascend_toolkit_install.info",
)
PACKAGES = ("mindspore", "mindspore_lite", "numpy", "boto3", "pillow", "opencv-python-headless")
LEVELS = ("O0", "O1", "O2", "O3")
# The smallest network of each family, its data set (which comes with the project), and an image size that it can see.
FAMILIES = {
    "densenet": ("densenet22", "digits", 16),
    "resnet": ("resnet50", "digits", 32),
    "inception": ("inception_v4", "digits", 75),
    "bit": ("bit_r50x1", "digits", 32),
    "deeplab": ("deeplab_v3_r26_s16", "vocdigits", 65),
}
LAST_LINES = 15


@dataclass(frozen=True)
class Place:
    """Where a check runs: device, number of its cards, a folder for what comes of it, and seconds for a command."""

    device: str
    cards: int
    folder: Path
    deadline_s: float


@dataclass
class Outcome:
    """What came of a part; `status` is ok, failed or skipped, `says` one line."""

    status: str
    says: str
    figures: dict[str, object] = field(default_factory=dict)
    log: str = ""


class Failed(Exception):
    """A command of a part did not end as it should."""


Part = Callable[[Place, Path], Outcome]


def run(place: Place, log: Path, command: Sequence[object]) -> str:
    """Run a command in the project's folder, its output added to `log` and returned; Failed if it does not end with 0."""
    words = [str(word) for word in command]
    started = time.monotonic()
    with log.open("a+", encoding="utf-8", errors="replace") as out:
        out.write(f"$ {' '.join(words)}\n")
        out.flush()
        before = out.tell()
        process = start(words, out)
        try:
            code: int | None = process.wait(timeout=place.deadline_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            kill(process)
        out.seek(before)
        text = out.read()
        out.write(f"# exit code {code} after {time.monotonic() - started:.1f} s\n")
    if code is None:
        raise Failed(f"no end after {place.deadline_s:g} s: {Path(words[1]).name}")
    if code != 0:
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        raise Failed(errors[-1] if errors else f"exit code {code}: {' '.join(words[1:4])}")
    return text


def start(words: Sequence[str], out: object) -> subprocess.Popen:
    env = {"GLOG_v": "3", **os.environ, "PYTHONUNBUFFERED": "1", "PYTHON": sys.executable}
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    """The whole session, also after its first process has ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def program(name: str) -> list[object]:
    return [sys.executable, ROOT / name]


def training(place: Place, family: str, runs: Path, *more: object) -> list[object]:
    net, dataset, side = FAMILIES[family]
    return [
        *(
            "--net",
            net,
            "--dataset",
            dataset,
            "--image_size",
            side,
            "--per_batch_size",
            8,
            "--log_interval",
            1,
        ),
        *("--run_eval", "false", "--progress", "false", "--device_target", place.device, "--ckpt_path", runs),
        *("--seed", 1, "--compile_cache", "false", *more),
    ]


def lines(run_folder: Path) -> list[dict]:
    """The steps of a run's metrics.jsonl; a last line that is still being written is left out."""
    found = []
    path = run_folder / "metrics.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return [line for line in found if "lr" in line]


def newest(runs: Path) -> Path:
    folders = [path.parent for path in runs.glob("*/run.json")]
    if not folders:
        raise Failed(f"no run in {runs}")
    return max(folders, key=lambda path: path.name)


def last_checkpoint(run_folder: Path) -> Path:
    result = json.loads((run_folder / "result.json").read_text(encoding="utf-8"))
    return Path(result["checkpoint"])


def step_figures(run_folder: Path) -> dict[str, object]:
    """Losses, and the seconds of the steps that did not compile."""
    steps = lines(run_folder)
    timed = [line["step_seconds"] for line in steps if line.get("step_seconds")]
    return {
        "losses": [line["loss"] for line in steps],
        "step_seconds_by_rank": timed,
        "skipped": steps[-1]["skipped"],
    }


def trained(place: Place, log: Path, family: str, name: str, *more: object) -> Path:
    runs = place.folder / "runs" / name
    run(place, log, [*program("train.py"), *training(place, family, runs, "--resume", "none", *more)])
    return newest(runs)


def difference(place: Place, log: Path, one: Path, other: Path) -> dict:
    command = [
        sys.executable,
        "-m",
        "src.tools.compare_checkpoints",
        last_checkpoint(one),
        last_checkpoint(other),
    ]
    return json.loads(run(place, log, command).splitlines()[0])


def versions(place: Place, log: Path) -> Outcome:
    """Of driver, CANN, MindSpore, Python and this project."""
    import importlib.metadata

    figures: dict[str, object] = {
        "python": platform.python_version(), "machine": platform.machine(), "system": platform.platform(),
        "cpus": os.cpu_count(), "device": place.device, "cards": place.cards, "revision": code_revision() or None,
    }  # fmt: skip
    for name in PACKAGES:
        try:
            figures[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            figures[name] = None
    for pattern in ASCEND_FILES:
        for path in sorted(Path("/").glob(pattern[1:])):
            figures[str(path)] = path.read_text(encoding="utf-8", errors="replace").strip()
    if shutil.which("npu-smi"):
        figures["npu-smi"] = run(place, log, ["npu-smi", "info"]).strip()
    return Outcome(
        "ok", f"MindSpore {figures['mindspore']}, Python {figures['python']}, {figures['machine']}", figures
    )


def doctor(place: Place, log: Path) -> Outcome:
    text = run(place, log, [sys.executable, "-m", "src.doctor"])
    return Outcome("ok", text.strip().splitlines()[-1])


def step_at(family: str, level: str) -> Part:
    def part(place: Place, log: Path) -> Outcome:
        """Three optimiser steps of one family at one level of precision."""
        folder = trained(place, log, family, f"{family}-{level}", "--amp_level", level, "--max_steps", 3)
        figures = step_figures(folder)
        return Outcome("ok", f"losses {[round(line['loss'], 4) for line in lines(folder)]}", figures)

    return part


def sink(place: Place, log: Path) -> Outcome:
    """Six steps from the device's queue, and the same six fed by the host."""
    if not devices.of(place.device).has_queue:
        return Outcome("skipped", f"{place.device} has no queue")
    both = [
        trained(place, log, "densenet", f"sink-{mode}", "--max_steps", 6, "--dataset_sink_mode", mode)
        for mode in ("true", "false")
    ]
    figures = difference(place, log, *both)
    says = f"largest difference of the weights {figures['largest_difference']:.3g} ({figures['worst'] or 'none'})"
    return Outcome("ok", says, {**figures, "sink": step_figures(both[0]), "fed": step_figures(both[1])})


def evaluation(place: Place, log: Path) -> Outcome:
    """An epoch, evaluated by the training and by eval.py, which must agree."""
    folder = trained(place, log, "densenet", "evaluation", "--max_epoch", 1, "--run_eval", "true")
    net, dataset, side = FAMILIES["densenet"]
    words = (
        "--net",
        net,
        "--dataset",
        dataset,
        "--image_size",
        side,
        "--per_batch_size",
        8,
        "--pretrained",
        folder,
    )
    text = run(place, log, [*program("eval.py"), *words, "--device_target", place.device])
    found = json.loads(
        next(line for line in text.splitlines() if line.startswith('{"checkpoint"'))
    )  # the newest
    expected = json.loads((folder / "result.json").read_text(encoding="utf-8"))["top1"]
    status = "ok" if found["top1"] == expected else "failed"
    return Outcome(
        status, f"top-1 {found['top1']:.2f} % of {found['total']} images, {expected:.2f} % in train.py", found
    )


def resume(place: Place, log: Path) -> Outcome:
    """A training that is killed by SIGKILL and started again ends with the weights of one that was not."""
    options = ("--max_steps", 12, "--ckpt_interval", 2)
    whole = trained(place, log, "densenet", "resume-whole", *options)
    runs = place.folder / "runs" / "resume-cut"
    command = [str(word) for word in (*program("train.py"), *training(place, "densenet", runs, *options))]
    with log.open("a", encoding="utf-8") as out:
        process = start(command, out)
        deadline = time.monotonic() + place.deadline_s
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if any(len(lines(path.parent)) >= 5 for path in runs.glob("*/metrics.jsonl")):
                    break
                time.sleep(0.02)
        finally:
            kill(process)
    killed_after = len(lines(newest(runs)))
    text = run(place, log, command)
    figures = {**difference(place, log, whole, newest(runs)), "killed_after_step": killed_after}
    if "continuing from" not in text and killed_after < 12:
        return Outcome("failed", f"killed after step {killed_after}, and did not continue", figures)
    status = "ok" if figures["largest_difference"] == 0 else "failed"
    says = f"killed after step {killed_after}; largest difference of the weights {figures['largest_difference']:.3g}"
    return Outcome(status, says, figures)


def cards(place: Place, log: Path) -> Outcome:
    """Six steps on all cards of this machine; on a CPU, on two ranks."""
    if place.cards < 2:
        return Outcome("skipped", f"one {place.device} only")
    runs = place.folder / "runs" / "cards"
    words = training(place, "densenet", runs, "--max_steps", 6, "--resume", "none")
    run(place, log, ["bash", ROOT / "scripts/local_ranks.sh", place.cards, ROOT / "train.py", *words])
    figures = step_figures(newest(runs))
    return Outcome("ok", f"{place.cards} ranks, losses {figures['losses'][0]:.4g} ...", figures)  # type: ignore[index]


def prediction(place: Place, log: Path) -> Outcome:
    """predict.py on two images with the evaluated run."""
    import numpy as np
    from PIL import Image

    image = place.folder / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(image)
    folder = trained(place, log, "densenet", "prediction", "--max_steps", 2)
    output = place.folder / "prediction.json"
    words = ("--pretrained", folder, "--device_target", place.device, "--output_json", output, image)
    run(place, log, [*program("predict.py"), *words])
    found = json.loads(output.read_text(encoding="utf-8"))["images"][0]["classes"][0]
    return Outcome("ok", f"class {found['name']}", found)


def export(place: Place, log: Path) -> Outcome:
    """export.py compares the file with the network."""
    folder = trained(place, log, "deeplab", "export", "--max_steps", 1)
    words = ("--pretrained", folder, "--device_target", place.device, "--file_name", place.folder / "net")
    text = run(place, log, [*program("export.py"), *words])
    says = next((line for line in text.splitlines() if line.startswith("compared")), "not compared")
    return Outcome("ok", says, {"bytes": (place.folder / "net.mindir").stat().st_size})


def profile(place: Place, log: Path) -> Outcome:
    """msprof's summary of a few steps; its files stay in the folder and are not sent."""
    if not shutil.which("msprof"):
        return Outcome("skipped", "msprof is not on PATH")
    runs = place.folder / "runs" / "profile"
    words = [*program("train.py"), *training(place, "resnet", runs, "--max_steps", 6, "--resume", "none")]
    text = run(place, log, ["msprof", f"--output={place.folder / 'msprof'}", *words])
    return Outcome("ok", text.strip().splitlines()[-1][:200])


def parts() -> dict[str, Part]:
    """All parts by name, in the order in which they run."""
    steps = {f"{family}-{level}": step_at(family, level) for family in FAMILIES for level in LEVELS}
    return {
        "versions": versions,
        "doctor": doctor,
        **steps,
        "sink": sink,
        "evaluation": evaluation,
        "resume": resume,
        "cards": cards,
        "prediction": prediction,
        "export": export,
        "profile": profile,
    }


def number_of_cards(device: str, dev: Path = Path("/dev")) -> int:
    """Cards of this machine; 2 where ranks are processes on its CPU."""
    return len(list(dev.glob("davinci[0-9]*"))) if devices.of(device).has_queue else 2


def chosen_device(target: str) -> str:
    return device_adapter.choose_device(target)
