"""A URL where a path of this machine belongs: one line, exit code 2, and no folder called `obs:`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from mindlift.cli import (
    build_seg_data,
    data_voc,
    job_arguments,
    main,
    report,
    to_mindrecord,
)
from mindlift.cli.local_paths import local
from mindlift.errors import ConfigError
from mindlift.model_utils.staging.cache_place import cache_folder
from mindlift.program.channels import read_channels

URL = "obs://bucket/x"
PARSERS = {
    "data to_mindrecord": to_mindrecord.parser,
    "data build_seg_data": build_seg_data.parser,
    "data voc_labels": data_voc.labels_parser,
    "data get_dataset_lst": data_voc.lists_parser,
    "report": report.parser,
    "fetch": lambda: job_arguments.parser_of("fetch"),
    "probe": lambda: job_arguments.parser_of("probe"),
}
PATH = re.compile(
    r"\b(folder|file|list|shards|place)\b|PNG"
)  # what the help of an option says that is a path
NAMES = {"labels", "num_shards", "net", "skip_corrupt", "shuffle"}
COMMANDS = [
    ["postprocess", "--data_root", "{}", "--data_lst", "x", "--result_path", "x"],
    ["postprocess", "--data_root", "x", "--data_lst", "{}", "--result_path", "x"],
    ["postprocess", "--data_root", "x", "--data_lst", "x", "--result_path", "{}"],
    ["infer_mindir", "--mindir_path", "{}", "--dataset_path", "x", "--image_list", "x"],
    ["infer_mindir", "--mindir_path", "x", "--dataset_path", "{}", "--image_list", "x"],
    ["infer_mindir", "--mindir_path", "x", "--dataset_path", "x", "--image_list", "{}"],
    ["compare_checkpoints", "{}", "x"],
    ["compare_checkpoints", "x", "{}"],
    ["rank_table", "make", "--server_id", "10.0.0.1", "-o", "{}"],
    ["rank_table", "make", "--server_id", "10.0.0.1", "--hccn_conf", "{}"],
    ["rank_table", "check", "{}"],
    ["rank_table", "convert", "{}", "-o", "x"],
    ["rank_table", "convert", "x", "-o", "{}"],
    ["data", "rand_augment_sheet", "{}"],
    ["data", "augmentation_sheets", "{}"],
    ["data", "to_mindrecord", "--out", "{}"],
    ["data", "to_mindrecord", "--out", "x", "--data_dir", "{}"],
    ["data", "build_seg_data", "--data_root", "{}", "--dst_path", "x"],
    ["data", "build_seg_data", "--data_root", "x", "--dst_path", "{}"],
    ["data", "build_seg_data", "--data_root", "x", "--dst_path", "x", "--data_lst", "{}"],
    ["data", "voc_labels", "--data_root", "{}"],
    ["data", "get_dataset_lst", "--data_root", "{}"],
    ["report", "x", "--out", "{}"],
    ["fetch", "local://x", "--out", "{}"],
    ["submit", "--config", "{}"],
    ["probe", "--out", "{}"],
    ["run", "--cache_path", "{}", "--", "true"],
    ["run", "--input", "a=/tmp", "--local", "a={}", "--", "true"],
]


@pytest.mark.parametrize("url", [URL, "s3a://bucket/x", "https://host/x", "obs:/bucket/x"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_url_is_refused(monkeypatch, tmp_path, capsys, words, url):
    monkeypatch.chdir(tmp_path)
    try:
        code = main.main([word.format(url) for word in words])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2, said
    assert f"{url} is a URL; give a " in said
    assert list(tmp_path.iterdir()) == []


def options() -> Iterator[tuple[str, argparse.Action]]:
    for name, parser in PARSERS.items():
        for action in parser()._actions:
            if action.option_strings and isinstance(action.default, (str, type(None))) and action.nargs != 0:
                yield name, action


def test_every_option_whose_help_names_a_file_is_known():
    """A new one stands in COMMANDS, or takes URLs."""
    tried = {word.lstrip("-") for words in COMMANDS for word in words if word.startswith("-")}
    job_keys = set(job_arguments.FIELDS)
    found = {
        action.dest
        for _, action in options()
        if PATH.search(action.help or "") and not action.choices and action.dest not in NAMES | job_keys
    }
    assert found - tried == set()


def test_a_cache_in_a_bucket(monkeypatch):
    monkeypatch.setenv("MINDLIFT_CACHE", URL)
    with pytest.raises(ConfigError, match=f"MINDLIFT_CACHE {URL} is a URL"):
        cache_folder("")
    with pytest.raises(ConfigError, match=f"--cache_path {URL} is a URL"):
        cache_folder(URL)


def test_what_is_a_path():
    for text in ("x", "/x", "C:/x", "file:///x", "runs:1/x", "a=b", ""):
        assert local(text) == text
    assert read_channels(["a=/tmp"], [], ["a=/x"])[0].local == "/x"
