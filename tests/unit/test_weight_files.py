"""Files of weights: what real libraries wrote, and what nobody should be able to make us do."""

from __future__ import annotations

import random
import shutil
import zipfile
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from safetensors.numpy import save_file

from mindlift.errors import CheckpointError
from mindlift.models.weights import files, vocabulary
from tests.support import torch_writer as write

SAMPLES = Path(__file__).parents[1] / "golden/weights"
ONE = np.arange(6, dtype=np.float32).reshape(2, 3)
REBUILD = write.name("torch._utils", "_rebuild_tensor_v2")


def expected() -> dict[str, np.ndarray]:
    """What tests/golden/weights/make.py has written; bfloat16 is read as float32."""
    base = np.arange(24, dtype=np.float32)
    found = {
        "plain": base.reshape(2, 3, 4) / 8,
        "transposed": base.reshape(4, 6).T,
        "inside": base[5:17].reshape(3, 4),
        "every_second": base[1::2],
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "parameter": base[:4],
        "bool": np.array([True, False, True]),
        "uint8": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "bfloat16": np.arange(-3, 3, dtype=np.float32).reshape(2, 3),
    }
    for kind in ("float64", "float16", "int64", "int32", "int16", "int8"):
        found[kind] = np.arange(-3, 3).astype(kind).reshape(2, 3)
    return found


@pytest.mark.parametrize("file", ["types_zip.pth", "types_legacy.pth", "types.safetensors"])
def test_every_type_and_every_view(file, tmp_path):
    shutil.copy(SAMPLES / file, tmp_path / "of_any_name")
    stored = files.read(tmp_path / "of_any_name")
    assert stored.tensors.keys() == expected().keys()
    for name, value in expected().items():
        np.testing.assert_array_equal(stored.tensors[name], value, strict=True)
        assert stored.tensors[name].dtype.byteorder in "=|", "MindSpore 2.7 takes no other, be it the same"
        assert stored.type_of(name) == (name if name == "bfloat16" else value.dtype.name)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_weights_inside_what_a_training_saved(form):
    tensors = files.read(SAMPLES / f"wrapped_{form}.pth").tensors
    assert {name: value.flat[0] for name, value in tensors.items()} == {
        "0.weight": 0,
        "0.bias": 1,
        "1.weight": 2,
        "1.bias": 3,
        "1.running_mean": 4,
        "1.running_var": 5,
        "1.num_batches_tracked": 6,
    }
    assert tensors["0.weight"].shape == (2, 1, 3, 3)


def test_a_mindspore_checkpoint_of_any_name(tmp_path):
    entries = {
        "a.weight": ms.Tensor(ONE),
        "half": ms.Tensor(ONE, ms.float16),
        "brain": ms.Tensor(ONE, ms.bfloat16),
    }
    ms.save_checkpoint(
        [{"name": name, "data": value} for name, value in entries.items()], str(tmp_path / "x.ckpt")
    )
    (tmp_path / "x.ckpt").rename(tmp_path / "model.bin")
    stored = files.read(tmp_path / "model.bin")
    assert stored.form == "mindspore"
    assert {name: stored.type_of(name) for name in stored.tensors} == {
        "a.weight": "float32",
        "half": "float16",
        "brain": "bfloat16",
    }
    for value in stored.tensors.values():
        np.testing.assert_array_equal(value, ONE)


@pytest.mark.parametrize("write_file", [write.write_zip, write.write_legacy])
@pytest.mark.parametrize("rebuild", ["_rebuild_tensor", "_rebuild_tensor_v2", "old parameter"])
def test_how_older_pytorch_wrote_tensors(tmp_path, write_file, rebuild):
    body = write.tensor(ONE, "0", "_rebuild_tensor" if "old" in rebuild else rebuild)
    body = write.mapping({"w": write.old_parameter(body) if "old" in rebuild else body})
    np.testing.assert_array_equal(files.read(write_file(tmp_path / "x", body, {"0": ONE})).tensors["w"], ONE)


def calls(module: str, attribute: str, argument: bytes = write.text("touch gotcha")) -> bytes:
    return write.name(module, attribute) + write.items(argument) + b"R"


DOUBLING = (
    b")q\x01" + b"h\x01h\x01\x86q\x01" * 60
)  # ((x, x), (x, x)) and so on: 2 ** 60 elements to print or hash
REFERENCE = (
    write.items(
        write.text("storage"),
        write.name("torch", "FloatStorage"),
        write.text("0"),
        write.text("cpu"),
        write.number(6),
    )
    + b"Q"
)
IN_DICT = (
    b"r\x07\x00\x00\x00}" + write.text("w") + b"j\x07\x00\x00\x00s"
)  # what is on the stack, as {"w": it}


# id: (the pickle, parts of the message)
HOSTILE = {
    "runs a command": (calls("os", "system"), ["os.system", "state_dict()"]),
    "the same by another name": (calls("posix", "system"), ["posix.system"]),
    "a builtin": (calls("builtins", "eval"), ["builtins.eval"]),
    "an attribute of what is allowed": (
        calls("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ["__globals__"],
    ),
    "by pieces": (write.text("os") + write.text("system") + b"\x93" + write.items() + b"R", ["os.system"]),
    "an object": (write.name("argparse", "Namespace") + b")\x81", ["argparse.Namespace"]),
    "an old instance": (b"(ios\nsystem\n", ["INST"]),
    "an extension": (b"\x82\x01", ["EXT1"]),
    "calls what it made": (b"}" + write.items() + b"R", ["calls {}"]),
    "calls a type": (calls("torch", "FloatStorage"), ["calls torch.FloatStorage"]),
    "changes a function": (REBUILD + b"}b", ["sets attributes"]),
    "another reference": (write.items(write.text("module"), write.text("x")) + b"Q", ["'module'"]),
    "a reference to nothing": (b"NQ", ["None"]),
    "a tuple that doubles forever, as a key": (b"}(" + DOUBLING + b"N" + b"u", ["no dict of named tensors"]),
    "as a reference": (DOUBLING + b"Q", ["refers to"]),
    "as a function": (DOUBLING + write.items() + b"R", ["calls"]),
    "as a target": (DOUBLING + b"}b", ["sets attributes"]),
    "as a class": (DOUBLING + b")\x81", ["calls"]),
    "as a key of a storage": (
        write.items(
            write.text("storage"), write.name("torch", "FloatStorage"), DOUBLING, b"N", write.number(1)
        )
        + b"Q",
        ["filed under"],
    ),
    "as a shape": (
        REBUILD + write.items(REFERENCE, write.number(0), DOUBLING, DOUBLING, b"\x89", b"}") + b"R" + IN_DICT,
        ["does not lie"],
    ),
    "as a name": (DOUBLING + DOUBLING + b"\x93", ["no text"]),
    "a name of two lines": (write.mapping({"w\n\x1b[1m": write.tensor(ONE, "0")}), ["tensor named 'w"]),
    "a message of two lines": (write.text("o\ns") + write.text("x") + b"\x93", ["o s.x"]),
    "a memo that is not there": (b"h\x07", ["damaged", "KeyError"]),
    "an empty stack": (b"R", ["damaged"]),
    "no mark": (b"t", ["damaged"]),
    "gigabytes of text": (b"X\xff\xff\xff\xff", ["damaged"]),
    "no tensors": (write.mapping({"epoch": write.number(3)}), ["a dict of epoch", "state_dict()"]),
    "a list": (b"]", ["list"]),
    "itself": (b"}q\x00(" + write.text("state_dict") + b"h\x00u", ["no dict of named tensors"]),
    "a type that is not read": (
        write.mapping({"w": write.tensor(ONE, "0", kind="ComplexFloatStorage")}),
        ["torch.ComplexFloatStorage"],
    ),
    "beyond its storage": (write.mapping({"w": write.tensor(ONE, "0", offset=1)}), ["does not lie"]),
    "before its storage": (write.mapping({"w": write.tensor(ONE, "0", offset=-1)}), ["does not lie"]),
    "backwards": (write.mapping({"w": write.tensor(ONE, "0", strides=(-3, 1))}), ["does not lie"]),
    "much out of little": (
        write.mapping({"w": write.tensor(ONE, "0", shape=(10**6, 10**6), strides=(0, 0))}),
        ["does not lie"],
    ),
    "one dimension too few": (write.mapping({"w": write.tensor(ONE, "0", strides=(1,))}), ["does not lie"]),
    "a length that is wrong": (write.mapping({"w": write.tensor(ONE, "0", count=7)}), ["storage"]),
    "a length below zero": (write.mapping({"w": write.tensor(ONE, "0", count=-1)}), ["-1"]),
    "a storage that is missing": (write.mapping({"w": write.tensor(ONE, "../0")}), ["../0", "missing"]),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("write_file", [write.write_zip, write.write_legacy])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_one_line_and_runs_nothing(tmp_path, monkeypatch, write_file, case):
    monkeypatch.chdir(tmp_path)
    body, parts = HOSTILE[case]
    with pytest.raises(CheckpointError) as caught:
        files.read(write_file(tmp_path / "x.pth", body, {"0": ONE} if b"torch\n" in body else {}))
    message = str(caught.value)
    assert message.startswith(f"can't read weights {tmp_path / 'x.pth'}: ")
    assert "\n" not in message
    if case not in ("a length that is wrong", "a storage that is missing") or write_file is write.write_zip:
        assert [part for part in parts if part not in message] == []
    assert [path.name for path in tmp_path.iterdir()] == ["x.pth"]


def test_the_calls_of_a_pickle_are_functions_that_only_arrange():
    """The whole list of what a file can have called, so that a longer one is noticed."""
    assert set(vocabulary.CALLS) == {
        "collections.OrderedDict",
        "collections.defaultdict",
        "torch.Size",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
    }


STATE = write.mapping({"w": write.tensor(ONE, "0")})
ARCHIVES = {
    "compressed": ({"compress": zipfile.ZIP_DEFLATED}, "compressed"),
    "of a big-endian machine": ({"byteorder": b"big"}, "big-endian"),
    "TorchScript": ({"constants.pkl": b""}, "TorchScript"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_of_another_kind(tmp_path, case):
    more, message = ARCHIVES[case]
    with pytest.raises(CheckpointError, match=message):
        files.read(write.write_zip(tmp_path / "x.pth", STATE, {"0": ONE}, **more))


@pytest.mark.parametrize(("more", "message"), [({"little": False}, "big-endian"), ({"version": 999}, "999")])
def test_streams_of_another_kind(tmp_path, more, message):
    with pytest.raises(CheckpointError, match=message):
        files.read(write.write_legacy(tmp_path / "x.pth", STATE, {"0": ONE}, **more))


OTHER_FILES = {
    "": "empty",
    "plain text": "not a file of weights",
    "<!DOCTYPE html><html>": "HTML",
    "version https://git-lfs.github.com/spec/v1\noid sha256:0": "git lfs pull",
    "\x1f\x8b packed": "not a file|packed",
}


@pytest.mark.parametrize("content", OTHER_FILES)
def test_what_is_no_file_of_weights_is_named(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=OTHER_FILES[content]) as caught:
        files.read(tmp_path / "x.pth")
    assert "a .ckpt of MindSpore, a .pth of PyTorch, a .safetensors or a .npz file" in str(caught.value)


def test_an_archive_that_is_no_pytorch_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"zip archive without the data\.pkl"):
        files.read(tmp_path / "x.zip")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        files.read(tmp_path / "gone.pth")


def test_a_whole_network_is_refused_by_its_class():
    with pytest.raises(
        CheckpointError, match=r"torch\.nn\.modules\.container\.Sequential.* save the state_dict\(\)"
    ):
        files.read(SAMPLES / "whole_network.pth")


@pytest.mark.parametrize("sample", ["types_zip.pth", "types_legacy.pth", "types.safetensors", "ckpt"])
def test_damage_is_one_line_wherever_it_is(tmp_path, sample):
    """Cut short and with changed bytes at many places: read, or refused in one line, and nothing else."""
    if sample == "ckpt":
        ms.save_checkpoint([{"name": "a.weight", "data": ms.Tensor(ONE)}], str(tmp_path / "x.ckpt"))
        content = (tmp_path / "x.ckpt").read_bytes()
    else:
        content = (SAMPLES / sample).read_bytes()
    rng, places = random.Random(1), range(0, len(content), max(1, len(content) // 150))
    cuts = [content[:at] for at in places]
    changed = [
        content[:at] + bytes([content[at] ^ rng.choice([1, 128, 255])]) + content[at + 1 :] for at in places
    ]
    file, messages = tmp_path / "damaged.ckpt", []
    for damaged in (*cuts, *changed):
        file.write_bytes(damaged)
        try:
            files.read(file)
        except CheckpointError as err:
            messages.append(str(err))
    assert not [message for message in messages if "\n" in message]
    assert len(messages) >= len(cuts) * (0.9 if sample == "ckpt" else 1)


def test_unknown_types_of_safetensors_are_named(tmp_path):
    save_file({"w": np.zeros(3, np.uint32)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="w is of type U32; known are F64"):
        files.read(tmp_path / "x.safetensors")
