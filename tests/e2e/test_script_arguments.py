"""The launch scripts' own arguments: what is wrong with them is one line, before anything is started."""

from __future__ import annotations

import pytest

from tests.e2e.test_scripts import NET, Script
from tests.support.programs import ROOT

ARGUMENTS = {
    "run_train_cpu.sh": "NET DATASET DATA [CKPT]",
    "run_eval_cpu.sh": "NET DATASET DATA CKPT",
    "run_distribute_train.sh": "DEVICE_NUM RANK_TABLE NET DATASET DATA [CKPT]",
    "run_distribute_eval.sh": "DEVICE_NUM RANK_TABLE NET DATASET DATA CKPT",
    "run_distribute_train_gpu.sh": "DEVICE_NUM VISIBLE_DEVICES NET DATASET DATA [PRETRAINED]",
    "run_distribute_eval_gpu.sh": "DEVICE_NUM VISIBLE_DEVICES NET DATASET DATA CKPT",
}


@pytest.mark.parametrize("script", sorted(ARGUMENTS))
def test_wrong_numbers_of_arguments_get_the_usage_line(tmp_path, script):
    names = ARGUMENTS[script].split()
    least = sum(not name.startswith("[") for name in names)
    for count in (0, least - 1, len(names) + 1):
        done = Script(script, *["1"] * count, folder=tmp_path).end()
        assert (done.code, done.out) == (2, "")
        assert done.err == f"usage: {ROOT / 'scripts' / script} {ARGUMENTS[script]} [--flag value ...]\n"


def test_local_ranks_usage(tmp_path):
    for arguments in ((), (2,)):
        done = Script("local_ranks.sh", *arguments, folder=tmp_path).end()
        assert (done.code, done.out) == (2, "")
        assert done.err == f"usage: {ROOT / 'scripts/local_ranks.sh'} N SCRIPT.py [arguments ...]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run_train_cpu.sh", *NET, "nowhere"), "DATA 'nowhere' does not exist"),
        (("run_train_cpu.sh", *NET, ".", "nothing"), "CKPT 'nothing' does not exist"),
        (("run_eval_cpu.sh", *NET, ".", "nothing"), "CKPT 'nothing' does not exist"),
        (("run_distribute_train.sh", 2, "-", *NET, "nowhere"), "DATA 'nowhere' does not exist"),
        (("run_distribute_train.sh", 0, "-", *NET, "."), "DEVICE_NUM '0': expected a number from 1 on"),
        (("run_distribute_train.sh", "two", "-", *NET, "."), "DEVICE_NUM 'two': expected a number from 1 on"),
        (("run_distribute_train.sh", 2, "none.json", *NET, "."), "RANK_TABLE 'none.json' does not exist"),
        (("run_distribute_eval.sh", 2, "none.json", *NET, ".", "."), "RANK_TABLE 'none.json' does not exist"),
        (
            ("run_distribute_train_gpu.sh", 2, "all", *NET, "."),
            "VISIBLE_DEVICES 'all': expected numbers such as 0,1,2,3",
        ),
        (
            ("run_distribute_eval_gpu.sh", 2, "0,1", *NET, ".", ".", "--device_target", "Ascend"),
            "--device_target Ascend: use run_distribute_eval.sh",
        ),
        (("local_ranks.sh", "x", "a.py"), "N 'x': expected a number from 1 on"),
        (("local_ranks.sh", 2, "a.py"), "SCRIPT 'a.py' does not exist"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    done = Script(*arguments, folder=tmp_path).end()
    assert (done.code, done.out, done.err) == (2, "", f"{arguments[0]}: {message}\n")
