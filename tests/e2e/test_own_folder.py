"""A folder of pictures, three commands: trained, predicted and shown, as docs/quickstart.md has it, on a small network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.data.classification.held_out import held_out
from mindlift.runs import manifest
from tests.support import pages, photos
from tests.support.programs import ROOT, Finished, environment, run_program, run_ranks, wait_for
from tests.support.weights import assert_same

SMALL = ("--net", "densenet22", "--max_epoch", "6")


def mindlift(*words: object, cwd: Path, **extra: str) -> Finished:
    """The command as somebody types it."""
    done = subprocess.run(
        [sys.executable, "-m", "mindlift", *map(str, words)],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT / "src"), **extra),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Finished(done)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """photos/ with 60 zeros, ones and twos each, and new/ with others of them."""
    root = tmp_path_factory.mktemp("place")
    photos.write(root / "photos", count=60)
    photos.write(root / "new", count=20, first=100)
    return root


@pytest.fixture(scope="module")
def trained(place) -> Finished:
    done = mindlift("train", "--data_dir", "photos/", *SMALL, cwd=place)
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def run(place, trained) -> Path:
    (found,) = (place / "output").glob("*-*")
    return found


@pytest.mark.heavy
def test_what_a_training_says_first_and_last(trained, run):
    lines = trained.out.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == ["images", "network", "training", "evaluation"]
    assert "180 of 3 classes (one, two, zero) in photos" in lines[0]
    assert "36 of them" in lines[0]
    assert "6 epochs of 18 steps of 8 images" in lines[2]
    assert not [line for line in lines if line.startswith("{")]
    result = json.loads((run / "result.json").read_text())
    at = next(
        number for number, line in enumerate(lines) if line.startswith("run output/") and "steps in" in line
    )
    assert f"top-1 {result['top1']:.2f} % of 36 images" in lines[at]
    assert "best checkpoint: output/" in lines[at + 1]
    assert trained.err.splitlines() == [
        f"next: mindlift predict output/{run.name} IMAGES",
        f"      mindlift report output/{run.name}",
    ]


@pytest.mark.heavy
def test_the_best_and_the_newest_two_are_kept_and_the_best_is_used(run, place):
    saved = manifest.listed(run / "checkpoints")
    evaluations = [
        json.loads(line)
        for line in (run / "metrics.jsonl").read_text().splitlines()
        if '"evaluation"' in line
    ]
    figures = {each["step"]: each["top1"] for each in evaluations}
    best = min(step for step in figures if figures[step] == max(figures.values()))
    assert sorted(figures) == [18, 36, 54, 72, 90, 108]
    assert [each.step for each in saved] == sorted({best, 90, 108})
    assert max(figures.values()) > 80
    done = mindlift("eval", run, "--json", cwd=place)
    assert done.code == 0, done.err
    assert (done.result["total"], done.result["top1"]) == (36, max(figures.values()))
    file = next(each.file for each in saved if each.step == best)
    assert Path(done.result["checkpoint"]).name == file
    assert "the 20 % of them that its training did not see" in done.out


@pytest.mark.heavy
def test_new_pictures_are_predicted(run, place):
    done = mindlift("predict", "output/", "new/", "--output_csv", "classes.csv", cwd=place)
    assert done.code == 0, done.err
    rows = [line.split(",") for line in (place / "classes.csv").read_text().splitlines()[1:]]
    first = {row[0]: row[3] for row in rows if row[1] == "1"}
    right = [Path(name).parent.name == label for name, label in first.items()]
    assert len(right) == 60
    assert sum(right) > 45
    assert "written: classes.csv" in done.out
    assert "next: mindlift predict output/ new/ --output_csv" in done.err


@pytest.mark.heavy
def test_the_page_is_written(run, place):
    (run / "report.html").unlink()
    done = mindlift("report", cwd=place)
    assert (done.code, done.out.strip()) == (0, f"output/{run.name}/report.html")
    assert (run / "report.html").stat().st_size > 10_000
    assert done.err.startswith("next: mindlift predict output/ IMAGES\n")


@pytest.mark.heavy
def test_the_run_leads_on(run, place):
    """Its weights start another training, which keeps the head, and other images are evaluated whole."""
    done = mindlift(
        "train",
        "--data_dir",
        "photos/",
        "--pretrained",
        run,
        "--max_epoch",
        1,
        "--ckpt_path",
        "more",
        cwd=place,
    )
    assert done.code == 0, done.err
    assert "with their head" in done.out.splitlines()[1]
    other = mindlift("eval", run, "--data_dir", "new/", "--json", cwd=place)
    assert (other.code, other.result["total"]) == (0, 60)
    exported = mindlift("export", run, "--file_name", "digits", cwd=place)
    assert exported.code == 0, exported.err
    assert "next: mindlift predict digits.mindir IMAGES" in exported.err
    assert mindlift("predict", "digits.mindir", "new/zero", cwd=place).code == 0


@pytest.mark.heavy
def test_json_is_asked_for(place):
    """As the last line of stdout; else there is none."""
    done = mindlift(
        "train", "--data_dir", "photos/", *SMALL, "--max_steps", 2, "--json", "--ckpt_path", "json", cwd=place
    )
    assert done.result["steps"] == 2
    assert json.loads((place / done.result["run"] / "result.json").read_text()) == done.result
    assert done.err == ""


@pytest.mark.heavy
def test_a_killed_training_ends_with_the_same_weights(place, tmp_path):
    words = ["--data_dir", place / "photos", *SMALL]
    whole = run_program("train.py", *words, "--ckpt_path", tmp_path / "whole")
    command = [sys.executable, str(ROOT / "train.py"), *map(str, words), "--ckpt_path", str(tmp_path / "cut")]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: list(tmp_path.glob("cut/*/checkpoints/*-2_18.ckpt")), process)
    process.kill()
    process.wait()
    rest = run_program("train.py", *words, "--ckpt_path", tmp_path / "cut")
    assert "continuing from" in rest.out
    assert_same(whole.result["checkpoint"], rest.result["checkpoint"])


@pytest.mark.heavy
def test_two_ranks_train_and_evaluate_the_same_images(place, tmp_path):
    done = run_ranks(2, "train.py", "--data_dir", place / "photos", *SMALL, "--ckpt_path", tmp_path)
    assert done.code == 0, done.err
    assert "6 epochs of 9 steps of 8 x 2 images" in done.out
    assert done.result["total"] == 36
    alone = run_program("eval.py", done.result["run"])
    best = max(each.score for each in manifest.listed(Path(done.result["run"]) / "checkpoints") if each.score)
    assert (alone.result["total"], alone.result["top1"]) == (36, best)
    names = sorted(f"{path.parent.name}/{path.name}" for path in (place / "photos").rglob("*.png"))
    held = held_out(names, [("one", "two", "zero").index(name.split("/")[0]) for name in names], 0.2, seed=1)
    assert sum(held) == 36


@pytest.mark.heavy
def test_the_page_is_followed(tmp_path):
    blocks = pages.blocks(ROOT / "docs/quickstart.md")
    (block,) = (each for each in blocks if each.info == pages.RUN)
    (file,) = (each for each in blocks if each.file)
    (tmp_path / str(file.file)).write_text(file.body)
    printed = pages.run(block, tmp_path, environment(PYTHONPATH=str(ROOT / "src")), 300)
    assert "in photos;" in printed
    (run,) = (tmp_path / "output").glob("*-*")
    assert json.loads((run / "result.json").read_text())["top1"] > 90
    assert (run / "report.html").exists()


@pytest.mark.heavy
def test_a_folder_as_people_have_it(tmp_path):
    """Mixed suffixes, a Chinese name, one with spaces, and what is no image: trained all the same, and each file named."""
    for name, first in (("红花", 0), ("old temple", 1), ("digits", 2)):
        for number in range(20):
            suffix = (".jpg", ".JPG", ".png", ".PNG", ".jpeg")[number % 5]
            photos.write_one(
                tmp_path / "photos" / name / f"IMG {number:03}{suffix}", digit=first, number=number
            )
    digits = tmp_path / "photos/digits"
    whole = (digits / "IMG 000.jpg").read_bytes()
    (digits / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (digits / "empty.jpg").write_bytes(b"")
    (digits / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (digits / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "photos/readme.txt").write_text("from my phone")
    done = mindlift("train", "--data_dir", "photos/", "--net", "densenet22", "--max_epoch", "2", cwd=tmp_path)
    assert done.code == 0, done.err
    (left_out,) = (line for line in done.out.splitlines() if line.startswith("left out of photos: "))
    assert "1 .heic" in left_out
    assert "1 hidden" in left_out
    for name, why in (("cut", "truncated"), ("empty", "the file is empty")):
        (line,) = (
            line for line in done.out.splitlines() if f"corrupt image photos/digits/{name}.jpg: " in line
        )
        assert why in line.lower()
        assert line.endswith(("another image takes its place", "it is not counted"))
    predicted = mindlift("predict", "output/", "photos/红花", cwd=tmp_path)
    assert predicted.code == 0, predicted.err
    assert predicted.out.count("photos/红花/IMG ") == 20
