"""What is set by the kind of device, with stand-ins of the MindSpore versions that there are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mindlift.api import job
from mindlift.errors import ConfigError
from mindlift.model_utils import device_adapter, devices
from mindlift.model_utils.device_adapter import Ranks
from tests.support.rank_tables import v1

# MindSpore's names of chips (mindspore/amp.py) and what its documents call their default precision mode: Chinese page
# of mindspore.device_context.ascend.op_precision.precision_mode, 2.5 and master
FIRST_GENERATION, A2 = ("ascend910", "allow_fp32_to_fp16"), ("ascend910b", "must_keep_origin_dtype")


class MindSpore:
    """A stand-in for a version of MindSpore; notes what is called on it.

    `knows`: precision_mode (device_context.ascend.op_precision, 2.5 and later), ascend_config (2.2 - 2.4), or neither.
    """

    __version__ = "2.x"
    GRAPH_MODE = 0

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, chip: str, knows: str, size: int = 1, rank: int = 0
    ) -> None:
        self.calls: list[tuple[str, Any]] = []
        monkeypatch.setattr(device_adapter, "JOINED", [])  # the test's process has met nobody
        self.target, self.knows = "CPU", knows
        if knows == "precision_mode":
            op_precision = SimpleNamespace(
                precision_mode=lambda mode: self.calls.append(("precision_mode", mode))
            )
            self.device_context = SimpleNamespace(ascend=SimpleNamespace(op_precision=op_precision))
            self.set_device = self._set_device
        context = SimpleNamespace(get_ascend_soc_version=lambda: chip)
        communication = SimpleNamespace(
            init=lambda: self.calls.append(("init", None)), get_rank=lambda: rank, get_group_size=lambda: size
        )
        monkeypatch.setitem(sys.modules, "mindspore", self)  # type: ignore[arg-type]
        for name, module in {
            "_c_expression": SimpleNamespace(MSContext=SimpleNamespace(get_instance=lambda: context)),
            "communication": communication,
        }.items():
            monkeypatch.setitem(sys.modules, f"mindspore.{name}", module)  # type: ignore[arg-type]

    def _set_device(self, target: str, number: int = 0) -> None:
        self.target = target
        self.calls.append(("device", number))

    def set_context(self, **options: Any) -> None:
        if "device_target" in options:
            self._set_device(options["device_target"], options.get("device_id", 0))
        if "ascend_config" in options:
            if self.knows != "ascend_config":  # as mindspore/context.py says of every other word
                raise ValueError(
                    "For 'context.set_context', the keyword argument ascend_config is not recognized!"
                )
            self.calls.append(("precision_mode", options["ascend_config"]["precision_mode"]))

    def get_context(self, name: str) -> str:
        assert name == "device_target"
        return self.target

    def set_auto_parallel_context(self, **options: Any) -> None:
        self.calls.append(("parallel", options["device_num"]))


@pytest.mark.parametrize(("chip", "mode"), [FIRST_GENERATION, A2])
@pytest.mark.parametrize("knows", ["precision_mode", "ascend_config"])
def test_the_precision_of_float32_is_chosen_with_the_device(
    monkeypatch: pytest.MonkeyPatch, knows: str, chip: str, mode: str
) -> None:
    """Before ranks meet, and so before anything is compiled."""
    mindspore = MindSpore(monkeypatch, chip, knows, size=2)
    device_adapter.connect(Ranks(0, 2, 4, 2, "rank_table"), "Ascend", 1)
    assert mindspore.calls == [("device", 4), ("precision_mode", mode), ("init", None), ("parallel", 2)]


def test_versions_without_a_precision_mode_keep_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mindspore = MindSpore(monkeypatch, "ascend910", knows="neither")
    device_adapter.connect(Ranks(), "Ascend", 1)
    assert mindspore.calls == [("device", 0)]


@pytest.mark.parametrize("knows", ["precision_mode", "ascend_config"])
def test_other_devices_have_no_precision_mode(monkeypatch: pytest.MonkeyPatch, knows: str) -> None:
    mindspore = MindSpore(monkeypatch, "", knows)
    device_adapter.connect(Ranks(), "CPU", 1)
    assert mindspore.calls == [("device", 0)]


def test_the_installed_mindspore_has_what_the_stand_ins_have() -> None:
    ms = pytest.importorskip("mindspore")
    from mindspore.device_context.ascend import op_precision

    assert ms.device_context.ascend.op_precision.precision_mode is op_precision.precision_mode
    source = Path(
        str(importlib.util.find_spec("mindspore.device_context.ascend.op_precision").origin)
    ).read_text()  # type: ignore[union-attr]
    for _, mode in (FIRST_GENERATION, A2):
        assert f'"{mode}"' in source.partition("supported_modes = [")[2].partition("]")[0]
    with pytest.raises(ValueError, match="not recognized"):
        ms.set_context(some_word={})


def timeouts(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("HCCL_")}


def prepared(ranks: Ranks, target: str, **env: str) -> dict[str, str]:
    device_adapter.prepare_environment(ranks, env, frozenset(), "2.8.0", target=target)
    return timeouts(env)


def test_ranks_on_cards_wait_longer_for_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    set_ = prepared(Ranks(0, 2, 0, 2, "rank_table"), "Ascend")
    assert sorted(set_) == ["HCCL_CONNECT_TIMEOUT", "HCCL_EXEC_TIMEOUT"]
    # CANN's documents: CONNECT 120 (default) - 7200; EXEC 1836 (default) - 17340 in steps of 68 on Atlas training cards
    assert 120 < int(set_["HCCL_CONNECT_TIMEOUT"]) <= 7200
    assert 1836 < int(set_["HCCL_EXEC_TIMEOUT"]) <= 17340
    assert int(set_["HCCL_EXEC_TIMEOUT"]) % 68 == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert all(f"{name}={value}" in line for name, value in set_.items())


def test_what_the_user_or_the_platform_has_set_stays(capsys: pytest.CaptureFixture[str]) -> None:
    two = Ranks(0, 2, 0, 2, "rank_table")
    own = {"HCCL_CONNECT_TIMEOUT": "600", "HCCL_EXEC_TIMEOUT": "680"}
    assert prepared(two, "Ascend", **own) == own
    assert capsys.readouterr().err == ""
    assert prepared(two, "Ascend", HCCL_CONNECT_TIMEOUT="600")["HCCL_CONNECT_TIMEOUT"] == "600"
    assert "CONNECT" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ranks", "target"), [(Ranks(), "Ascend"), (Ranks(0, 2, 0, 2), "CPU"), (Ranks(0, 2, 0, 2), "GPU")]
)
def test_others_need_no_timeouts(ranks: Ranks, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared(ranks, target) == {}
    assert capsys.readouterr().err == ""


def test_only_rank_0_speaks_of_timeouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(prepared(Ranks(1, 2, 1, 2, "rank_table"), "Ascend")) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("prog", ["train.py", "eval.py"])
def test_programs_prepare_for_the_device_that_they_run_on(monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    told: list[str] = []
    monkeypatch.setattr(device_adapter, "choose_device", lambda target: "Ascend")
    monkeypatch.setattr(device_adapter, "prepare_environment", lambda *_, target, **__: told.append(target))
    monkeypatch.setattr(job, "check_files", lambda *_: None)
    job.start(job.read(["--net", "densenet22", "--dataset", "digits"], prog), prog)
    assert told == ["Ascend"]


@pytest.mark.parametrize(
    ("rank", "target", "chip", "lines"),
    [
        (0, "Ascend", "ascend910", 1),
        (1, "Ascend", "ascend910", 0),
        (0, "Ascend", "ascend910b", 0),
        (0, "CPU", "", 0),
    ],
)
def test_rank_0_warns_of_cards_of_two_rings(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    rank: int,
    target: str,
    chip: str,
    lines: int,
) -> None:
    """hccl_tools' rule (see test_rank_table.py) is one of the first generation."""
    table = tmp_path / "table.json"
    table.write_text(v1(("10.0.0.1", [(0, 3, "10.0.1.3"), (1, 4, "10.0.1.4")])))
    ranks = device_adapter.read_ranks({"RANK_ID": str(rank), "RANK_SIZE": "2", "RANK_TABLE_FILE": str(table)})
    mindspore = MindSpore(monkeypatch, chip, "precision_mode", size=2, rank=rank)
    device_adapter.connect(ranks, target, 1)
    assert ("init", None) in mindspore.calls
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert all(line.startswith("warning: devices 3, 4 of server 10.0.0.1") for line in said)


# (device, level, dtype, whether it trains) -> what is said, "" where it is taken
PRECISIONS = [
    ("CPU", "", "O2", "bfloat16", True, "needs an Ascend 910B or later, but this job runs on CPU; pass"),
    ("CPU", "", "auto", "bfloat16", True, "this job runs on CPU"),
    ("CPU", "", "O0", "bfloat16", True, "this job runs on CPU"),
    ("CPU", "", "O1", "bfloat16", False, "this job runs on CPU"),
    ("CPU", "", "auto", "bfloat16", False, ""),
    ("CPU", "", "O3", "float16", True, ""),
    ("GPU", "", "O1", "bfloat16", True, "this job runs on GPU"),
    ("Ascend", "ascend910", "auto", "bfloat16", True, "this job runs on Ascend ascend910;"),
    ("Ascend", "ascend910b", "auto", "bfloat16", True, ""),
    ("Ascend", "ascend910_93", "O1", "bfloat16", False, ""),
    ("Ascend", "ascend910b", "O0", "bfloat16", True, "has no effect with --amp_level O0"),
    ("Ascend", "", "O1", "bfloat16", True, ""),  # before MindSpore is imported, which knows the chip
]


@pytest.mark.parametrize(("target", "chip", "level", "dtype", "trains", "said"), PRECISIONS)
def test_bfloat16_where_the_device_has_it(
    target: str, chip: str, level: str, dtype: str, trains: bool, said: str
) -> None:
    """MindSpore r2.3.0, "bfloat16 Datatype Support Status": only Ascend has operators; not the first generation."""
    device = devices.of(target, chip)
    if not said:
        devices.check_precision(dtype, level, device, trains)
        return
    with pytest.raises(ConfigError, match=f"--amp_dtype bfloat16 .*{said}"):
        devices.check_precision(dtype, level, device, trains)
