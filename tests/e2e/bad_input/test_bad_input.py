"""What a user sees for bad input: one line, the right exit code, nothing lost. Real runs of train.py and eval.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.interrupted import files
from tests.support.programs import EVAL, TRAIN, run_program

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
        "--config_path {}/tree.yaml --data_dir {}/tree_corrupt --num_classes 10 --allow_unused_classes true"
        " --image_size 16 --eval_resize 18 --pretrained {}/run",
        2,
        ["tree_corrupt/cat/2.jpg", "--skip_corrupt"],
    ),
    "fewer images than a batch": (
        TRAIN,
        "--data_dir {}/good --per_batch_size 500",
        2,
        ["200 images", "500"],
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
        ["missing (stages.0.layers.10", "of other shape", "instead of"],
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
    "bfloat16 on a CPU": (
        TRAIN,
        "--data_dir {}/good --amp_level O2 --amp_dtype bfloat16",
        2,
        ["--amp_dtype bfloat16", "Ascend 910B", "runs on CPU"],
    ),
    "bfloat16 in an evaluation on a CPU": (
        EVAL,
        "--data_dir {}/good --pretrained {}/run --amp_level O1 --amp_dtype bf16",
        2,
        ["--amp_dtype bfloat16", "runs on CPU", "--amp_dtype float16"],
    ),
    "a teacher without weights": (
        TRAIN,
        "--data_dir {}/good --teacher densenet22",
        2,
        ["--teacher densenet22", "--teacher_weights"],
    ),
    "a teacher that there is not": (
        TRAIN,
        "--data_dir {}/good --teacher densenet23 --teacher_weights {}/run",
        2,
        ["--teacher", "densenet23", "densenet22"],
    ),
    "a teacher's weights that are not there": (
        TRAIN,
        "--data_dir {}/good --teacher densenet22 --teacher_weights {}/no.ckpt",
        2,
        ["no.ckpt"],
    ),
    "a teacher of other classes": (
        TRAIN,
        "--data_dir {}/good --num_classes 12 --allow_unused_classes true --teacher densenet22 --teacher_weights {}/run",
        2,
        ["--teacher_weights", "10 classes", "--num_classes is 12"],
    ),
    "a teacher that is another network": (
        TRAIN,
        "--data_dir {}/good --teacher densenet100 --teacher_weights {}/run",
        2,
        ["--teacher_weights", "densenet22", "--teacher densenet100"],
    ),
    "weights without decay that are not there": (
        TRAIN,
        "--data_dir {}/good --weight_decay_exclude *.bias,pos_embed",
        2,
        ["--weight_decay_exclude", "pos_embed", "stem.conv0.weight"],
    ),
    "frozen weights that are not there": (
        TRAIN,
        "--data_dir {}/good --freeze layer1",
        2,
        ["--freeze layer1", "stem.conv0.weight"],
    ),
    "drop path without residual branches": (
        TRAIN,
        "--data_dir {}/good --drop_path 0.1",
        2,
        ["--drop_path 0.1", "no effect on densenet22"],
    ),
    "batch norms over ranks without any": (
        TRAIN,
        "--data_dir {}/good --net bit_r50x1 --image_size 32 --sync_bn true",
        2,
        ["--sync_bn true", "bit_r50x1", "no batch norm"],
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
# Those that are found when the network has been built, and still before there is a run.
NETWORKS = {
    "image_size too small for the net",
    "a teacher of other classes",
    "a teacher that is another network",
    "weights without decay that are not there",
    "frozen weights that are not there",
    "drop path without residual branches",
    "batch norms over ranks without any",
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
    *NETWORKS,
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
    assert case in LATE - NETWORKS or not list(tmp_path.iterdir())


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
    assert re.search(r"corrupt image .*/2\.jpg: .*; another image takes its place", done.out)
    assert "images that can't be read: 1 of 8" in done.out
    assert done.result["total"] == 7, "the eighth is not counted as an image"


def test_the_traceback_is_there_with_debug(tmp_path):
    done = run_program(TRAIN, "--data_dir", tmp_path / "nowhere", "--debug", "true")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.rstrip().splitlines()[-1].startswith("error: ")
