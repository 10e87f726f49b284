"""What is fuzzed: samples of each kind of input, and what reads them. A reader goes on, or ends with one line."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from mindlift import yaml_text
from mindlift.data.mindrecord import index as record_index
from mindlift.data.mindrecord import read as record_read
from mindlift.file_names import FileName, is_file_name
from mindlift.model_utils import rank_table
from mindlift.model_utils.config.recipes import read_yaml
from mindlift.model_utils.staging.unpack import unpack
from mindlift.models.weights import files as weights
from mindlift.runs import records
from mindlift.sanitize import COLOUR, cell, log_line, message
from mindlift.storage.copying.plan import unfit
from mindlift.storage.s3.listing import find_token, parse_page
from tests.support import torch_writer
from tests.support.packed import LAUGHS, MERGES
from tests.unit import test_damaged_runs as runs


@dataclass(frozen=True)
class Target:
    """`samples` are made in an empty folder; `read` gets a mutated one, its name, and an empty folder to work in."""

    samples: Callable[[Path], dict[str, bytes]]
    read: Callable[[bytes, str, Path], object]
    each: int  # cases for each sample, in a usual run


def archives(folder: Path) -> dict[str, bytes]:
    found = {}
    for suffix, mode in ((".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz"), (".tar.bz2", "w:bz2")):
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            with tarfile.open(folder / "x", mode, format=form) as file:
                for name in ("set/a/1.png", "set/b/" + "long" * 40, "set/é"):
                    info = tarfile.TarInfo(name)
                    info.size = 700
                    file.addfile(info, io.BytesIO(bytes(range(256)) * 3))
            found[f"{form}{suffix}"] = (folder / "x").read_bytes()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(folder / "x", "w", method) as file:
            for name in ("set/a/1.png", "set/b/é", "set/c/"):
                file.writestr(name, b"abc" * 300 * (not name.endswith("/")))
        found[f"{method}.zip"] = (folder / "x").read_bytes()
    return found


def read_archive(data: bytes, name: str, folder: Path) -> None:
    (folder / name).write_bytes(data)
    try:
        unpack(folder / name, folder / "set")
    finally:
        assert {path.name for path in folder.iterdir()} <= {name, "set"}, "something is beside the folder"


def weight_files(folder: Path) -> dict[str, bytes]:
    import safetensors.numpy

    arrays = {
        "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "fc.bias": np.ones(5, np.int64),
    }
    entries = {name: torch_writer.tensor(array, str(n)) for n, (name, array) in enumerate(arrays.items())}
    stored = {str(n): array for n, array in enumerate(arrays.values())}
    body = torch_writer.mapping(
        {"epoch": torch_writer.number(3), "state_dict": torch_writer.mapping(entries)}
    )
    torch_writer.write_zip(folder / "x.pth", body, stored)
    torch_writer.write_legacy(folder / "y.pth", body, stored)
    np.savez_compressed(folder / "z.npz", **arrays)
    safetensors.numpy.save_file(arrays, folder / "s.safetensors")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_weights(data: bytes, name: str, folder: Path) -> None:
    (folder / name).write_bytes(data)
    stored = weights.read(folder / name)
    assert all(isinstance(array, np.ndarray) for array in stored.tensors.values())


def run_files(folder: Path) -> dict[str, bytes]:
    root = runs.made(folder)
    return {name: (root / name).read_bytes() for name in runs.FILES}


class Runs:
    """A whole run, of which one file is replaced at a time."""

    root: Path | None = None

    def read(self, data: bytes, name: str, folder: Path) -> None:
        if self.root is None:
            Runs.root = runs.made(folder.parent)
        base, out = folder / "base", folder / "out"
        out.mkdir()
        shutil.copytree(self.root, base / runs.NAME)
        (base / runs.NAME / name).write_bytes(data)
        records.SAID.clear()
        last: Exception | None = None
        for reader in runs.readers(base, out).values():
            try:
                reader()
            except Exception as err:
                check(err)
                last = err
        assert {path.name for path in folder.iterdir()} == {"base", "out"}
        if last:
            raise last


def recipes(folder: Path) -> dict[str, bytes]:
    config = Path(__file__).resolve().parents[2] / "src/mindlift/default_config.yaml"
    own = config.read_bytes()[:4000] if config.exists() else b""
    return {
        "own.yaml": own or b"data:\n  batch_size: 32\nrecipe: {lr: 0.1, milestones: [30, 60]}\n",
        "aliases.yaml": LAUGHS.encode()[:200],
        "merges.yaml": MERGES.encode()[:200],
        "nested.yaml": b"a: [[1, {b: [2, 3]}], 'x', \"y\", 2020-01-01, 0x1F, 1:30, !!binary aGk=]\n",
    }


def read_recipe(data: bytes, name: str, folder: Path) -> None:
    (folder / name).write_bytes(data)
    with contextlib.suppress(yaml.YAMLError):
        yaml_text.parse(data)
    read_yaml(folder / name)


def tables(folder: Path) -> dict[str, bytes]:
    first = {
        "version": "1.0",
        "server_count": "1",
        "server_list": [{"server_id": "10.0.0.1", "device": [{"device_id": "0", "rank_id": "0"}]}],
        "status": "completed",
    }
    return {"table.json": json.dumps(first).encode()}


def read_table(data: bytes, name: str, folder: Path) -> None:
    rank_table.parse(data.decode("utf-8", "replace"), name)


def shards(folder: Path) -> dict[str, bytes]:
    """A shard's header and index as MindSpore writes them; see data/mindrecord/file.py."""
    head = {
        "version": "3.0",
        "compression_size": 0,
        "header_size": 512,
        "page_size": 4096,
        "schema": [{"blob_fields": ["image"]}],
        "index_fields": [],
    }
    text = json.dumps(head).encode()
    shard = (len(text).to_bytes(8, "little") + text).ljust(512, b"\0") + bytes(4096)
    with sqlite3.connect(folder / "x.db") as connection:
        connection.execute("CREATE TABLE SHARD_NAME(NAME TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO SHARD_NAME VALUES('x')")
        connection.execute(
            "CREATE TABLE INDEXES(ROW_ID INT PRIMARY KEY, index_0 INT, label_0 INT, file_0 TEXT, crc_0 INT,"
            " PAGE_ID_BLOB INT, PAGE_OFFSET_BLOB INT, PAGE_OFFSET_BLOB_END INT)"
        )
        rows = [(n, n, n % 2, f"{n}.png", 7, 0, 20 * n, 20 * n + 20) for n in range(50)]
        connection.executemany("INSERT INTO INDEXES VALUES(?,?,?,?,?,?,?,?)", rows)
    connection.close()
    index = {"format": 1, "classes": ["a", "b"], "splits": {"train": {"count": 50, "shards": []}}}
    return {"x": shard, "x.db": (folder / "x.db").read_bytes(), "index.json": json.dumps(index).encode()}


class Shards:
    whole: dict[str, bytes] | None = None

    def read(self, data: bytes, name: str, folder: Path) -> None:
        if self.whole is None:
            (folder / "made").mkdir()
            Shards.whole = shards(folder / "made")
        for each, content in {**self.whole, name: data}.items():
            (folder / each).write_bytes(content)
        record_read.rows_of(folder / "x")
        record_index.read(folder)


def pages(folder: Path) -> dict[str, bytes]:
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    contents = "".join(
        f"<Contents><Key>p/{n}%20x</Key><Size>{n}</Size><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
        '<ETag>"0cc175b9c0f1b6a831c399e269772661"</ETag></Contents>'
        for n in range(4)
    )
    more = "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken>"
    text = f"<ListBucketResult {space}><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>{contents}{more}"
    return {"page.xml": f"{text}</ListBucketResult>".encode()}


def read_page(data: bytes, name: str, folder: Path) -> None:
    find_token(data)
    for entry in parse_page("list", data).entries:
        if not unfit(entry):
            inside = (folder / entry.key).resolve()
            assert folder.resolve() in inside.parents, f"{entry.key!r} leads out"


def texts(folder: Path) -> dict[str, bytes]:
    return {"text": b"epoch 1 \x1b[32mloss\x1b[0m 2.0, lr 0.1\r", "name": b"DenseNet-121_3.ckpt"}


def read_text(data: bytes, name: str, folder: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert not set(COLOUR.sub("", log_line(text))) & set(
        map(chr, [*range(9), *range(10, 13), *range(14, 32), 127])
    )
    assert message(text).isprintable()
    assert not cell(text).startswith(("=", "+", "-", "@", "\t"))
    assert "\n" not in message(text)
    if is_file_name(text):
        assert (folder / FileName(text)).parent == folder
        assert Path(text).name == text


def check(err: BaseException) -> None:
    """Whether an error is one that users see as one line."""
    from mindlift.errors import MindLiftError

    assert isinstance(err, MindLiftError), f"{type(err).__name__}: {err}"
    assert "\n" not in str(err)
    assert len(str(err)) < 2000


TARGETS = {
    "archives": Target(archives, read_archive, 150),
    "weights": Target(weight_files, read_weights, 800),
    "runs": Target(run_files, Runs().read, 30),
    "recipes": Target(recipes, read_recipe, 800),
    "rank tables": Target(tables, read_table, 3000),
    "MindRecord": Target(shards, Shards().read, 800),
    "listings": Target(pages, read_page, 5000),
    "texts": Target(texts, read_text, 5000),
}


def cases(name: str, folder: Path, seed: int) -> list[tuple[str, bytes, random.Random]]:
    """(name, bytes, generator) of each sample."""
    samples = TARGETS[name].samples(folder)
    return [(each, data, random.Random(f"{seed} {name} {each}")) for each, data in sorted(samples.items())]
