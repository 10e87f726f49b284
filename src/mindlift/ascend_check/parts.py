"""The table of parts, the most telling ones first: what a budget of time leaves out stands at its end."""

from __future__ import annotations

import csv
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, TypedDict, cast

from mindlift import json_text
from mindlift.ascend_check import machine
from mindlift.ascend_check.work import (
    Failed,
    Skipped,
    Trained,
    Work,
    result_of,
    step_figures,
    text_of,
    trained,
)
from mindlift.checkout import ROOT

Body = Callable[[Work], None]
HCCN = Path("/etc/hccn.conf")
PICTURE = ROOT / "docs/images/rand_augment.png"
# The smallest variant of each family, on small images of the data that comes with the project.
FAMILIES = {
    "densenet": ("--net", "densenet22", "--dataset", "digits"),
    "resnet": ("--net", "resnet50", "--dataset", "digits", "--image_size", "32", "--per_batch_size", "8"),
    "inception": (
        "--net",
        "inception_v4",
        "--dataset",
        "digits",
        "--image_size",
        "75",
        "--per_batch_size",
        "4",
    ),
    "bit": ("--net", "bit_r50x1", "--dataset", "digits", "--image_size", "32", "--per_batch_size", "8"),
    "deeplab": (
        "--net",
        "deeplab_v3_r26_s16",
        "--dataset",
        "vocdigits",
        "--image_size",
        "65",
        "--per_batch_size",
        "2",
    ),
}
DENSENET, DEEPLAB = FAMILIES["densenet"], FAMILIES["deeplab"]
QUIET = ("--log_interval", 1, "--progress", "false", "--run_eval", "false", "--json", "true")
LEVELS = ("O3", "O0", "O2", "O1")
STEPS, LONGER = 3, 40  # of a part that only shows that a step works, and of those that measure or are killed
# How far evaluations of the same weights at O3 and O0 may be apart: tests/e2e/test_ascend_form.py
RELATIVE, ABSOLUTE = 0.05, 0.01
KILLED_AT = "iter[12]"  # after the checkpoints of steps 5 and 10
ON_AICPU = "AI_CPU"  # operators that the AI core does not have, as msprof's op_statistic calls their place


@dataclass(frozen=True)
class Part:
    name: str
    about: str
    body: Body
    limit_s: float = 900.0


def table() -> list[Part]:
    found = [
        Part("versions", "driver, CANN, MindSpore, Python and machine", versions),
        Part("doctor", "mindlift doctor", doctor),
        Part("device", "what MindLift takes the device for", device),
    ]
    for level in LEVELS:
        for family in FAMILIES:
            about = f"{STEPS} training steps of {FAMILIES[family][1]} at --amp_level {level}"
            found.append(Part(f"step-{family}-{level}", about, steps_of(family, level), 1800.0))
        if level == LEVELS[0]:
            found += after_first_steps()
    return [*found, Part("profile", "msprof over training steps: which operators run where", profile)]


def after_first_steps() -> list[Part]:
    evaluations = [
        Part(
            f"evaluation-{family}",
            f"{FAMILIES[family][1]} evaluated at O3, in training, and at O0",
            evaluation_of(family),
            1800.0,
        )
        for family in FAMILIES
    ]
    return [
        *evaluations,
        Part("cards-1", f"{LONGER} steps of densenet22 on one card", one_card),
        Part("cards-all", "the same on all cards, by scripts/run_distribute_train.sh", all_cards, 1800.0),
        Part("sink", f"{LONGER} steps with and without the device's queue", sink),
        Part(
            "resume",
            "kill -9 and the same command again: are the weights those of a run that nobody killed?",
            resume,
        ),
        Part("predict", "predict.py, a network that classifies and one that segments", predict),
        Part(
            "export",
            "export.py to MINDIR, which compares it with the network, and predict.py with the file",
            export,
        ),
    ]


def versions(work: Work) -> None:
    work.figures.update(machine.facts(os.environ))
    if shutil.which("npu-smi"):
        out = work.run("npu-smi", "info")
        work.figures["npu_smi"] = without_processes(out)
        work.log[-1] = f"$ npu-smi info\n{without_processes(out)}"


def without_processes(out: str) -> str:
    """npu-smi's table of cards, without the one of programs that run on them."""
    kept = []
    for line in out.splitlines():
        if "process" in line.lower():
            break
        kept.append(line)
    return "\n".join(kept)


def doctor(work: Work) -> None:
    work.python("-m", "mindlift", "doctor", "--deadline", "300")


def device(work: Work) -> None:
    found = result_of(work.python("-m", "mindlift.ascend_check.probe", work.place.device.target))
    work.figures.update(found)


def steps_of(family: str, level: str) -> Body:
    def body(work: Work) -> None:
        words = (*FAMILIES[family], "--amp_level", level, "--max_steps", STEPS, *QUIET)
        check_steps(work, work.train(*words), STEPS)

    return body


def check_steps(work: Work, result: Trained, wanted: int) -> None:
    found = step_figures(result)
    work.figures.update(found)
    if result["steps"] != wanted:
        raise Failed(f"{result['steps']} steps were trained in place of {wanted}")
    wrong = [loss for loss in found["losses"] if loss is None or not math.isfinite(loss)]
    if wrong:
        raise Failed(f"a loss is {wrong[0]}")


def evaluation_of(family: str) -> Body:
    """Weights of a few steps; evaluated while training at O3 and once more in float32."""

    def body(work: Work) -> None:
        at_o3 = ("--amp_level", "O3", "--run_eval", "true")
        trained = work.train(*FAMILIES[family], "--max_steps", STEPS, *QUIET[:-2], *at_o3)
        again = {}
        for level in ("O3", "O0"):
            words = (
                "--pretrained",
                trained["run"],
                *FAMILIES[family],
                "--amp_level",
                level,
                "--is_distributed",
                0,
                "--json",
                "true",
            )
            again[level] = result_of(work.python("eval.py", *words, *work.target))
        figure = "loss" if again["O0"].get("loss") is not None else "pixel_accuracy"
        work.figures.update({level: again[level] for level in again}, while_training=trained)
        low, high = (float(str(again[level][figure])) for level in ("O3", "O0"))
        if not math.isclose(low, high, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            raise Failed(f"{figure} is {low:g} at O3 and {high:g} at O0")

    return body


def one_card(work: Work) -> None:
    check_steps(work, work.train(*DENSENET, "--max_steps", LONGER, *QUIET), LONGER)


def all_cards(work: Work) -> None:
    """By the launch script that users start; a table of this server's cards is made where none is given."""
    target, cards = work.place.device.target, work.place.cards
    if cards < 2:
        raise Skipped(f"{cards} card: nothing to join")
    where: object = "-"
    if work.place.device.peer_timeouts:  # cards find each other by a table, CPUs by a scheduler
        where = work.place.rank_table or made_table(work, cards)
    data = work.folder / "data"
    work.python(
        "-c",
        f"import pathlib; from mindlift.data.embedded import digits as demo; demo.build(pathlib.Path({str(data)!r}))",
    )
    out = work.run(
        "bash",
        "scripts/run_distribute_train.sh",
        cards,
        where,
        "densenet22",
        "digits",
        data,
        "--ckpt_path",
        work.folder / "runs",
        "--device_target",
        target,
        "--max_steps",
        LONGER,
        *QUIET,
        env={"LOG_DIR": str(work.folder / "ranks"), "DEVICE_TARGET": target},
    )
    for path in sorted((work.folder / "ranks").glob("rank_*.log")):
        work.log.append(f"{path.name}\n{text_of(path)}")
    work.figures["cards"] = cards
    check_steps(work, trained(out), LONGER)


def made_table(work: Work, cards: int) -> Path:
    if not HCCN.is_file():
        raise Skipped(f"there is no {HCCN} to make a rank table of; pass --rank_table FILE")
    path = work.folder / "rank_table.json"
    made = ("make", "--server_id", "127.0.0.1", "--device_num", f"[0,{cards})", "-o", path)
    work.python("-m", "mindlift", "rank_table", *made)
    return path


def sink(work: Work) -> None:
    if not work.place.device.has_queue:
        raise Skipped(f"{work.place.device.target} has no queue")
    checkpoints = []
    for name in ("true", "false"):
        words = ("--dataset_sink_mode", name, "--max_steps", LONGER, "--resume", "none", *QUIET)
        result = work.train(*DENSENET, *words)
        work.figures[f"sink_{name}"] = step_figures(result)
        checkpoints.append(result["checkpoint"])
    work.figures["difference"] = difference(work, *checkpoints)


class Difference(TypedDict):
    """What compare_checkpoints prints."""

    largest_difference: float
    worst: str


def difference(work: Work, one: str, other: str) -> Difference:
    return cast("Difference", result_of(work.python("-m", "mindlift", "compare_checkpoints", one, other)))


def resume(work: Work) -> None:
    """Where two runs that nobody killed differ, the device computes in no fixed order, and differences are only told."""
    words = (*DENSENET, "--max_steps", LONGER, "--ckpt_interval", 5, *QUIET)
    whole = [work.train(*words, "--resume", "none")["checkpoint"] for _ in range(2)]
    runs = ("--ckpt_path", work.folder / "killed", "--is_distributed", 0, *work.target)
    work.python("train.py", *words, *runs, kill_when=lambda out: KILLED_AT in out)
    out = work.python("train.py", *words, *runs)
    resumed = trained(out)
    if "continuing from" not in out:
        raise Failed("the second run did not continue the first")
    if resumed["steps"] != LONGER:
        raise Failed(f"the second run ended after step {resumed['steps']}")
    between = difference(work, *whole)
    after = difference(work, whole[0], resumed["checkpoint"])
    work.figures.update(two_whole_runs=between, whole_and_resumed=after)
    apart, usual = (found["largest_difference"] for found in (after, between))
    if apart != 0 and usual == 0:  # NaN is apart, too
        raise Failed(f"the weights differ by up to {apart:g} ({after['worst']})")


def predict(work: Work) -> None:
    for name, words in (("classify", DENSENET), ("segment", DEEPLAB)):
        run = work.train(*words, "--max_steps", STEPS, *QUIET)["run"]
        output = work.folder / f"{name}.json"
        work.python("predict.py", "--pretrained", run, "--output_json", output, *work.target, PICTURE)
        work.figures[name] = json_text.parse(text_of(output))


def export(work: Work) -> None:
    for name, words in (("classify", DENSENET), ("segment", DEEPLAB)):
        run = work.train(*words, "--max_steps", STEPS, *QUIET)["run"]
        file = work.folder / name
        work.python("export.py", "--pretrained", run, "--file_name", file, *work.target)
        work.figures[f"{name}_bytes"] = file.with_suffix(".mindir").stat().st_size
        work.python("predict.py", "--model_file", file.with_suffix(".mindir"), *work.target, PICTURE)


def profile(work: Work) -> None:
    """msprof --output=FOLDER PROGRAM: CANN's documents, performance tuning tools."""
    program = shutil.which("msprof")
    if not program:
        raise Skipped("msprof is not on PATH")
    runs = ("--ckpt_path", work.folder / "runs", "--is_distributed", 0, *work.target)
    train = ("train.py", *DEEPLAB, "--amp_level", "O3", "--max_steps", STEPS, *QUIET, *runs)
    work.python_under((program, f"--output={work.folder / 'prof'}"), *train)
    tables = sorted((work.folder / "prof").glob("**/op_statistic*.csv"))
    if not tables:
        raise Failed("msprof left no op_statistic*.csv")
    work.figures["operators"] = rows = [row for path in tables for row in rows_of(path)]
    work.figures["on_aicpu"] = sorted({row.get("OP Type", "") for row in rows if ON_AICPU in row.values()})


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return [{str(key): str(value) for key, value in row.items()} for row in csv.DictReader(file)]
