"""A run's files, each damaged in ten ways: every reader goes on without them, or ends with a line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mindlift.cloud.follow import fetch
from mindlift.cloud.follow.metrics import Metrics
from mindlift.errors import MindLiftError
from mindlift.model_utils.config import config
from mindlift.model_utils.staging.restore import restore
from mindlift.report import convert, page
from mindlift.runs import choose, manifest, named_weights, provenance, records
from mindlift.runs.remote import Lifetime
from tests.support import synthetic_runs
from tests.support.packed import LAUGHS, MERGES, NESTED

NAME = "20261125-120000"
FILES = (
    "run.json",
    "config.yaml",
    "classes.json",
    "versions.json",
    "metrics.jsonl",
    "transfers.jsonl",
    "evaluation.json",
    "result.json",
    "checkpoints/manifest.jsonl",
)
DAMAGES = {
    "a byte that is not UTF-8": lambda data: data[: len(data) // 2] + b"\xff\xfe" + data[len(data) // 2 :],
    "a line 5": lambda data: b"5\n" + data + b"5\n",
    "a line {}": lambda data: b"{}\n" + data + b"{}\n",
    "a line null": lambda data: b"null\n" + data + b"null\n",
    "a list": lambda data: b"[]",
    "nothing": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "text for numbers": lambda data: data.replace(b'": 1', b'": "x1"').replace(b'": 0', b'": "0x"'),
    "nested lists": lambda data: NESTED.encode(),
    "nested objects in a line": lambda data: data + b'{"a":' * 100_000 + b"\n",
    "many aliases": lambda data: LAUGHS.encode(),
    "many merges": lambda data: MERGES.encode(),
    "a line of 3 MB": lambda data: data + b"x" * 3_000_000 + b"\n",
    "lists for values": lambda data: data.replace(b'": "', b'": ["').replace(b'",', b'"],'),
}


def made(base: Path) -> Path:
    """A run with two checkpoints."""
    root = synthetic_runs.classification(base / NAME, steps=90)
    (root / "run.json").write_text(json.dumps({"fingerprint": "mark", "ranks": 2}))
    (root / "classes.json").write_text(json.dumps(["a", "b"]))
    folder = root / "checkpoints"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    saved = []
    for step in (40, 80):
        data = b"%d" % step * 1000
        (folder / f"net-1_{step}.ckpt").write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        saved.append(
            manifest.Saved(f"net-1_{step}.ckpt", 1, step, 30, 1, len(data), sha256, 1_790_000_000.0 + step)
        )
    (folder / "manifest.jsonl").write_text(manifest.as_text(saved))
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("runs"))


def readers(base: Path, out: Path) -> dict:
    root = base / NAME
    return {
        "report": lambda: page.write([root], out / "report.html"),
        "csv": lambda: convert.to_csv(root, out / "csv"),
        "tensorboard": lambda: convert.to_tensorboard(root, out / "events"),
        "resume": lambda: choose.choose(base, "mark", True),
        "--resume FOLDER": lambda: choose.explicit_checkpoint(str(root)),
        "eval": lambda: named_weights.find([base], Path("output")),
        "class names": lambda: provenance.class_names(root / "checkpoints" / "net-1_80.ckpt"),
        "data folder": lambda: provenance.data_folder(root / "config.yaml"),
        "options": lambda: config.load(["--pretrained", str(root)], prog="eval.py"),
        "restore": lambda: restore(out / "restored", str(base), "mark", lambda line: None, lambda run: None),
        "fetch": lambda: fetch.fetch(str(base), out, "fetched", "all", Lifetime(), lambda line: None),
        "fetch --best": lambda: fetch.fetch(str(base), out, "best", "best", Lifetime(), lambda line: None),
        "top": lambda: Metrics().read(str(base), Lifetime()),
    }


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_no_reader_ends_with_a_traceback(whole, tmp_path, capfd, file, damage):
    base, out = tmp_path / "base", tmp_path / "out"
    out.mkdir()
    shutil.copytree(whole, base / NAME)
    path = base / NAME / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    records.SAID.clear()
    errors = []
    for name, read in readers(base, out).items():
        try:
            read()
        except MindLiftError as err:
            errors += [f"{name}: more than a line: {err}"] if "\n" in str(err) else []
        except Exception as err:
            errors.append(f"{name}: {type(err).__name__}: {err}")
    assert not errors
    warnings = [line for line in capfd.readouterr().err.splitlines() if str(path) in line]
    assert len(warnings) <= 1, "one warning for a file"


def test_a_damaged_line_of_a_manifest_falls_back_to_the_one_before(whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path / NAME)
    (tmp_path / NAME / "result.json").unlink(missing_ok=True)
    path = tmp_path / NAME / "checkpoints" / "manifest.jsonl"
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first + b"\n" + second.replace(b'"step": 80', b'"step": "80"') + b"\n5\n{}\nnull\n")
    records.SAID.clear()
    choice, lock = choose.choose(tmp_path, "mark", True)
    assert (choice.step, bool(lock)) == (40, True)
    (warning,) = capfd.readouterr().err.splitlines()
    assert warning == f"warning: {path} has 4 lines that are not MindLift's or damaged; passed over"


@pytest.mark.parametrize("name", [f"{NAME} (copy)", f"{NAME}-old", f"{NAME}-1x", f"{NAME}.bak"])
def test_a_copy_with_another_name_is_no_run(whole, tmp_path, capfd, name):
    for each in (NAME, name):
        shutil.copytree(whole, tmp_path / each)
        (tmp_path / each / "result.json").unlink(missing_ok=True)
    records.SAID.clear()
    choice, _ = choose.choose(tmp_path, "mark", True)
    assert choose.folder_name(*choice[:3]) == NAME
    assert named_weights.find([tmp_path], Path("output")).files[0].parent.parent.name == NAME
    assert (
        fetch.fetch(str(tmp_path), tmp_path / "out", "x", "latest", Lifetime(), lambda line: None).root.name
        == NAME
    )
    assert capfd.readouterr().err.splitlines() == [
        f"warning: {tmp_path} has folders that are not named as runs are, and are passed over: {name}"
    ]


@pytest.mark.parametrize(
    "file",
    [
        *(
            "/tmp/planted.ckpt",
            "../../planted.ckpt",
            "..",
            "",
            "a\\b.ckpt",
            "a/b.ckpt",
            "manifest.jsonl",
            ".bashrc",
            ".a.ckpt",
        ),
        *(
            "a\n.ckpt",
            "\x1b]0;x.ckpt",
            "a" * 251 + ".ckpt",
            "\u732b" * 84 + ".ckpt",
            "\0.ckpt",
            "a\u202e.ckpt",
        ),
    ],
    ids=repr,
)
def test_a_name_in_a_manifest_leads_nowhere_else(whole, tmp_path, file):
    bucket = tmp_path / "bucket"
    shutil.copytree(whole, bucket / NAME)
    (bucket / NAME / "result.json").unlink(missing_ok=True)
    path = bucket / NAME / "checkpoints" / "manifest.jsonl"
    last = json.loads(path.read_text().splitlines()[-1])
    with path.open("a") as lines:
        lines.write(json.dumps({**last, "file": file, "step": 100}) + "\n")
    assert [saved.step for saved in manifest.listed(path.parent)] == [40, 80]
    found = restore(tmp_path / "a" / "b", str(bucket), "mark", lambda line: None, lambda run: None)
    assert found.root == tmp_path / "a" / "b" / NAME
    fetch.fetch(str(bucket), tmp_path / "c", "d", "all", Lifetime(), lambda line: None)
    assert not list(tmp_path.rglob("planted.ckpt"))
    assert not Path("/tmp/planted.ckpt").exists()
