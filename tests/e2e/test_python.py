"""docs/python.ipynb, as Jupyter would run it, against what the programs give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.support.notebook import code_cells
from tests.support.programs import ROOT, TINY, Finished, environment, run_program, run_ranks
from tests.support.weights import assert_same

NOTEBOOK = ROOT / "docs/python.ipynb"
WANTED = {
    "run": "result.run",
    "checkpoint": "result.checkpoint",
    "result": "[result.top1, result.top5, result.loss, result.steps, result.total]",
    "figures": "figures",
    "predicted": "[[[c.number, c.name, c.share] for c in each.top] for each in predictions]",
    "names": "[[each.name, str(each.path), each.error] for each in predictions]",
    "vectors": "vectors.values.tolist()",
    "maps": "[map.asnumpy().shape for map in maps]",
    "logits": "network(ms.Tensor(np.ones((1, 3, 8, 8)), ms.float32)).asnumpy().tolist()",
    "images": "[image.tolist() for image in images]",
    "again": "mindlift.train(cfg).checkpoint",
}


class Ran(NamedTuple):
    """The folder that the notebook was run in, what it printed, and the values of WANTED."""

    folder: Path
    out: str
    values: dict


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    folder = tmp_path_factory.mktemp("notebook")
    command = [sys.executable, "-m", "tests.support.notebook", str(NOTEBOOK), "values.json", *WANTED.values()]
    paths = f"{ROOT}:{ROOT / 'src'}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=paths),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return Ran(folder, done.stdout, {name: found[expression] for name, expression in WANTED.items()})


@pytest.fixture(scope="module")
def files(ran) -> list[Path]:
    """The notebook's images as a user would have them."""
    paths = [ran.folder / f"digit{number:02d}.png" for number in range(len(ran.values["images"]))]
    for path, image in zip(paths, ran.values["images"]):
        Image.fromarray(np.array(image, np.uint8)).save(path)
    return paths


def run_in(ran: Ran, program: str, *words: object) -> Finished:
    done = run_program(program, *words, cwd=ran.folder)
    assert done.code == 0, done.err
    return done


def test_it_trains_as_the_program_does_and_a_second_time_in_one_process(ran):
    words = "--net densenet22 --dataset digits --max_epoch 1 --ckpt_path typed".split()
    done = run_in(ran, "train.py", *words)
    names = ("top1", "top5", "loss", "steps", "total")
    assert [done.result[name] for name in names] == ran.values["result"]
    assert done.result["top1"] > 30, "guessing finds 10 %"
    first = ran.folder / ran.values["checkpoint"]
    assert_same(first, ran.folder / done.result["checkpoint"])
    assert ran.values["again"] != ran.values["checkpoint"]
    assert_same(first, ran.folder / ran.values["again"])
    result = json.loads((ran.folder / ran.values["run"] / "result.json").read_text(encoding="utf-8"))
    assert result.keys() == done.result.keys()
    assert (ran.folder / ran.values["run"] / "report.html").is_file()


def test_it_evaluates_as_the_program_does(ran):
    done = run_in(ran, "eval.py", "--pretrained", ran.values["run"])
    (figures,) = ran.values["figures"]
    assert {**figures, "seconds": 0} == {**done.result, "seconds": 0}
    assert figures["top1"] == ran.values["result"][0]


def test_it_predicts_from_memory_what_the_program_does_from_files(ran, files):
    output = ran.folder / "x.json"
    run_in(ran, "predict.py", "--ckpt_file", ran.values["run"], "--top_k", 3, "--output_json", output, *files)
    found = json.loads(output.read_text(encoding="utf-8"))["images"]
    typed = [[[c["class"], c["name"], c["probability"]] for c in each["classes"]] for each in found]
    assert typed == ran.values["predicted"]
    assert len(typed) == 12
    assert ran.values["names"] == [[f"image {i}", f"image {i}", ""] for i in range(12)]


def test_it_finds_the_features_that_the_command_writes(ran, files):
    broken = ran.folder / "broken.png"
    broken.write_bytes(files[0].read_bytes()[:60])
    command = [sys.executable, "-m", "mindlift", "features", "--ckpt_file", ran.values["run"]]
    words = [*map(str, files[:5]), str(broken), *map(str, files[5:]), "--output_features", "typed.npz"]
    done = subprocess.run(
        [*command, *words],
        cwd=ran.folder,
        env=environment(PYTHONPATH=str(ROOT / "src")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "error: 1 of 13 images could not be read and have no row; they are named above" in done.stderr
    assert f"{broken}: can't be read: " in done.stdout
    assert "typed.npz: 12 x 69 features, the mean of norm of densenet22" in done.stdout
    with np.load(ran.folder / "typed.npz") as typed, np.load(ran.folder / "vectors.npz") as called:
        assert typed["names"].tolist() == list(map(str, files))
        np.testing.assert_array_equal(typed["features"], np.array(ran.values["vectors"], np.float32))
        np.testing.assert_array_equal(called["features"], typed["features"])


def test_the_features_are_what_the_classifier_makes_the_classes_of(ran):
    """By NumPy: softmax of the weights of the checkpoint times the features."""
    import mindspore as ms

    tensors = ms.load_checkpoint(str(ran.folder / ran.values["checkpoint"]))
    weight, bias = (tensors[f"classifier.{part}"].asnumpy() for part in ("weight", "bias"))
    logits = np.array(ran.values["vectors"]) @ weight.T + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    for row, top in zip(shares, ran.values["predicted"]):
        np.testing.assert_allclose(
            [row[number] for number, _, _ in top], [share for *_, share in top], atol=1e-5
        )


def test_the_network_by_name_is_the_trained_one(ran):
    assert ran.values["maps"] == [[2, 24, 32, 32], [2, 60, 32, 32], [2, 66, 16, 16], [2, 69, 8, 8]]
    assert np.array(ran.values["logits"]).shape == (1, 10)
    assert "unknown option 'learning_rate'" in ran.out


OF_A_USER = """
import sys
import mindlift

data, output = sys.argv[1:]
cfg = mindlift.load_config(
    net="densenet22", dataset="digits", data_dir=data, ckpt_path=output, max_epoch=1, per_batch_size=16, run_eval=False
)
result = mindlift.train(cfg)
print("all ranks:", result.steps, result.run, flush=True)
again = mindlift.load_config(program="eval", pretrained=result.run, data_dir=data)
print("evaluated", mindlift.evaluate(again)[0]["total"], flush=True)
"""


def test_a_users_program_trains_and_evaluates_on_two_ranks_as_the_program_does(few_digits, tmp_path):
    program = tmp_path / "mine.py"
    program.write_text(OF_A_USER, encoding="utf-8")
    mine = run_ranks(2, str(program), few_digits, tmp_path / "mine", PYTHONPATH=str(ROOT / "src"))
    assert mine.code == 0, mine.err
    told = {line for line in mine.out.splitlines() if line.startswith(("all ranks", "evaluated"))}
    words = [*TINY, "--data_dir", few_digits, "--max_epoch", 1, "--per_batch_size", 16]
    typed = run_ranks(2, "train.py", *words, "--ckpt_path", tmp_path / "typed")
    assert typed.code == 0, typed.err
    (run,) = (tmp_path / "mine").iterdir()
    assert told == {f"all ranks: {typed.result['steps']} {run}", "evaluated 83"}
    name = Path(typed.result["checkpoint"]).name
    assert_same(run / "checkpoints" / name, typed.result["checkpoint"])


def test_the_notebook_has_no_outputs_and_needs_no_jupyter():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert [cell for cell in content["cells"] if cell.get("outputs")] == []
    assert len(code_cells(NOTEBOOK)) > 8
    assert not any(line.startswith(("%", "!")) for text in code_cells(NOTEBOOK) for line in text.splitlines())
