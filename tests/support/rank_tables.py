"""Rank tables of both versions, as text."""

from __future__ import annotations

import json
from typing import Any


def v1(*servers: tuple[str, list[tuple[int, int, str]]], **changes: Any) -> str:
    listed = [
        {
            "server_id": server,
            "device": [{"device_id": str(d), "device_ip": ip, "rank_id": str(r)} for r, d, ip in devices],
        }
        for server, devices in servers
    ]
    data = {"version": "1.0", "status": "completed", "server_count": str(len(listed)), "server_list": listed}
    return json.dumps({**data, **changes})


def v01(
    *pods: tuple[str, str, list[tuple[int, str]]], status: str = "completed", device_count: int = 0
) -> str:
    instances = [
        {
            "pod_name": name,
            "server_id": server,
            "devices": [{"device_id": str(d), "device_ip": ip} for d, ip in devices],
        }
        for name, server, devices in pods
    ]
    count = device_count or sum(len(pod[2]) for pod in pods)
    group = {
        "group_name": "job-trainjob",
        "device_count": str(count),
        "instance_count": str(len(pods)),
        "instance_list": instances,
    }
    return json.dumps({"status": status, "group_count": "1", "group_list": [group]})


TWO_PODS = v01(
    ("jobx-job-trainjob-10", "192.168.0.30", [(0, "10.0.1.0"), (1, "10.0.1.1")]),
    ("jobx-job-trainjob-2", "192.168.0.25", [(0, "10.0.0.0"), (1, "10.0.0.1")]),
)
