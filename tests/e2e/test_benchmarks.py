"""Every benchmark runs to its end and writes its figures; how good they are is no test's business."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import ROOT, environment

SMALL = {
    "bench_train": "--nets densenet100 --libraries mindlift --batch 2 --size 16 --rounds 1 --seconds 0.1",
    "bench_input": "--only rows --rows bit_cifar10 --rounds 1 --seconds 0.1",
    "bench_seg_input": "--crop 65 --batch 2 --batches 2 --rounds 1",
    "bench_sync": "--objects 20 --object_kb 1 --keys 20 --large 1 --large_mb 1 --rounds 1",
}


def run(name: str, *words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / f"benchmarks/{name}.py"), *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=False,
    )


def results(name: str, words: str, folder: Path) -> dict:
    done = run(name, *words.split(), "--output", folder / "figures.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return json.loads((folder / "figures.json").read_text())


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["bench_train", "bench_input", "bench_seg_input"])
def test_it_runs(name, tmp_path):
    found = results(name, SMALL[name], tmp_path)
    rates = {
        "bench_train": lambda: [
            each["libraries"]["mindlift"]["images_per_second"] for each in found["results"]
        ],
        "bench_input": lambda: [
            side["images_per_second"] for each in found["results"] for side in each["sides"]
        ],
        "bench_seg_input": lambda: [
            each[side]["images_per_second"] for each in found["rounds"] for side in each
        ],
    }[name]()
    assert len(rates) == 2, "training and evaluation, or ours and the other"
    assert min(rates) > 0


@pytest.mark.heavy
def test_what_recipes_cost_is_measured(tmp_path):
    names = ["densenet100_cifar10", "resnet50_evaluation", "deeplab_v3_voc"]
    words = f"--only feeds --feeds {','.join(names)} --seconds 0.3 --threads 1 --cores 2"
    found = results("bench_input", words, tmp_path)["feeds"]
    assert [each["feed"] for each in found] == names
    for each in found:
        assert 0 < each["locked_ms"] < each["cpu_ms"]
        assert each["with_cores"]["images_per_second"] > 0
        assert 0 <= each["waits_15_ms"]["1"] < 1


@pytest.mark.heavy
def test_copies_are_compared(minio, tmp_path):
    found = results("bench_sync", SMALL["bench_sync"], tmp_path)
    rows = {row["row"]: row for row in found["results"]}
    assert len(rows) == 8
    rest = rows.pop("rest_down")["clients"]["mindlift"]  # 20 small files may all be there before the kill
    assert rest.get("n") == 1 or rest["problem"].startswith("ended before half"), rest
    for row in rows.values():
        assert row["clients"]["mindlift"]["n"] == 1, row
        others = [client for name, client in row["clients"].items() if name != "mindlift"]
        assert all(client.get("n") == 1 or client["problem"] == "not installed" for client in others), row


@pytest.mark.heavy
def test_streaming_is_compared_with_a_copy(minio, tmp_path):
    words = (
        "--images 200 --image_kb 1 --rounds 1 --speeds double --clients mindlift-stream,mindlift-copy,litdata"
    )
    (found,) = results("bench_stream", words, tmp_path)["results"]
    assert found["clients"].pop("litdata")["problem"] == "not installed"
    for figures in found["clients"].values():
        assert figures["n"] == 1
        assert 0 < figures["first"]["median"] <= figures["whole"]["median"]


@pytest.mark.heavy
@pytest.mark.skipif(
    importlib.util.find_spec("mindcv") is None, reason="mindcv is not installed (pip install mindcv)"
)
def test_a_network_of_mindcv_is_tried(tmp_path):
    done = run("mindcv_networks", "--work", tmp_path, "--only", "squeezenet1_1", "--limit", 250)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "squeezenet1_1.json").read_text())
    assert (found["step"], found["evaluation"], found["why"]) == (True, True, ""), found


@pytest.mark.heavy
def test_growth_is_measured(tmp_path):
    done = run(
        "bench_scale",
        "--images",
        "100,300",
        "--rounds",
        1,
        "--cases",
        "learning rates,first batch from shards",
        "--output",
        tmp_path / "figures.json",
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    for name, figures in (
        ("learning rates", {"seconds"}),
        ("first batch from shards", {"seconds", "peak_mib"}),
    ):
        assert rows[name].keys() == {"100", "300"}
        assert all(rows[name]["300"][each].keys() == {"median", "quartiles", "exponent"} for each in figures)


@pytest.mark.heavy
def test_144_crops_are_compared(tmp_path):
    words = "--net inception_v4 --size 75 --scales 80,88,96,112 --rounds 1 --batch 4"
    assert results("bench_144", words, tmp_path)["ratio"]["n"] == 1


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("bench_train", "--nets densenet22", "'densenet22': expected some of densenet100"),
        ("bench_train", "--libraries jax", "'jax': expected some of"),
        ("bench_input", "--rows other", "'other': expected some of mindspore_operators"),
        ("bench_sync", "--rows other", "'other': expected some of down_small"),
        ("bench_stream", "--clients other", "'other': expected some of mindlift-stream"),
        ("bench_scale", "--images 0", "'0' is not a whole number above 0"),
        ("bench_scale", "--cases other", "'other': expected some of first batch from folders"),
        ("bench_seg_input", "--rounds 0", "'0' is not a whole number above 0"),
    ],
)
def test_mistakes_are_one_line(name, words, said):
    done = run(name, *words.split())
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
