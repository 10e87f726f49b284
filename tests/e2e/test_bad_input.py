"""What a user sees for bad input: one line, the right exit code, nothing lost. Real runs of train.py and eval.py."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from mindlift.data.classification import cifar10
from mindlift.runs import manifest as checkpoint_manifest
from tests.support.programs import ROOT, TINY, Finished, environment, run_program, run_ranks

TRAIN, EVAL = "train.py", "eval.py"
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


@pytest.fixture(scope="module")
def run(few_digits, tmp_path_factory) -> Path:
    """A finished run of densenet22: two epochs of six steps."""
    output = tmp_path_factory.mktemp("run")
    done = run_program(
        TRAIN, *TINY, "--data_dir", few_digits, "--ckpt_path", output, "--max_epoch", 2, "--ckpt_interval", 6
    )
    assert done.code == 0, done.err
    return Path(done.result["run"])


@pytest.fixture(scope="module")
def place(few_digits, run, tmp_path_factory) -> Path:
    """A folder with one broken thing under each name that the table below uses."""
    root = tmp_path_factory.mktemp("broken")
    (root / "empty").mkdir()
    (root / "good").symlink_to(few_digits)
    (root / "run").symlink_to(run)

    batch = (few_digits / "data_batch_1.bin").read_bytes()
    (root / "short").mkdir()
    (root / "short/data_batch_1.bin").write_bytes(batch[:-1000])
    (root / "label").mkdir()
    (root / "label/data_batch_1.bin").write_bytes(bytes([77]) + batch[1:])
    (root / "no_test").mkdir()
    (root / "no_test/data_batch_1.bin").write_bytes(batch)

    for name in ("tree", "tree_corrupt"):
        for label in ("cat", "dog"):
            folder = root / name / label
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = np.random.default_rng(i).integers(0, 255, (20, 20, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.jpg")
    corrupt = root / "tree_corrupt/cat/2.jpg"
    corrupt.write_bytes(corrupt.read_bytes()[:300])

    file = next((run / "checkpoints").glob("*.ckpt"))
    (root / "damaged.ckpt").write_bytes(file.read_bytes()[:5000])
    tensors = [{"name": name, "data": p} for name, p in ms.load_checkpoint(str(file)).items()]
    weights = [entry for entry in tensors if not entry["name"].startswith("moments.")]
    entries = [entry for entry in weights if entry["name"] not in ("step_num", "epoch_num", "seed")]
    ms.save_checkpoint(entries, str(root / "only_weights.ckpt"))
    entries[0] = {"name": "somewhere.else", "data": entries[0]["data"]}
    ms.save_checkpoint(entries, str(root / "other.ckpt"))
    (root / "text.txt").write_text("no checkpoint")

    (root / "without/mindspore").mkdir(parents=True)
    (root / "without/mindspore/__init__.py").write_text("raise RuntimeError('mindspore is imported')")

    (root / "broken.yaml").write_text("net: densenet22\nlr: [0.1\nmax_epoch: 3\n")
    (root / "tree.yaml").write_text("net: densenet22\ndataset: imagenet\nnum_classes: 2\n")
    (root / "unknown.yaml").write_text("net: densenet22\nlr_rate: 0.1\n")
    return root


# id: (program, arguments, exit code, parts of the one line). {} is the folder `place`.
CASES = {
    "data folder missing": (TRAIN, "--data_dir {}/nowhere", 2, ["nowhere", "--data_dir"]),
    "data folder is a file": (TRAIN, "--data_dir {}/text.txt", 2, ["text.txt", "not a folder"]),
    "data folder empty": (TRAIN, "--data_dir {}/empty", 2, ["empty", "data_batch"]),
    "data folder not named": (TRAIN, "--dataset cifar10 --net densenet100", 2, ["cifar10", "--data_dir"]),
    "no test batch": (EVAL, "--data_dir {}/no_test --pretrained {}/run", 2, ["test_batch.bin"]),
    "batch file cut short": (TRAIN, "--data_dir {}/short", 2, ["data_batch_1.bin", "3073", "cut short"]),
    "label out of range": (TRAIN, "--data_dir {}/label", 2, ["label 77", "num_classes is 10"]),
    "num_classes too small": (TRAIN, "--data_dir {}/good --num_classes 5", 2, ["num_classes is 5"]),
    "num_classes too large": (
        TRAIN,
        "--data_dir {}/good --num_classes 12",
        2,
        ["10 classes", "--num_classes 10", "--allow_unused_classes"],
    ),
    "num_classes zero": (TRAIN, "--num_classes 0", 2, ["num_classes", "0", "at least 1"]),
    "class folders missing": (
        TRAIN,
        "--config_path {}/tree.yaml --data_dir {}/empty --num_classes 2",
        2,
        ["empty", "class"],
    ),
    "class folders too many": (
        TRAIN,
        "--config_path {}/tree.yaml --data_dir {}/tree --num_classes 1",
        2,
        ["2 class folders", "--num_classes 2"],
    ),
    "class folders too few": (
        TRAIN,
        "--config_path {}/tree.yaml --data_dir {}/tree --num_classes 3",
        2,
        ["2 class folders", "--allow_unused_classes"],
    ),
    "corrupt image": (
        TRAIN,
        "--config_path {}/tree.yaml --data_dir {}/tree_corrupt --num_classes 2 --per_batch_size 8 --image_size 16",
        2,
        ["tree_corrupt/cat/2.jpg", "--skip_corrupt"],
    ),
    "corrupt image in evaluation": (
        EVAL,
        "--config_path {}/tree.yaml --data_dir {}/tree_corrupt --num_classes 2 --image_size 16 --eval_resize 18"
        " --pretrained {}/run --filter_head true",
        2,
        ["tree_corrupt/cat/2.jpg", "--skip_corrupt"],
    ),
    "fewer images than a batch": (
        TRAIN,
        "--data_dir {}/good --per_batch_size 500",
        2,
        ["200 training images", "500"],
    ),
    "net unknown": (TRAIN, "--net densenet101", 2, ["densenet101", "densenet100", "densenet121"]),
    "dataset unknown": (TRAIN, "--dataset mnist", 2, ["mnist", "digits", "cifar10", "imagenet"]),
    "image_size not parsable": (TRAIN, "--image_size 32x", 2, ["image_size", "32x"]),
    "image_size zero": (TRAIN, "--image_size 0,16", 2, ["image_size", "0,16"]),
    "image_size too small for the net": (
        TRAIN,
        "--data_dir {}/good --image_size 2",
        2,
        ["--image_size 2,2", "at least 4"],
    ),
    "lr negative": (TRAIN, "--lr -0.1", 2, ["lr", "-0.1", "at least 0"]),
    "lr not a number": (TRAIN, "--lr fast", 2, ["lr", "fast", "number"]),
    "option misspelt": (TRAIN, "--lr_shceduler cosine_annealing", 2, ["lr_shceduler", "lr_scheduler"]),
    "option without value": (TRAIN, "--lr", 2, ["--lr"]),
    "resume misspelt": (TRAIN, "--resume atuo", 2, ["--resume atuo", "run folder", "auto or none"]),
    "resume from a missing folder": (TRAIN, "--resume {}/gone", 2, ["{}/gone", "run folder", "auto or none"]),
    "resume from an empty folder": (TRAIN, "--resume {}/empty", 2, ["no complete checkpoint", "empty"]),
    "resume from weights alone": (
        TRAIN,
        "--data_dir {}/good --resume {}/only_weights.ckpt",
        2,
        ["--pretrained", "--resume"],
    ),
    "resume from another net": (
        TRAIN,
        "--data_dir {}/good --net densenet100 --image_size 8 --resume {}/run",
        2,
        ["does not fit", "missing"],
    ),
    "checkpoint missing": (
        EVAL,
        "--data_dir {}/good --ckpt_path {}/no.ckpt",
        2,
        ["no checkpoint at", "no.ckpt", "--pretrained"],
    ),
    "pretrained missing": (EVAL, "--data_dir {}/good --pretrained {}/no.ckpt", 2, ["no.ckpt"]),
    "pretrained not given": (EVAL, "--data_dir {}/good", 2, ["--pretrained"]),
    "pretrained is text": (EVAL, "--data_dir {}/good --pretrained {}/text.txt", 2, ["text.txt", ".ckpt"]),
    "pretrained damaged": (EVAL, "--data_dir {}/good --pretrained {}/damaged.ckpt", 2, ["damaged"]),
    "pretrained folder empty": (EVAL, "--data_dir {}/good --pretrained {}/empty", 2, ["empty", ".ckpt"]),
    "pretrained of another net": (
        EVAL,
        "--data_dir {}/good --net densenet100 --image_size 8 --pretrained {}/run",
        2,
        ["missing (stages.0.layers.3", "of other shape", "instead of"],
    ),
    "pretrained with another tensor": (
        EVAL,
        "--data_dir {}/good --pretrained {}/other.ckpt",
        2,
        ["1 missing (stem.conv0.weight)", "1 unexpected (somewhere.else)"],
    ),
    "pretrained with other classes": (
        TRAIN,
        "--data_dir {}/good --num_classes 12 --allow_unused_classes true --pretrained {}/run",
        2,
        ["its classifier has 10 classes, this network's 12", "--filter_head true", "--num_classes 10"],
    ),
    "evaluated with other classes": (
        EVAL,
        "--data_dir {}/good --num_classes 12 --pretrained {}/run",
        2,
        ["its classifier has 10 classes, this network's 12", "--num_classes 10"],
    ),
    "no checkpoint to evaluate": (
        EVAL,
        "--data_dir {}/good --ckpt_path {}/empty",
        2,
        ["empty", "--pretrained"],
    ),
    "YAML broken": (TRAIN, "--config_path {}/broken.yaml", 2, ["broken.yaml:3"]),
    "YAML with an unknown key": (TRAIN, "--config_path {}/unknown.yaml", 2, ["lr_rate", "unknown.yaml"]),
    "recipe missing": (TRAIN, "--config_path {}/no.yaml", 2, ["no.yaml"]),
    "output is a file": (TRAIN, "--data_dir {}/good --ckpt_path {}/text.txt", 1, ["text.txt", "--ckpt_path"]),
    "output can't be written": (
        TRAIN,
        "--data_dir {}/good --ckpt_path /proc/mindlift",
        1,
        ["/proc/mindlift"],
    ),
    "sink mode on a CPU": (
        TRAIN,
        "--data_dir {}/good --dataset_sink_mode true",
        2,
        ["--dataset_sink_mode", "Ascend"],
    ),
    "cache server": (
        TRAIN,
        "--data_dir {}/good --enable_cache true",
        2,
        ["--enable_cache true", "not supported"],
    ),
    "frozen layers": (
        TRAIN,
        "--data_dir {}/good --freeze_layer backbone",
        2,
        ["--freeze_layer backbone", "every layer"],
    ),
    "no checkpoints": (
        TRAIN,
        "--data_dir {}/good --save_checkpoint False",
        2,
        ["--save_checkpoint false", "continued"],
    ),
    "parameter server": (
        TRAIN,
        "--data_dir {}/good --parameter_server true",
        2,
        ["--parameter_server true", "local_ranks.sh"],
    ),
    "phases of different number": (
        TRAIN,
        "--data_dir {}/good --lr_scheduler phases --phase_epochs 1,1",
        2,
        ["--phase_epochs 1,1", "--phase_lr 0.2,0.05,0.002"],
    ),
    "a phase too many": (
        TRAIN,
        "--data_dir {}/good --lr_scheduler phases --phase 4",
        2,
        ["--phase 4", "3 phases"],
    ),
    "no such device": (TRAIN, "--device_target TPU", 2, ["TPU", "Ascend", "CPU"]),
    "group_size without ranks": (TRAIN, "--group_size 8", 2, ["group_size", "8"]),
    "a cloud job without data": (
        TRAIN,
        "--enable_modelarts true --net densenet100 --dataset cifar10",
        2,
        ["--data_url"],
    ),
}


# Those that are found while mindspore works; all others before it is imported, so in a fraction of a second.
LATE = {
    "label out of range",
    "num_classes too small",
    "num_classes too large",
    "corrupt image",
    "corrupt image in evaluation",
    "fewer images than a batch",
    "image_size too small for the net",
    "resume from weights alone",
    "resume from another net",
    "pretrained damaged",
    "pretrained of another net",
    "pretrained with another tensor",
    "pretrained with other classes",
    "evaluated with other classes",
    "output is a file",
    "output can't be written",
}


def arguments(text: str, place: Path) -> list[str]:
    return [word.replace("{}", str(place)) for word in text.split()]


def files(*folders: Path) -> dict[Path, tuple[int, int]]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line(case, place, run, tmp_path):
    program, text, code, parts = CASES[case]
    given = arguments(text, place)
    given += [] if "--net" in given or "--config_path" in given else ["--net", "densenet22"]
    given += [] if "--ckpt_path" in given else ["--ckpt_path", str(tmp_path / "out")]
    before = files(place, run)
    extra = {} if case in LATE else {"PYTHONPATH": str(place / "without")}
    done = run_program(program, *given, **extra)
    assert done.code == code, done.err + done.out
    for part in parts:
        assert part.replace("{}", str(place)) in done.error
    assert done.err == done.error + "\n"
    assert files(place, run) == before
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".ckpt", ".part"))]
    assert case in LATE or not list(tmp_path.iterdir())


def test_a_corrupt_image_is_replaced_and_counted_when_asked(place, tmp_path):
    done = run_program(
        TRAIN,
        "--config_path",
        place / "tree.yaml",
        "--data_dir",
        place / "tree_corrupt",
        "--image_size",
        16,
        "--eval_resize",
        18,
        "--per_batch_size",
        8,
        "--max_epoch",
        1,
        "--lr",
        0.1,
        "--skip_corrupt",
        "true",
        "--run_eval",
        "true",
        "--ckpt_path",
        tmp_path,
    )
    assert done.code == 0, done.err
    assert "replaced corrupt images 1 times" in done.out + done.err
    assert done.result["total"] == 7, "the eighth is not counted as an image"


MSRUN = {"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "1"}

# id: (variables, arguments, parts of the one line)
VARIABLES = {
    "rank without size": ({"RANK_ID": "0"}, "", ["RANK_ID=0", "RANK_SIZE is not set"]),
    "size without rank": ({"RANK_SIZE": "2"}, "", ["RANK_SIZE=2", "RANK_ID is not set"]),
    "rank above size": ({"RANK_ID": "3", "RANK_SIZE": "2"}, "", ["RANK_ID=3", "RANK_SIZE=2"]),
    "rank not a number": ({"RANK_ID": "one", "RANK_SIZE": "2"}, "", ["RANK_ID=one", "whole number"]),
    "role without the rest": ({"MS_ROLE": "MS_WORKER"}, "", ["MS_ROLE=MS_WORKER", "MS_WORKER_NUM", "msrun"]),
    "workers without role": ({"MS_WORKER_NUM": "2"}, "", ["MS_ROLE is not set", "MS_WORKER_NUM=2"]),
    "worker without number": (MSRUN, "", ["MS_NODE_ID is not set", "--node_rank"]),
    "two launchers": ({**MSRUN, "MS_NODE_ID": "0", "RANK_ID": "1"}, "", ["RANK_ID=1", "MS_NODE_ID=0"]),
    "openmpi half": ({"OMPI_COMM_WORLD_SIZE": "2"}, "", ["OMPI_COMM_WORLD_RANK is not set"]),
    "rank table missing": (
        {"RANK_ID": "0", "RANK_SIZE": "2", "RANK_TABLE_FILE": "/nowhere"},
        "",
        ["RANK_TABLE_FILE=/nowhere"],
    ),
    "group_size of another launch": (
        {**MSRUN, "MS_NODE_ID": "0"},
        "--group_size 8",
        ["--group_size 8", "2 process(es)", "local_ranks.sh 8"],
    ),
    "rank of another launch": ({**MSRUN, "MS_NODE_ID": "0"}, "--rank 1", ["--rank 1", "this is rank 0"]),
    "one process wanted": (
        {**MSRUN, "MS_NODE_ID": "0"},
        "--is_distributed 0",
        ["--is_distributed 0", "2 process(es)"],
    ),
    "a mistake in the scheduler": (
        {**MSRUN, "MS_ROLE": "MS_SCHED"},
        "--data_dir /nowhere",
        ["--data_dir /nowhere"],
    ),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_rank_variables_that_make_no_sense_are_one_line(case, place, tmp_path):
    variables, text, parts = VARIABLES[case]
    done = run_program(
        TRAIN,
        *TINY,
        "--ckpt_path",
        tmp_path / "out",
        *text.split(),
        PYTHONPATH=str(place / "without"),
        **variables,
    )
    assert done.code == 2, done.err
    for part in parts:
        assert part in done.error
    assert done.err == done.error + "\n"
    assert not list(tmp_path.iterdir())


def test_more_ranks_than_images(few_digits, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    images, labels = cifar10.read_batch(few_digits / "data_batch_1.bin")
    cifar10.write_batch(folder / "data_batch_1.bin", images[:1], labels[:1])
    started = time.monotonic()
    done = run_ranks(
        2,
        TRAIN,
        *TINY,
        "--data_dir",
        folder,
        "--ckpt_path",
        tmp_path / "out",
        "--per_batch_size",
        1,
        LOG_DIR=str(tmp_path / "logs"),
    )
    assert done.code == 2, done.err
    assert "2 ranks but only 1 training images" in done.error
    assert time.monotonic() - started < 60


def test_a_port_that_is_taken(few_digits, tmp_path):
    """Two ranks and their scheduler, whose port another program has."""
    program = tmp_path / "python"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        program.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo {port} || exec {sys.executable} "$@"\n')
        program.chmod(0o755)
        started = time.monotonic()
        done = run_ranks(
            2,
            TRAIN,
            *TINY,
            "--data_dir",
            few_digits,
            "--ckpt_path",
            tmp_path / "out",
            LOG_DIR=str(tmp_path / "logs"),
            PYTHON=str(program),
        )
    assert done.code == 1, done.err
    assert str(tmp_path / "logs/scheduler.log") in done.err
    assert len(done.err.splitlines()) == 1
    assert time.monotonic() - started < 60
    log = (tmp_path / "logs/scheduler.log").read_text().splitlines()[-1]
    assert log.startswith(f"error: the scheduler could not join the other ranks at 127.0.0.1:{port}")
    assert "another job has taken the port" in log
    assert not list(tmp_path.rglob("*.ckpt"))


def prepared(prepare: Callable[[], None], *given: object) -> Finished:
    """train.py in a process that `prepare` has restricted."""
    command = [sys.executable, str(ROOT / TRAIN), *map(str, given)]
    return Finished(
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment(),
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    )


def limited(*given: object, most_bytes: int) -> Finished:
    """train.py with a disk that takes no file above `most_bytes`: writing fails as on a full one."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    return prepared(limit, *given)


def test_a_folder_without_permission(few_digits, tmp_path):
    def obey_permissions() -> None:
        if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
            assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0

    tmp_path.chmod(0o555)
    done = prepared(obey_permissions, *TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path)
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    for part in (str(tmp_path), "Permission denied", "--ckpt_path"):
        assert part in done.error
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_from_the_start(few_digits, tmp_path):
    done = limited(*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path, most_bytes=10)
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    assert str(tmp_path) in done.error
    assert "File too large" in done.error
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_under_the_log(few_digits, tmp_path):
    (tmp_path / "rank_0.log").symlink_to("/dev/full")
    done = run_program(
        TRAIN, *TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path / "out", "--log_path", tmp_path
    )
    assert done.code == 1, done.err
    assert done.err == done.error + "\n"
    for part in ("rank_0.log", "No space left on device", "--log_path"):
        assert part in done.error


def test_a_full_disk_leaves_the_last_good_checkpoint(few_digits, run, tmp_path):
    shutil.copytree(run, tmp_path / run.name)
    folder = tmp_path / run.name / "checkpoints"
    (folder.parent / "result.json").unlink()  # as if it had been killed after its first checkpoint
    (folder / "densenet22-2_6.ckpt").unlink()
    command = (
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        2,
        "--ckpt_interval",
        6,
    )
    before = files(folder)
    done = limited(*command, most_bytes=20_000)
    assert done.code == 1, done.err + done.out
    assert done.err == done.error + "\n"
    for part in ("can't save checkpoint", "File too large", "earlier checkpoints are unharmed"):
        assert part in done.error
    assert files(folder) == before
    last = run_program(TRAIN, *command)
    assert last.code == 0, last.err
    assert "continuing from" in last.out
    assert "after step 6" in last.out


def interrupted(program: str, *given: object, when: Callable[[subprocess.Popen], bool]) -> Finished:
    """A program that is sent Ctrl-C as soon as `when` is true."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / program), *map(str, given)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not when(process):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Finished(subprocess.CompletedProcess([], process.returncode, out, err))


def test_ctrl_c_while_mindspore_is_imported(few_digits, tmp_path):
    done = interrupted(
        TRAIN,
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        when=lambda process: "libmindspore" in Path(f"/proc/{process.pid}/maps").read_text(),
    )
    assert (done.code, done.err) == (130, "error: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_an_evaluation(place):
    """The graph is being compiled then; an exception there would bring mindspore's view of it along."""
    done = interrupted(
        EVAL,
        *TINY,
        "--data_dir",
        place / "good",
        "--pretrained",
        place / "run",
        "--per_batch_size",
        1,
        "--progress",
        "true",
        when=lambda process: b"evaluate" in os.read(process.stderr.fileno(), 1000),
    )
    assert done.code == 130, done.err
    assert done.error == "error: interrupted"
    assert done.err.splitlines()[-1] == done.error
    assert "# In file" not in done.err


def test_ctrl_c_in_the_training_saves(few_digits, tmp_path):
    done = interrupted(
        TRAIN,
        *TINY,
        "--data_dir",
        few_digits,
        "--ckpt_path",
        tmp_path,
        "--max_epoch",
        400,
        "--ckpt_interval",
        9999,
        "--log_interval",
        1,
        when=lambda process: process.stdout.readline().startswith("epoch["),
    )
    assert done.code in (1, 130), done.err
    assert done.err == done.error + "\n"
    saved = checkpoint_manifest.latest(next(tmp_path.iterdir()) / "checkpoints")
    assert f"after step {saved.step}; the same command continues from" in done.error
    assert saved.file in done.error


def test_a_mistake_on_several_ranks_is_said_once(tmp_path):
    done = run_ranks(2, TRAIN, *TINY, "--lr", "-1", "--ckpt_path", tmp_path, LOG_DIR=str(tmp_path / "logs"))
    assert done.code == 2
    assert "at least 0" in done.error


def test_the_traceback_is_there_with_debug(tmp_path):
    done = run_program(TRAIN, "--data_dir", tmp_path / "nowhere", "--debug", "true")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.rstrip().splitlines()[-1].startswith("error: ")
