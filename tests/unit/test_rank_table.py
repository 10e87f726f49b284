from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mindlift.cli import multicards
from mindlift.cli import rank_table as tool
from mindlift.errors import RankError
from mindlift.model_utils import rank_table
from tests.support.rank_tables import TWO_PODS, v01, v1

ROOT = Path(__file__).resolve().parents[2]


def test_v1_holds_ints() -> None:
    table = rank_table.parse(v1(("a", [(0, 4, "10.0.0.4")])), "t")
    assert table.devices == (rank_table.Device(0, 4, "10.0.0.4", "a"),)
    assert (table.version, table.size, rank_table.check(table)) == ("1.0", 1, [])


def test_v01_counts_ranks_in_the_order_of_the_pods_numbers_and_converts() -> None:
    table = rank_table.parse(TWO_PODS, "t")
    assert [(e.rank, e.device, e.server) for e in table.devices] == [
        (0, 0, "192.168.0.25"),
        (1, 1, "192.168.0.25"),
        (2, 0, "192.168.0.30"),
        (3, 1, "192.168.0.30"),
    ]
    text = rank_table.to_v1(table)
    assert rank_table.parse(text, "t").devices == table.devices
    data = json.loads(text)
    assert data["server_count"] == "2"
    assert data["server_list"][1]["device"][1]["rank_id"] == "3"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (v1(("a", [(0, 0, "1"), (0, 1, "2")])), "rank_id 0 occurs twice"),
        (v1(("a", [(0, 0, "1"), (2, 1, "2")])), "missing 1"),
        (v1(("a", [(0, 0, "1"), (1, 0, "2")])), "device_id 0 occurs twice on server a"),
        (v1(("a", [(0, 0, "1"), (1, 1, "1")])), "device_ip 1 occurs twice"),
        (v1(("a", [(0, 0, "1")]), server_count="2"), "server_count says 2, but 1 are listed"),
        (v1(("a", [(0, 0, "1")]), status="initializing"), "status is 'initializing'"),
        (v1(("a", [(0, 0, "1"), (1, 1, "2")]), ("b", [(2, 0, "3")])), "a: 2, b: 1"),
        (v01(("p-0", "a", [(0, "1")]), device_count=8), "device_count says 8, but 1 are listed"),
        ('{"status": "initializing"}', "status is 'initializing'"),
        (v1(), "no devices"),
    ],
)
def test_check_finds(text: str, problem: str) -> None:
    problems = rank_table.check(rank_table.parse(text, "t"))
    assert any(problem in line for line in problems), problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "t: not a rank table"),
        ("[]", "found list"),
        ("{}", "neither 'server_list'"),
        ('{"server_list": [{"server_id": "a"}]}', "'device'"),
        ('{"server_list": 3}', "damaged"),
        (v1(("a", [(0, 0, "1")])).replace('"rank_id": "0"', '"rank_id": "x"'), "rank_id is 'x'"),
        (v1(("a", [(0, 0, "1")])).replace('"device_id": "0"', '"device_id": "-1"'), "device_id is '-1'"),
    ],
)
def test_unreadable_tables_are_one_error(text: str, message: str) -> None:
    with pytest.raises(RankError, match=message):
        rank_table.parse(text, "t")


def test_make_numbers_ranks_from_zero_and_refuses_duplicates() -> None:
    table = rank_table.make("a", [(4, "x"), (5, "y")])
    assert [(e.rank, e.device, e.ip) for e in table.devices] == [(0, 4, "x"), (1, 5, "y")]
    with pytest.raises(RankError, match="device_id 4 occurs twice"):
        rank_table.make("a", [(4, "x"), (4, "y")])
    with pytest.raises(RankError, match="no devices"):
        rank_table.make("a", [])


@pytest.mark.parametrize(("text", "devices"), [("[0,8)", range(8)), ("[4, 6)", range(4, 6)), ("2", range(2))])
def test_device_num(text: str, devices: range) -> None:
    assert rank_table.parse_device_num(text) == devices


@pytest.mark.parametrize("text", ["", "[0,8]", "[4,4)", "0", "eight"])
def test_bad_device_num(text: str) -> None:
    with pytest.raises(RankError, match="--device_num"):
        rank_table.parse_device_num(text)


@pytest.fixture
def hccn(tmp_path: Path) -> Path:
    path = tmp_path / "hccn.conf"
    path.write_text("".join(f"address_{i}=192.168.{i}.101\nnetmask_{i}=255.255.255.0\n" for i in range(8)))
    return path


def test_tool_makes_checks_and_converts(
    tmp_path: Path, hccn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made.json"
    args = ["make", "--server_id", "192.168.0.25", "--device_num", "[4,6)", "--hccn_conf", str(hccn)]
    assert tool.main([*args, "-o", str(made)]) == 0
    assert rank_table.parse(made.read_text(), "t").devices[1] == rank_table.Device(
        1, 5, "192.168.5.101", "192.168.0.25"
    )
    assert tool.main(["check", str(made)]) == 0
    assert "rank 1: device 5 (192.168.5.101)" in capsys.readouterr().out
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(TWO_PODS)
    assert tool.main(["convert", str(old), "-o", str(new)]) == 0
    assert rank_table.parse(new.read_text(), "t").version == "1.0"


def test_tool_check_prints_one_line_per_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(v1(("a", [(0, 0, "1"), (2, 0, "2")])))
    assert tool.main(["check", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "nowhere.json"],
        ["convert", "nowhere.json", "-o", "x.json"],
        ["make", "--server_id", "a", "--hccn_conf", "nowhere.conf"],
        ["make", "--server_id", "a", "--device_num", "[3,2)"],
    ],
)
def test_tool_says_mistakes_in_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(argv) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_make_needs_every_asked_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hccn.conf"
    path.write_text("address_0=10.0.0.1\n")
    assert tool.main(["make", "--server_id", "a", "--device_num", "2", "--hccn_conf", str(path)]) == 2
    assert "no address_1" in capsys.readouterr().err
    path.write_text("# empty\n")
    assert tool.main(["make", "--server_id", "a", "--hccn_conf", str(path)]) == 2
    assert "address_0=" in capsys.readouterr().err


def test_get_multicards_json_runs_as_a_file(tmp_path: Path, hccn: Path) -> None:
    script = ROOT / "src/tools/get_multicards_json.py"
    command = [sys.executable, str(script), "10.1.1.1", "--hccn_conf", str(hccn)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    table = rank_table.parse((tmp_path / "rank_table_8p.json").read_text(), "t")
    assert table.size == 8
    assert table.servers == ("10.1.1.1",)
    assert multicards.main(["10.1.1.1", "--hccn_conf", str(tmp_path / "none")]) == 2


# hccl_tools.py of mindspore-ai/models, utils/hccl_tools: "the first four chips belong to one group, and the last four
# chips belong to another one. Only full chips are allowed to cross-group such as [0,8), other cross-group such as [3,6)
# are prohibited." Its check: `first_num < 4 < last_num` of the half-open range, unless it is [0,8).
HCCL_TOOLS_RANGES = [(first, end) for first in range(8) for end in range(first + 1, 9)]


@pytest.mark.parametrize(("first", "end"), HCCL_TOOLS_RANGES)
def test_the_cards_that_hccl_tools_refuses_get_a_warning(first: int, end: int) -> None:
    table = rank_table.make("a", [(number, f"10.0.0.{number}") for number in range(first, end)])
    refused = first < 4 < end and (first, end) != (0, 8)
    assert len(rank_table.split_rings(table)) == refused
    assert rank_table.check(table) == []


def test_every_server_has_rings_of_its_own() -> None:
    upper, split = [(4, "4"), (5, "5")], [(0, "0"), (4, "4")]
    servers = [
        (name, [(2 * i + j, card, f"10.0.{i}.{ip}") for j, (card, ip) in enumerate(cards)])
        for i, (name, cards) in enumerate([("a", upper), ("b", split)])
    ]
    (line,) = rank_table.split_rings(rank_table.parse(v1(*servers), "t"))
    assert "devices 0, 4 of server b" in line
    sixteen = rank_table.make("a", [(number, f"10.0.0.{number}") for number in range(16)])
    assert rank_table.split_rings(sixteen) == []  # no server of eight, so none of two rings


def test_the_tool_warns_and_goes_on(tmp_path: Path, hccn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made.json"
    args = ["make", "--server_id", "a", "--device_num", "[2,6)", "--hccn_conf", str(hccn), "-o", str(made)]
    for command in (args, ["check", str(made)], ["convert", str(made), "-o", str(tmp_path / "again.json")]):
        assert tool.main(command) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert "made.json: warning: devices 2, 3, 4, 5 of server a" in line
