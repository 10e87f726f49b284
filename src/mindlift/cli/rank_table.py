"""Make, check and convert rank tables.

mindlift rank_table make --server_id 192.168.0.25 --device_num "[0,8)" -o rank_table_8p.json
mindlift rank_table check rank_table_8p.json
mindlift rank_table convert jobstart_hccl.json -o rank_table_8p.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mindlift.cli.local_paths import local_path
from mindlift.errors import MindLiftError, RankError
from mindlift.files import write_atomic
from mindlift.language import localized
from mindlift.model_utils import rank_table
from mindlift.option_parser import ArgumentParser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        if args.command == "make":
            return _make(args.server_id, args.device_num, args.hccn_conf, args.output)
        if args.command == "check":
            return _check(args.file)
        return _convert(args.file, args.output)
    except MindLiftError as err:
        print(localized(f"rank_table: {err}"), file=sys.stderr)
        return err.exit_code


def make_file(server_id: str, devices: Sequence[int] | None, hccn_conf: Path, output: Path) -> None:
    """Write the table of one server; `devices` None means all that `hccn_conf` names."""
    ips = rank_table.parse_hccn(read_text(hccn_conf), str(hccn_conf))
    chosen = sorted(ips) if devices is None else list(devices)
    missing = [number for number in chosen if number not in ips]
    if missing:
        names = ", ".join(f"address_{number}" for number in missing)
        raise RankError(f"{hccn_conf} has no {names}; it names devices {sorted(ips)}")
    table = rank_table.make(server_id, [(number, ips[number]) for number in chosen])
    _warn(output, table)
    write_atomic(output, rank_table.to_v1(table))
    print(localized(f"{output}: {len(chosen)} device(s) of server {server_id}"))


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise RankError(f"{path} can't be read: {err}") from err


def _make(server_id: str, device_num: str, hccn_conf: Path, output: Path | None) -> int:
    devices = rank_table.parse_device_num(device_num)
    make_file(server_id, devices, hccn_conf, output or Path(f"rank_table_{len(devices)}p.json"))
    return 0


def _check(path: Path) -> int:
    table = rank_table.parse(read_text(path), str(path))
    print(f"{path}: v{table.version}, status {table.status}, {table.size} device(s)")
    for entry in table.devices:
        print(
            localized(
                f"  rank {entry.rank}: device {entry.device} ({entry.ip or 'no ip'}) of server {entry.server}"
            )
        )
    _warn(path, table)
    problems = rank_table.check(table)
    for problem in problems:
        print(localized(f"{path}: {problem}"), file=sys.stderr)
    return 2 if problems else 0


def _convert(path: Path, output: Path) -> int:
    table = rank_table.parse(read_text(path), str(path))
    problems = rank_table.check(table)
    if problems:
        raise RankError(f"{path}: {'; '.join(problems)}")
    _warn(path, table)
    write_atomic(output, rank_table.to_v1(table))
    print(localized(f"{output}: v1.0, {table.size} device(s), from v{table.version} {path}"))
    return 0


def _warn(path: Path, table: rank_table.RankTable) -> None:
    for line in rank_table.split_rings(table):
        print(localized(f"{path}: warning: {line}"), file=sys.stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="mindlift rank_table", description="Rank tables of Ascend jobs")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write the v1.0 table of one server")
    make.add_argument("--server_id", required=True, help="IP of the server")
    make.add_argument("--device_num", default="[0,8)", help='devices, such as "[0,8)" (default) or a count')
    make.add_argument(
        "--hccn_conf", type=local_path, default=Path("/etc/hccn.conf"), help="where device IPs are read"
    )
    make.add_argument("-o", "--output", type=local_path, help="default: rank_table_<count>p.json")
    check = commands.add_parser("check", help="print what a table holds and what is wrong with it")
    check.add_argument("file", type=local_path)
    convert = commands.add_parser("convert", help="rewrite a v0.1 table as v1.0")
    convert.add_argument("file", type=local_path)
    convert.add_argument("-o", "--output", type=local_path, required=True)
    return parser
