"""Rank tables of Ascend jobs: reading both forms, checking and making them. Pure: text in, text out.

v0.1 is what ModelArts' scheduler writes (`group_list`, no rank ids: pods are ordered by the number at the
end of their names); v1.0 is what HCCL and MindSpore read (`server_list`, `rank_id` per device). Both hold
numbers as strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mindlift import json_text
from mindlift.errors import RankError
from mindlift.model_utils.devices import RING, RING_SERVER, RINGED

T = TypeVar("T", int, str)


@dataclass(frozen=True)
class Device:
    rank: int
    device: int
    ip: str
    server: str


@dataclass(frozen=True)
class RankTable:
    version: str  # "0.1" or "1.0": the form it was read from
    status: str
    devices: tuple[Device, ...]  # in the order of the file (v0.1: of the pods' numbers)
    stated_counts: tuple[tuple[str, int, int], ...] = ()  # (what, stated in the file, counted)

    @property
    def size(self) -> int:
        return len(self.devices)

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.server for entry in self.devices))

    def devices_of(self, server: str) -> tuple[Device, ...]:
        return tuple(entry for entry in self.devices if entry.server == server)


def parse(text: str, source: str) -> RankTable:
    """A table of either form; `source` names it in errors. RankError if it can't be read at all.

    Contradictions inside a readable table are left to `check`.
    """
    try:
        data = json_text.parse(text)
    except ValueError as err:
        raise RankError(f"{source}: not a rank table: {err}") from err
    if not isinstance(data, dict):
        raise RankError(f"{source}: not a rank table: expected an object, found {type(data).__name__}")
    try:
        if "server_list" in data:
            return _parse_v1(data, source)
        if "group_list" in data:
            return _parse_v01(data, source)
    except (KeyError, TypeError, AttributeError) as err:
        raise RankError(f"{source}: rank table is damaged: missing or misplaced {err}") from err
    if data.get("status", "completed") != "completed":  # the scheduler writes it so until all pods run
        return RankTable("0.1", str(data["status"]), ())
    raise RankError(f"{source}: not a rank table: neither 'server_list' (v1.0) nor 'group_list' (v0.1) in it")


def check(table: RankTable) -> list[str]:
    """Every problem of the table as one line; an empty list means that a job can start with it."""
    problems = []
    if table.status != "completed":
        problems.append(f"status is '{table.status}', not 'completed': the platform is still filling it in")
    if not table.devices:
        problems.append("it holds no devices")
    for what, stated, counted in table.stated_counts:
        if stated != counted:
            problems.append(f"{what} says {stated}, but {counted} are listed")
    problems += [f"rank_id {rank} occurs twice" for rank in _twice([e.rank for e in table.devices])]
    missing = sorted(set(range(table.size)) - {entry.rank for entry in table.devices})
    if missing:
        problems.append(f"rank ids do not run from 0 to {table.size - 1}: missing {_join(missing)}")
    for server in table.servers:
        ids = [entry.device for entry in table.devices_of(server)]
        problems += [f"device_id {i} occurs twice on server {server}" for i in _twice(ids)]
    ips = [entry.ip for entry in table.devices if entry.ip]
    problems += [f"device_ip {ip} occurs twice" for ip in _twice(ips)]
    sizes = {server: len(table.devices_of(server)) for server in table.servers}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{server}: {count}" for server, count in sizes.items())
        problems.append(f"servers have different numbers of devices ({listed})")
    return problems


def split_rings(table: RankTable) -> list[str]:
    """One line per server with a set of cards that servers of two rings can't join; other servers can."""
    lines = []
    for server in table.servers:
        cards = sorted({entry.device for entry in table.devices_of(server)})
        crosses = cards[0] < RING <= cards[-1] < RING_SERVER
        if crosses and len(cards) < RING_SERVER:
            lines.append(
                f"devices {_join(cards)} of server {server} can't be joined on an {RINGED}: take them all from"
                f" 0 - {RING - 1} or all from {RING} - {RING_SERVER - 1}, or take all {RING_SERVER}"
            )
    return lines


def to_v1(table: RankTable) -> str:
    """The table as v1.0 JSON, ranks in order."""
    servers = []
    for server in table.servers:
        devices = sorted(table.devices_of(server), key=lambda entry: entry.rank)
        listed = [{"device_id": str(e.device), "device_ip": e.ip, "rank_id": str(e.rank)} for e in devices]
        servers.append({"server_id": server, "device": listed, "host_nic_ip": "reserve"})
    data = {
        "version": "1.0",
        "server_count": str(len(servers)),
        "server_list": servers,
        "status": "completed",
    }
    return json.dumps(data, indent=4) + "\n"


def make(server_id: str, devices: Sequence[tuple[int, str]]) -> RankTable:
    """A table of one server from (device id, device ip) pairs; ranks count up in their order."""
    if not devices:
        raise RankError(f"no devices for a rank table of server {server_id}")
    entries = tuple(Device(rank, number, ip, server_id) for rank, (number, ip) in enumerate(devices))
    table = RankTable("1.0", "completed", entries)
    problems = check(table)
    if problems:
        raise RankError(f"rank table of server {server_id}: {'; '.join(problems)}")
    return table


def parse_hccn(text: str, source: str) -> dict[int, str]:
    """Device id -> ip from the `address_0=192.168.100.101` lines of an hccn.conf."""
    found = re.findall(r"^\s*address_(\d+)\s*=\s*(\S+)\s*$", text, flags=re.MULTILINE)
    if not found:
        raise RankError(f"{source}: no line such as 'address_0=192.168.100.101' in it")
    return {int(number): ip for number, ip in found}


def parse_device_num(text: str) -> range:
    """The devices of "[0,8)" or of a plain count "8"."""
    match = re.fullmatch(r"\s*\[\s*(\d+)\s*,\s*(\d+)\s*\)\s*", text)
    first, end = (int(match[1]), int(match[2])) if match else (0, int(text) if text.strip().isdigit() else 0)
    if end <= first:
        raise RankError(f"--device_num '{text}': expected a range such as \"[0,8)\" or a count such as 8")
    return range(first, end)


def _parse_v1(data: dict[str, Any], source: str) -> RankTable:
    servers = data["server_list"]
    devices = tuple(
        Device(
            _int(entry["rank_id"], "rank_id", source),
            _int(entry["device_id"], "device_id", source),
            str(entry.get("device_ip", "")),
            str(server["server_id"]),
        )
        for server in servers
        for entry in server["device"]
    )
    counts = _stated(data, "server_count", len(servers), source)
    return RankTable("1.0", str(data.get("status", "completed")), devices, counts)


def _parse_v01(data: dict[str, Any], source: str) -> RankTable:
    groups = data["group_list"]
    counts = _stated(data, "group_count", len(groups), source)
    pods: list[tuple[str, str, list[dict[str, Any]]]] = []
    for group in groups:
        instances = group["instance_list"]
        counts += _stated(group, "instance_count", len(instances), source)
        counts += _stated(group, "device_count", sum(len(i["devices"]) for i in instances), source)
        pods += [(str(i.get("pod_name", "")), str(i["server_id"]), i["devices"]) for i in instances]
    pods.sort(key=lambda pod: _trailing_number(pod[0]))
    listed = [(server, entry) for _, server, entries in pods for entry in entries]
    devices = tuple(
        Device(rank, _int(entry["device_id"], "device_id", source), str(entry.get("device_ip", "")), server)
        for rank, (server, entry) in enumerate(listed)
    )
    return RankTable("0.1", str(data.get("status", "")), devices, counts)


def _stated(data: dict[str, Any], name: str, counted: int, source: str) -> tuple[tuple[str, int, int], ...]:
    return ((name, _int(data[name], name, source), counted),) if name in data else ()


def _int(value: object, name: str, source: str) -> int:
    text = str(value).strip()
    if not text.isdigit():
        raise RankError(f"{source}: {name} is '{value}', expected a number from 0 on")
    return int(text)


def _trailing_number(pod_name: str) -> int:
    match = re.search(r"(\d+)$", pod_name)
    return int(match[1]) if match else 0


def _twice(values: Sequence[T]) -> list[T]:
    return sorted({value for value in values if values.count(value) > 1})


def _join(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values)
