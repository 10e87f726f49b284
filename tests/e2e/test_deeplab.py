"""DeepLabV3 as a user runs it: real processes on embedded images to segment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.test_scripts import Script
from tests.support.programs import ROOT, run_program, run_ranks
from tests.support.weights import assert_same

EVALUATED = ["--model", "deeplab_v3_r26_s16", "--dataset", "vocdigits", "--crop_size", 65]
NET = [*EVALUATED, "--log_interval", 1]
TRAIN, VAL = 14, 7


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """14 training and 7 validation images in VOC's layout."""
    from mindlift.data.embedded import vocdigits as demo_voc

    root = demo_voc.build_voc(tmp_path_factory.mktemp("vocdigits") / "all")
    for name, count in (("voc_train_lst.txt", TRAIN), ("voc_val_lst.txt", VAL)):
        lines = (root / name).read_text().splitlines()
        (root / name).write_text("\n".join(lines[:count]) + "\n")
    return root


def train(images: Path, output: Path, *words: object, ranks: int = 1):
    words = (
        *NET,
        "--dropout",
        0.5,
        "--data_root",
        images,
        "--train_dir",
        output,
        "--batch_size",
        4 // ranks,
        "--train_epochs",
        2,
        "--log_style",
        "original",
        *words,
    )
    done = run_program("train.py", *words) if ranks == 1 else run_ranks(ranks, "train.py", *words)
    assert done.code == 0, done.err + done.out
    return done


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Two epochs of three steps in one go, a checkpoint at every second step."""
    return train(images, tmp_path_factory.mktemp("trained"), "--save_steps", 2, "--run_eval", "true")


def figures(done) -> dict:
    assert done.code == 0, done.err + done.out
    return next(json.loads(line) for line in done.out.splitlines() if line.startswith('{"checkpoint"'))


def test_a_training_tells_what_the_documents_say(trained):
    lines = trained.out.splitlines()
    steps = [
        found.groups()
        for found in (re.fullmatch(r"epoch: (\d+) step: (\d+), loss is [\d.]+", line) for line in lines)
        if found
    ]
    assert steps == [(epoch, step) for epoch in "12" for step in "123"]
    assert (
        sum(bool(re.fullmatch(r"Epoch time: \d+\.\d{3}, per step time: \d+\.\d{3}", line)) for line in lines)
        == 2
    )
    assert trained.result["total"] == VAL
    assert 0 < trained.result["miou"] < 1


@pytest.mark.heavy
def test_evaluation_finds_what_the_training_said_over_any_ranks_and_leaves_pictures(
    trained, images, tmp_path
):
    words = [*EVALUATED, "--data_root", images, "--ckpt_path", trained.result["checkpoint"], "--freeze_bn"]
    one = figures(run_program("eval.py", *words, "--batch_size", 3, "--eval_path", tmp_path, "--overlays", 4))
    two = figures(run_ranks(2, "eval.py", *words, "--batch_size", 2))
    assert one["miou"] == two["miou"] == trained.result["miou"]
    assert one["per_class"] == two["per_class"]
    assert one["per_class"].keys() == {"background", *(f"digit {i}" for i in range(10))}
    assert (one["total"], one["skipped"]) == (VAL, 0)
    kept = json.loads(next(tmp_path.glob("*.json")).read_text())
    truth = [
        np.asarray(Image.open(images / line.split()[1]))
        for line in (images / "voc_val_lst.txt").read_text().splitlines()
    ]
    assert np.sum(kept["confusion"]) == sum(
        (label != 255).sum() for label in truth
    ), "every pixel that counts, once"
    with Image.open(next(tmp_path.glob("*.png"))) as sheet:
        assert min(sheet.size) > 200


def test_scales_and_mirror_are_options_of_the_evaluation(trained, images):
    words = [
        *EVALUATED,
        "--data_root",
        images,
        "--pretrained",
        trained.result["checkpoint"],
        "--batch_size",
        4,
    ]
    found = figures(run_program("eval.py", *words, "--scales=0.5", "--scales=1.0", "--flip"))
    assert (found["scales"], found["flip"], found["total"]) == ([0.5, 1.0], True, VAL)


@pytest.mark.heavy
def test_a_continued_training_ends_with_the_same_weights(trained, images, tmp_path):
    first = train(images, tmp_path, "--save_steps", 2, "--max_steps", 4)
    again = train(images, tmp_path, "--save_steps", 2, "--resume", first.result["run"])
    assert "after step 4" in again.out
    assert_same(trained.result["checkpoint"], again.result["checkpoint"])


@pytest.mark.heavy
def test_another_number_of_classes_starts_from_a_checkpoint_without_its_head(trained, images, tmp_path):
    words = ["--num_classes", 13, "--ckpt_pre_trained", trained.result["checkpoint"], "--max_steps", 1]
    refused = run_program(
        "train.py", *NET, "--data_root", images, "--train_dir", tmp_path, "--batch_size", 4, *words
    )
    assert refused.code != 0
    assert "--filter_head true" in refused.error
    done = train(images, tmp_path, *words, "--filter_weight", "True", "--freeze_bn", "--is_distributed", 0)
    assert done.result["steps"] == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--mixup_alpha", 0.2], ["--mixup_alpha 0.2", "no effect on segmentation"]),
        (["--aspp_rates", "6,12"], ["--aspp_rates 6,12", "three numbers"]),
        (["--data_root", "", "--data_file", "/nowhere/x0"], ["--data_file /nowhere/x0", "/nowhere"]),
        (["--data_lst", "nowhere.txt"], ["nowhere.txt", "--data_lst"]),
    ],
)
def test_mistakes_are_one_line(words, parts, images, tmp_path):
    done = run_program(
        "train.py", *NET, "--data_root", images, "--train_dir", tmp_path, "--batch_size", 4, *words
    )
    assert done.code == 2, done.err
    assert all(part in done.error for part in parts), done.error
    assert not list(tmp_path.glob("*/checkpoints/*"))


@pytest.fixture(scope="module")
def records(images, tmp_path_factory) -> Path:
    """The training images as the documents' MindRecord shards."""
    target = tmp_path_factory.mktemp("records") / "vocaug_mindrecord"
    done = run_program(
        "src/data/build_seg_data.py",
        "--data_root",
        images,
        "--data_lst",
        images / "voc_train_lst.txt",
        "--dst_path",
        target,
        "--num_shards",
        2,
        "--num_classes",
        11,
    )
    assert done.code == 0, done.err
    return target.with_name(target.name + "0")


SMALL = ["--model", "deeplab_v3_r26_s16", "--num_classes", 11, "--crop_size", 65, "--batch_size", 2]


@pytest.mark.heavy
def test_the_documents_scripts_train_and_evaluate_on_cpu_ranks(records, images, tmp_path):
    alone = Script(
        "run_standalone_train_cpu.sh",
        records,
        *SMALL,
        "--train_epochs",
        1,
        "--max_steps",
        2,
        "--json",
        "true",
        "--train_dir",
        tmp_path / "runs",
        folder=tmp_path / "alone",
    ).end()
    assert alone.code == 0, alone.err
    stage = Script(
        "run_distribute_train_s8_r2.sh",
        records,
        alone.result["checkpoint"],
        2,
        *SMALL,
        "--train_epochs",
        1,
        "--max_steps",
        2,
        "--json",
        "true",
        "--train_dir",
        tmp_path / "runs",
        folder=tmp_path / "stage",
    ).end()
    assert stage.code == 0, stage.err
    assert stage.result["steps"] == 2
    evaluation = Script(
        "run_eval_s8_multiscale_filp.sh",
        images,
        images / "voc_val_lst.txt",
        stage.result["checkpoint"],
        *SMALL,
        "--json",
        "true",
        folder=tmp_path / "eval",
        EVAL_PATH=str(tmp_path / "eval"),
    ).end()
    assert figures(evaluation)["scales"] == [0.5, 0.75, 1.0, 1.25, 1.75]
    assert "mean IoU" in (tmp_path / "eval/eval_log").read_text()


def test_every_script_of_the_documents_is_there():
    names = {path.name for path in (ROOT / "scripts").glob("*.sh")}
    stages = {f"run_distribute_train_{stage}.sh" for stage in ("s16_r1", "s8_r1", "s8_r2")}
    protocols = {
        f"run_eval_{kind}.sh"
        for kind in ("s16", "s8", "s8_multiscale", "s8_multiscale_flip", "s8_multiscale_filp")
    }
    assert (
        stages | protocols | {"build_data.sh", "run_standalone_train.sh", "run_standalone_train_cpu.sh"}
        <= names
    )


@pytest.mark.heavy
def test_three_stages_as_three_submitted_jobs(home, records, tmp_path):
    """The job files of the documents' three stages, each rehearsed from the bucket where the stage before it left its weights."""
    small = [
        "num_classes=11",
        "image_size=65",
        "per_batch_size=2",
        "max_epoch=1",
        "log_interval=1",
        "data_file=vocaug_mindrecord0",
    ]
    runs, weights = f"obs://{home.bucket}/runs", ""
    for stage, output_stride in (("s16_r1", 16), ("s8_r1", 8), ("s8_r2", 8)):
        config = ROOT / f"cloud/jobs/deeplabv3_{stage}.yaml"
        done = home.run(
            "--config",
            config,
            "--provider",
            "local",
            "--allow_dirty",
            "true",
            "--cards",
            2,
            "--net",
            f"deeplab_v3_r26_s{output_stride}",
            "--data_url",
            records.parent,
            "--train_url",
            f"{runs}/{stage}/",
            "--pretrained",
            weights,
            "--recipe",
            *small,
            "--wait",
            "--out",
            tmp_path / stage,
        )
        assert done.code == 0, done.err + done.out
        result = json.loads((Path(done.out.strip().splitlines()[-1]) / "result.json").read_text())
        assert result["steps"] == TRAIN // 4
        weights = f"{runs}/{stage}/"


LEARNT = {1: 0.65, 2: 0.65}  # mean IoU at least


@pytest.mark.heavy
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_whole_training_reaches_its_miou(ranks, tmp_path):
    words = [
        "--net",
        "deeplab_v3_r26_s16",
        "--dataset",
        "vocdigits",
        "--batch_size",
        8 // ranks,
        "--ckpt_path",
        tmp_path,
    ]
    if ranks == 1:
        done = run_program("train.py", *words, timeout=3000)
    else:
        done = run_ranks(2, "train.py", *words, LOG_DIR=str(tmp_path / "logs"), timeout=3000)
    assert done.code == 0, done.err
    print(
        f"{ranks} ranks: mIoU {done.result['miou']} of {done.result['total']} images in {done.result['seconds']} s"
    )
    assert done.result["total"] == 120
    assert done.result["miou"] >= LEARNT[ranks]
