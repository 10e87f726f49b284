"""A program of the user's through both services: sent, run with what it was told, its outputs fetched; what failed is shown."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.doubles.modelarts import ENGINE, ModelArtsDouble
from tests.doubles.openi import OpenIDouble
from tests.support.desks import Desk

PROGRAM = """import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--imgs", default=os.environ.get("imgs"))
parser.add_argument("--out", default=os.environ.get("out") or os.environ.get("LOCAL_OUTPUT_PATH"))
parser.add_argument("--lr", type=float)
parser.add_argument("--fails", action="store_true")
parser.add_argument("words", nargs="*")
args = parser.parse_args()
print("lr", args.lr, args.words, flush=True)
if args.fails:
    raise ValueError("no such optimiser: sdg")
os.makedirs(args.out, exist_ok=True)
with open(os.path.join(args.out, "seen.txt"), "w") as file:
    file.write("\\n".join(sorted(os.listdir(args.imgs))) if args.imgs else "nothing")
"""


@pytest.fixture
def mine(tmp_path) -> Path:
    folder = tmp_path / "mine"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "一 b.jpg").write_text("a photo")
    (folder / "train.py").write_text(PROGRAM)
    return folder


def test_the_whole_way_through_modelarts(desk: Desk, mine: Path):
    with ModelArtsDouble(desk.runner) as double:
        desk.env.update(HUAWEICLOUD_SDK_AK=double.access_key, HUAWEICLOUD_SDK_SK=double.secret_key)
        desk.env["MODELARTS_ENDPOINT"] = double.endpoint
        (mine / "job.yaml").write_text(
            f"provider: modelarts\nendpoint: {double.endpoint}\nproject_id: {double.project_id}\n"
            f"flavor: modelarts.kat1.xlarge\nengine: {ENGINE}\nprogram:\n  args: [--lr=1e-4]\n"
            f"  inputs: {{imgs: photos}}\n  outputs: {{out: {desk.url}/m1/}}\n"
        )
        config = ("--config", mine / "job.yaml", "--wait", "--out", desk.home / "got")
        ways = {
            "parameters": (),
            "word for word": ("--", "--lr", "1e-4", "a b", "*.jpg"),
            "variables": ("--access", "env"),
        }
        for way, words in ways.items():
            (desk.home / "got" / "seen.txt").unlink(missing_ok=True)
            done = desk.run("submit", *config, *words)
            assert done.code == 0, done.err + done.out
            assert (desk.home / "got" / "seen.txt").read_text() == "一 b.jpg", way
            expected = "['a b', '*.jpg']" if way == "word for word" else "[]"
            assert f"lr 0.0001 {expected}" in done.out
        image = ("--engine", "", "--image", "me/image:1", "--args", "")
        done = desk.run("submit", *config, *image, "--command", "python train.py --lr 2 $((1+1))")
        assert done.code == 0, done.err + done.out
        assert "lr 2.0 ['2']" in done.out
        failed = desk.run("submit", *config, "--", "--fails")
        assert failed.code == 1
        handle = failed.out.splitlines()[0]
        status = desk.run("status", handle)
        assert "ValueError: no such optimiser: sdg" in status.out
        listed = desk.run("list", "--json", "--config", mine / "job.yaml")
        assert {job["outputs"]["out"] for job in json.loads(listed.out)} == {f"{desk.url}/m1/"}
        top = desk.run("top", "--once", "--json", "--config", mine / "job.yaml")
        assert any("job failed" in job.get("line", "") for job in json.loads(top.out))


def test_the_whole_way_through_openi(desk: Desk, mine: Path):
    from mindlift.cloud.job import Job
    from mindlift.cloud.prepare import package, program

    git = ["git", "-C", str(mine), "-c", "user.name=me", "-c", "user.email=me@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "mine"]):
        subprocess.run([*git, *command], check=True)
    pushed = program.collect(Job(code=str(mine)))
    package.sync(pushed, f"{desk.url}/code/mine/")
    with OpenIDouble(desk.runner, f"{desk.url}/code/mine/", f"{desk.url}/results/") as double:
        double.commits["me/code", "main"] = pushed.revision
        words = [
            "--provider",
            "openi",
            "--endpoint",
            double.endpoint,
            "--repo",
            "me/code",
            "--image",
            "mindspore",
        ]
        words += ["--name", "mine-1", "--wait", "--out", desk.home / "got"]
        done = desk.run(mine / "train.py", *words, "--", "--lr=3", OPENI_TOKEN=double.token)
        assert done.code == 0, done.err + done.out
        assert (desk.home / "got" / "seen.txt").read_text() == "nothing"
        refused = desk.run(mine / "train.py", *words, "--", "--lr", "3", OPENI_TOKEN=double.token)
        assert refused.code == 2
        assert "OpenI passes on only arguments of the form --name=value" in refused.err
        assert refused.err.count("\n") == 1
