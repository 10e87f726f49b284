"""What is run in each environment: the programs of the checkout, as a user starts them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.matrix.environments import ROOT, Environment
from tests.support import servers

TIMEOUT_S = 1500
SMALL = ["--net", "densenet22", "--dataset", "digits", "--seed", "3", "--log_interval", "15"]
TRAINING = [*SMALL, "--max_epoch", "2", "--ckpt_interval", "15", "--keep_checkpoint_max", "9"]
FAMILIES = {
    "densenet": ["--net", "densenet22"],
    "resnet": ["--net", "resnet50", "--image_size", "32", "--per_batch_size", "4"],
    "inception_v4": ["--net", "inception_v4", "--image_size", "75", "--per_batch_size", "2"],
    "bit": ["--net", "bit_r50x1", "--image_size", "32", "--per_batch_size", "4"],
    "deeplab_v3": ["--net", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--per_batch_size", "4"],
}
Figures = dict  # name of a figure -> what the table shows


class CheckError(AssertionError):
    """A check failed; the text says what was expected and what came."""


class Programs:
    """Starts programs of the checkout with the interpreter of an environment, in a folder of its own."""

    def __init__(self, environment: Environment):
        self.environment, self.folder = environment, environment.folder / "work"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.trained = Path()  # the last checkpoint of the check `training`
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "PYTHON": str(environment.interpreter),
            "PATH": f"{environment.interpreter.parent}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(self.folder),
        }

    def start(self, words: list[str], **options: object) -> subprocess.Popen[str]:
        with open(self.folder / "programs.log", "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(words)}\n")
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            words,
            cwd=ROOT,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    def run(self, *words: str, code: int | None = 0) -> str:
        """The output of a program of the checkout, or of a script; CheckError unless it ends with `code`."""
        command = [str(self.environment.interpreter), *words] if words[0].endswith(".py") else list(words)
        process = self.start(command)
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise CheckError(f"{' '.join(words)}: no end after {TIMEOUT_S} s; {output[-500:]}") from None
        if code is not None and process.returncode != code:
            raise CheckError(f"{' '.join(words)}: exit code {process.returncode}; {output[-1500:]}")
        return output

    def train(self, *words: str, out: str = "runs") -> dict[str, object]:
        """train.py to its end; the line of JSON that it prints."""
        output = self.run(
            "train.py", *words, "--ckpt_path", str(self.folder / out), "--progress", "off", "--json"
        )
        return json.loads(output.strip().splitlines()[-1])  # type: ignore[no-any-return]


def training(programs: Programs, figures: Figures) -> None:
    """Two epochs of the embedded digits with an evaluation; a second process evaluates the run alike."""
    result = programs.train(*TRAINING, "--run_eval", "true")
    programs.trained = Path(str(result["checkpoint"]))
    figures["loss after 2 epochs"], figures["top-1"] = f"{result['loss']:.4f}", f"{result['top1']:.2f} %"
    output = programs.run("eval.py", *SMALL[:4], "--pretrained", str(result["run"]))
    if f"top-1 {result['top1']:.2f} % (" not in output:
        raise CheckError(
            f"eval.py gives another top-1 than the training's {result['top1']:.2f} %: {output[-500:]}"
        )


def resume(programs: Programs, figures: Figures) -> None:
    """A training that is killed after a checkpoint and started again ends with the same weights."""
    words = ["train.py", *TRAINING, "--ckpt_path", str(programs.folder / "killed"), "--progress", "off"]
    process = programs.start([str(programs.environment.interpreter), *words])
    deadline = time.monotonic() + TIMEOUT_S
    while not list((programs.folder / "killed").glob("*/checkpoints/*_30.ckpt")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CheckError(
                f"the training that was to be killed saved no checkpoint: {process.communicate()[0][-800:]}"
            )
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    result = programs.train(*TRAINING, out="killed")
    found = json.loads(compared(programs, programs.trained, Path(str(result["checkpoint"]))))
    if found["largest_difference"] != 0:
        raise CheckError(f"the continued training has other weights: {found}")
    figures["resumed after SIGKILL"] = "same weights"


def compared(programs: Programs, one: Path, other: Path) -> str:
    program = programs.folder / "compare.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'src')!r})\n"
        "from mindlift.cli.compare_checkpoints import main\nsys.exit(main(sys.argv[1:]))\n",
        encoding="utf-8",
    )
    return programs.run(str(program), str(one), str(other)).strip().splitlines()[-1]


def export(programs: Programs, figures: Figures) -> None:
    """MINDIR computes what the network does, and predict.py finds the same classes by file and by model."""
    run = str(programs.trained.parents[1])
    model = programs.folder / "digits.mindir"
    programs.run("export.py", "--ckpt_file", run, "--file_name", str(model), "--file_format", "MINDIR")
    photos = programs.folder / "photos"
    if not photos.exists():
        draw = programs.folder / "draw.py"
        draw.write_text(
            "import sys\nfrom PIL import Image\nfrom sklearn.datasets import load_digits\n"
            "for i, image in enumerate(load_digits().images[:20]):\n"
            "    Image.fromarray((image * 15).astype('uint8')).convert('RGB').resize((16, 16)).save(f'{sys.argv[1]}/{i:02}.png')\n",
            encoding="utf-8",
        )
        photos.mkdir()
        programs.run(str(draw), str(photos))
    classes = []
    for at, source in enumerate((["--ckpt_file", run], ["--model_file", str(model)])):
        table = programs.folder / f"classes{at}.csv"
        programs.run("predict.py", *source, str(photos), "--output_csv", str(table))
        with open(table, encoding="utf-8", newline="") as file:
            classes.append([list(row.values())[:3] for row in csv.DictReader(file)])
    if not classes[0] or classes[0] != classes[1]:
        raise CheckError(f"network and MINDIR see other classes: {classes[0][:3]} {classes[1][:3]}")
    images = {row[0] for row in classes[0]}
    figures["export, predict"] = f"{len(images)} images alike"


def two_ranks(programs: Programs, figures: Figures) -> None:
    """Two processes train together; where they can't meet, one line says so and the exit code is 1 or 2."""
    words = [*SMALL, "--max_steps", "4", "--run_eval", "false", "--ckpt_path", str(programs.folder / "ranks")]
    environment = programs.environment
    script = str(ROOT / "scripts" / "local_ranks.sh")
    output = programs.run("bash", script, "2", "train.py", *words, code=0 if environment.ranks else None)
    if environment.ranks:
        found = re.search(r"2 rank\(s\)", output)
        if not found or not list((programs.folder / "ranks").glob("*/checkpoints/*_4.ckpt")):
            raise CheckError(f"two ranks: {output[-800:]}")
        figures["two ranks"] = "train"
        return
    lines = [line for line in output.splitlines() if line.startswith("error:")]
    if len(lines) != 1 or "Traceback" in output:
        raise CheckError(f"two ranks should be refused in one line: {output[-800:]}")
    figures["two ranks"] = "refused in one line"


def rmsprop(programs: Programs, figures: Figures) -> None:
    """The schedule is read at the optimiser's own count of steps, so that count must be the number of steps."""
    result = programs.train(
        *SMALL,
        "--optimizer",
        "rmsprop",
        "--lr",
        "0.01",
        "--max_steps",
        "10",
        "--run_eval",
        "false",
        out="rmsprop",
    )
    program = programs.folder / "steps.py"
    program.write_text(
        "import sys, mindspore\n"
        "print('steps', int(mindspore.load_checkpoint(sys.argv[1])['global_step'].asnumpy().ravel()[0]))\n",
        encoding="utf-8",
    )
    counted = programs.run(str(program), str(result["checkpoint"])).strip().splitlines()[-1]
    if counted != "steps 10":
        raise CheckError(f"after 10 steps of RMSProp its count says {counted}")
    figures["RMSProp, loss after 10 steps"] = f"{result['loss']:.4f}"


def families(programs: Programs, figures: Figures) -> None:
    for family, words in FAMILIES.items():
        dataset = [] if "--dataset" in words else ["--dataset", "digits"]
        rest = ["--seed", "3", "--max_steps", "1", "--run_eval", "false"]
        result = programs.train(*words, *dataset, *rest, out=family)
        figures[f"{family}, first loss"] = f"{result['loss']:.3f}"


def storage(programs: Programs, figures: Figures) -> None:
    """Copies there and back and the calls of moxing.file against a MinIO, with the boto3 that the image gets."""
    folder = programs.folder / "storage"
    folder.mkdir()
    with servers.Minio() as store:
        servers.s3_client(store).create_bucket(Bucket="matrix")
        programs.env.update(
            S3_ENDPOINT=store.endpoint,
            AWS_ACCESS_KEY_ID=store.access_key,
            AWS_SECRET_ACCESS_KEY=store.secret_key,
            S3_VERIFY_SSL="0",
        )
        program = str(Path(__file__).with_name("storage_check.py"))
        output = programs.run(program, str(ROOT / "compat"), str(folder), "obs://matrix/check/")
    figures["storage"] = output.strip().splitlines()[-1].partition("calls, ")[2]


CHECKS: dict[str, Callable[[Programs, Figures], None]] = {
    "training": training,
    "resume": resume,
    "export": export,
    "storage": storage,
    "rmsprop": rmsprop,
    "two_ranks": two_ranks,
    "families": families,
}
