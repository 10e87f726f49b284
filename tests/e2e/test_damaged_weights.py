"""A flipped bit, NaN and integers in a run's real checkpoint: one line from every program that reads weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from mindlift.cli import convert
from mindlift.cloud.providers.local.keeper import StoreAccess
from mindlift.runs import manifest
from mindlift.runs.manifest import MANIFEST
from tests.support.programs import TINY, run_program
from tests.support.servers import s3_client

CONVOLUTION = "stem.conv0.weight"


@pytest.fixture
def checkpoint(trained, tmp_path) -> Path:
    """The newest of a copy of a run."""
    run = tmp_path / Path(trained.result["run"]).name
    shutil.copytree(trained.result["run"], run)
    return run / "checkpoints" / manifest.listed(run / "checkpoints")[-1].file


def flip_a_bit(file: Path) -> None:
    """The lowest bit of the exponent of a weight of the first convolution, as bad memory or a bad disk does."""
    content = bytearray(file.read_bytes())
    weights = ms.load_checkpoint(str(file))[CONVOLUTION].asnumpy()
    at = content.index(weights.tobytes())
    content[at + 2] ^= 0x80  # little-endian float32: bit 23
    file.write_bytes(content)
    found = ms.load_checkpoint(str(file))[CONVOLUTION].asnumpy()
    assert (found != weights).sum() == 1


def rewrite(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """The file with another first convolution, and no manifest that knows better."""
    entries = {name: value.asnumpy() for name, value in ms.load_checkpoint(str(file)).items()}
    entries[CONVOLUTION] = change(entries[CONVOLUTION])
    file.unlink()
    ms.save_checkpoint(
        [{"name": name, "data": ms.Tensor(value)} for name, value in entries.items()], str(file)
    )
    (file.parent / MANIFEST).unlink()


def with_nan(weights: np.ndarray) -> np.ndarray:
    weights = weights.copy()
    weights.flat[3] = np.nan
    return weights


def with_integers(weights: np.ndarray) -> np.ndarray:
    return np.round(weights * 127).astype(np.int8)


@pytest.mark.parametrize(
    "command",
    [
        ["eval.py", "--pretrained", "RUN"],
        pytest.param(["eval.py", "--pretrained", "RUN", "--all", "true"], marks=pytest.mark.heavy),
        pytest.param(["eval.py", *TINY[:4], "--pretrained", "FILE"], marks=pytest.mark.heavy),
        pytest.param(["predict.py", "--pretrained", "FILE", "IMAGE"], marks=pytest.mark.heavy),
        pytest.param(["export.py", "--pretrained", "RUN", "--file_name", "OUT"], marks=pytest.mark.heavy),
        pytest.param(
            ["train.py", *TINY, "--ckpt_path", "OUT", "--pretrained", "RUN"], marks=pytest.mark.heavy
        ),
        pytest.param(
            ["train.py", *TINY, "--ckpt_path", "OUT", "--pretrained", "FILE"], marks=pytest.mark.heavy
        ),
        pytest.param(["train.py", *TINY, "--ckpt_path", "OUT", "--resume", "FILE"], marks=pytest.mark.heavy),
    ],
    ids=lambda words: " ".join(word for word in words if word not in TINY),
)
def test_a_flipped_bit_is_one_line(checkpoint, few_digits, tmp_path, command):
    from PIL import Image

    flip_a_bit(checkpoint)
    Image.new("RGB", (32, 32)).save(tmp_path / "image.png")
    places = {
        "RUN": checkpoint.parents[1],
        "FILE": checkpoint,
        "IMAGE": tmp_path / "image.png",
        "OUT": tmp_path / "out",
    }
    data = ["--data_dir", few_digits] if command[0] in ("eval.py", "train.py") else []
    done = run_program(*(places.get(word, word) for word in command), *data)
    assert done.code == 2, done.err
    assert done.error.startswith(f"error: {checkpoint} is not what ")
    assert "damaged" in done.error
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.heavy
@pytest.mark.parametrize("whole", [True, False], ids=["run", "file"])
def test_a_flipped_bit_in_a_bucket_is_one_line(checkpoint, few_digits, minio, bucket, whole):
    flip_a_bit(checkpoint)
    run, client = checkpoint.parents[1], s3_client(minio)
    for file in (each for each in run.rglob("*") if each.is_file()):
        client.upload_file(str(file), bucket, f"runs/{run.name}/{file.relative_to(run)}")
    url = f"obs://{bucket}/runs/{run.name}"
    named = url if whole else f"{url}/checkpoints/{checkpoint.name}"
    words = [*TINY[:4], "--pretrained", named, "--data_dir", few_digits]
    access = StoreAccess(minio.endpoint, minio.access_key, minio.secret_key, "given")
    done = run_program("eval.py", *words, **access.variables())
    assert done.code == 2, done.err
    assert done.error.startswith(f"error: {url}/checkpoints/{checkpoint.name} is not what {url}/checkpoints/")


@pytest.mark.parametrize("listing", [[], ["--list"]], ids=["convert", "list"])
def test_convert_looks_at_the_sum_too(checkpoint, tmp_path, capsys, listing):
    flip_a_bit(checkpoint)
    words = [str(checkpoint), "--out", str(tmp_path / "out.ckpt"), *listing]
    assert convert.main(words) == 2
    assert capsys.readouterr().err.startswith(f"error: {checkpoint} is not what ")
    assert not (tmp_path / "out.ckpt").exists()
    elsewhere = shutil.copy(checkpoint, tmp_path / "as_it_is.ckpt")
    assert convert.main([str(elsewhere), *words[1:]]) == 0, "as the message says"


@pytest.mark.parametrize(
    ("change", "holds"),
    [(with_nan, "NaN or infinity"), (with_integers, "integers, not floating point numbers")],
)
def test_values_that_are_no_weights_are_taken_only_when_asked_for(
    checkpoint, tmp_path, capsys, change, holds
):
    rewrite(checkpoint, change)
    out = tmp_path / "out.ckpt"
    words = [str(checkpoint), "--out", str(out)]
    assert convert.main(words) == 2
    line = f"error: {checkpoint}: 1 tensor holds {holds} ({CONVOLUTION}); --allow_nan true takes them all the same\n"
    assert capsys.readouterr().err == line
    assert not out.exists()
    assert convert.main([*words, "--allow_nan", "true"]) == 0
    assert out.exists()


@pytest.mark.heavy
@pytest.mark.parametrize("program", ["eval.py", "predict.py", "export.py", "train.py"])
@pytest.mark.parametrize("change", [with_nan, with_integers])
def test_every_program_refuses_them_unless_asked(checkpoint, few_digits, tmp_path, program, change):
    from PIL import Image

    rewrite(checkpoint, change)
    image = tmp_path / "image.png"
    Image.new("RGB", (32, 32)).save(image)
    own = {
        "eval.py": ["--data_dir", few_digits],
        "predict.py": [image],
        "export.py": ["--file_name", tmp_path / "out"],
        "train.py": [*TINY, "--data_dir", few_digits, "--ckpt_path", tmp_path / "runs", "--max_steps", 1],
    }[program]
    words = [program, "--pretrained", checkpoint, *own]
    done = run_program(*words)
    assert (done.code, done.error.count("--allow_nan true")) == (2, 1), done.err
    allowed = run_program(*words, "--allow_nan", "true")
    assert allowed.code == 0, allowed.err
