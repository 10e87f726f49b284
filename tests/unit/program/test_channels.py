"""NAME=PLACE, and how a program is told of the local path: by the parsers that programs use."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from mindlift.errors import ConfigError
from mindlift.program.channels import check_program, hand_over, read_channels

IN, OUT = "data_dir=obs://bk/images/", "ckpt=s3://bk/runs/m1/"


@pytest.mark.parametrize(
    ("inputs", "outputs", "local", "message"),
    [
        (["data_dir"], [], [], "expected NAME=PLACE"),
        (["data_dir="], [], [], "expected NAME=PLACE"),
        (["2d=obs://bk/x"], [], [], "'2d' is no name of an argument"),
        (["a b=obs://bk/x"], [], [], "'a b' is no name"),
        ([IN, "data_dir=/tmp"], [], [], "data_dir: two inputs or outputs can't have one name"),
        ([IN, "data-dir=/tmp"], [], [], "data-dir and data_dir: two"),
        ([IN], ["data_dir=obs://bk/o"], [], "two inputs or outputs"),
        (["a=ftp://host/x"], [], [], "ftp:// is unknown here; use a local path or obs://, s3://"),
        ([], ["a=https://host/x"], [], "https:// is unknown here"),
        (["a=https://host/x?Signature=secret"], ["b=gs://bk/x"], [], "gs:// is unknown"),
        (["a=obs://bk"], [], ["z=/tmp"], "no --input or --output has the name z"),
        (["a=obs://!/x"], [], [], "no bucket name"),
        ([IN], ["o=obs://bk/images/out/"], [], "obs://bk/images/out/ is inside --input data_dir"),
        ([IN], ["o=s3://bk/images"], [], "is inside --input data_dir"),
        (["d=/data"], ["o=/data/out"], [], "is inside --input d"),
        ([], ["o=obs://bk/x/", "p=obs://bk/x/y/"], [], "--output p: obs://bk/x/y/ is inside --output o"),
        ([IN], [OUT], ["data_dir=/cache/x", "ckpt=/cache/x"], "another channel has this path"),
    ],
)
def test_what_can_not_be_meant_is_one_line(inputs, outputs, local, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as found:
        read_channels(inputs, outputs, local)
    assert "secret" not in str(found.value)


def test_an_input_may_be_inside_an_output():
    """The checkpoint to begin with is often one of an earlier run's."""
    channels = read_channels(["pretrained=obs://bk/runs/m1/best.ckpt"], [OUT])
    assert [channel.name for channel in channels] == ["pretrained", "ckpt"]


def test_places_below_a_common_beginning_are_apart():
    assert len(read_channels(["d=obs://bk/run"], ["o=obs://bk/run1/"])) == 2


def test_local_places_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (channel,) = read_channels(["d=data"], [])
    assert channel.place == str(tmp_path / "data")


def parsed_by_argparse(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir")
    parser.add_argument("--model")
    return parser.parse_args(words).data_dir


def parsed_by_absl(words):
    known = pytest.importorskip("absl.flags")
    flags = known.FlagValues()
    known.DEFINE_string("data_dir", None, "", flag_values=flags)
    known.DEFINE_string("model", None, "", flag_values=flags)
    flags(["train.py", *words])
    return flags.data_dir


def parsed_by_click(words):
    click = pytest.importorskip("click")

    @click.command()
    @click.option("--data_dir")
    @click.option("--model")
    def command(data_dir, model):
        return data_dir

    return command.main(words, standalone_mode=False)


@pytest.mark.parametrize("parse", [parsed_by_argparse, parsed_by_absl, parsed_by_click])
def test_the_parsers_of_programs_take_the_argument(parse):
    words, variables = hand_over(["--model=x"], read_channels([IN], []), {"data_dir": "/cache/a b"}, "args")
    assert variables == {}
    assert parse(words) == "/cache/a b"


def test_one_word_is_not_taken_apart_by_parsers_that_know_less():
    """The reason for --NAME=PATH: of two words, argparse takes the second for a positional argument."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", nargs="?")
    assert parser.parse_known_args(["--data_dir", "/cache/d"])[0].config == "/cache/d"
    assert parser.parse_known_args(["--data_dir=/cache/d"])[0].config is None


def test_placeholders_take_the_place_of_arguments():
    channels = read_channels([IN], [OUT])
    paths = {"data_dir": "/d/{ckpt}", "ckpt": "/o"}
    words = ["sh", "-c", "train {data_dir}/train --cfg '{other}' data={data_dir}"]
    found, _ = hand_over(words, channels, paths, "args")
    assert found == ["sh", "-c", "train /d/{ckpt}/train --cfg '{other}' data=/d/{ckpt}", "--ckpt=/o"]


@pytest.mark.parametrize(
    ("way", "words", "variables"),
    [("env", ["x"], {"data_dir": "/d"}), ("none", ["x"], {}), ("args", ["x", "--data-dir=/d"], {})],
)
def test_ways_of_telling(way, words, variables):
    channels = read_channels(["data-dir=obs://bk/d"], [])
    assert hand_over(["x"], channels, {"data-dir": "/d"}, way) == (words, variables)


@pytest.mark.parametrize("word", ["--data_dir=/x", "--data_dir", "-data_dir", "--data-dir=/x"])
def test_an_argument_of_the_program_that_names_a_channel(word):
    channels = read_channels([IN], [])
    with pytest.raises(ConfigError, match="--input data_dir: the program's arguments have -.* already"):
        check_program(["python", "train.py", word], channels, "args", {})
    check_program(["python", "train.py", word], channels, "env", {})
    check_program(["python", word, "{data_dir}"], channels, "args", {})


def test_a_variable_that_is_set_already():
    channels = read_channels([IN], [])
    with pytest.raises(ConfigError, match="the variable data_dir is set already"):
        check_program(["python"], channels, "env", {"data_dir": "/x"})
    check_program(["python"], channels, "args", {"data_dir": "/x"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no program is named"),
        (["--input", "d=/tmp"], "no program is named"),
        (["--"], "no program is named"),
        (["--", "no-such-program-here"], "there is no program no-such-program-here"),
        (
            ["--input", "d=/no/such/place", "--", "true"],
            "--input d: /no/such/place does not exist on this machine",
        ),
        (["--input", "d=/tmp", "--", "echo", "--d=1"], "arguments have --d already"),
        (["--as", "env", "--input", "HOME=/tmp", "--", "true"], "the variable HOME is set already"),
    ],
)
def test_mistakes_end_with_2_and_one_line(words, message, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mindlift", "run", *words],
        env={**os.environ, "MINDLIFT_CACHE": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
