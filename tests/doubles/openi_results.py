"""Logs and results of the double of OpenI; a part of OpenIDouble, whose knobs and jobs it uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mindlift.storage.places import locate
from mindlift.storage.url import as_folder, join
from tests.doubles.openi_answers import (
    API,
    FIRST_MARK,
    MARK_STEP,
    MOST_LINES,
    MOST_NAMES,
    NO_LINES,
    QIZHI,
    TERMINAL,
    as_recorded,
    filled,
    mark_of,
)
from tests.doubles.service import Answer


class LogsAndResults:
    """What a job has written, as both clusters bring it."""

    def log_file(self, task_id: str, node: int) -> str:
        return f"{self.tasks[task_id]['display_job_name']}-worker-{node}.log"  # not known

    def nodes(self, task_id: str, query: Mapping[str, str]) -> Answer:
        task, call = self.tasks[task_id], f"GET {API}/ai_task/node_info"
        if task["cluster"] != QIZHI:
            return filled(call, {"nodes": [{"id": number} for number in range(task["nodes"])]})
        if not self.is_known_to_cluster(task_id):
            return filled(call, {"nodes": None}, QIZHI)
        files = [{"log_file_name": self.log_file(task_id, number)} for number in range(task["nodes"])]
        return filled(call, {"nodes": files}, QIZHI)

    def log(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """Empty for a job without the cluster's id, and for every error (69816740485, 69853146377)."""
        if not self.is_known_to_cluster(task_id):
            return as_recorded(f"GET {API}/ai_task/log", "nothing")
        if self.tasks[task_id]["cluster"] == QIZHI:
            return self.log_by_lines(task_id, query)
        node = int(query.get("node_id") or 0) if self.tasks[task_id]["nodes"] > 1 else 0
        lines = [] if self.log_fails else self.runner.log(task_id, node)
        content = "\n".join(lines) + ("\n" if lines and self.log_ends_in_newline else "")
        state = self.runner.state(task_id)
        tail = self.exit_diagnostics or (state.reason if state.phase == "failed" else "")
        data = {"content": f"{content}\n{tail}", "can_log_download": True}
        return filled(f"GET {API}/ai_task/log", data)

    def log_by_lines(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """v1's log by marks: `down` from the mark on, or from the top; `up` before it, or the newest lines."""
        lines, nothing = self.runner.log(task_id, 0), as_recorded(f"GET {API}/ai_task/log", "nothing")
        asked, order = int(query.get("lines") or 0), query.get("order")
        if asked > MOST_LINES or asked < 0:
            self.refused_lines.append(query.get("lines", ""))
            return nothing
        if order not in ("up", "down") or query.get("file_name") != self.log_file(task_id, 0):
            return nothing  # not known
        text = query.get("base_line", "")
        mark = int(text) if re.fullmatch(r"-?\d+", text) else 0  # QueryInt64
        at, is_no_mark = divmod(mark - FIRST_MARK, MARK_STEP) if mark else (0, 0)
        if is_no_mark:
            return nothing  # not known
        count = asked or 50  # what 0 brings: not known
        if order == "down":
            first = at + 1 if mark else 0
            last = min(first + count, len(lines))
        else:
            last = at if mark else len(lines)
            first = max(0, last - count)
        found = lines[max(first, 0) : max(last, 0)]
        if not found:
            return filled(f"GET {API}/ai_task/log", NO_LINES, QIZHI)
        data = {
            "content": "".join(f"{line}\n" for line in found),
            "lines": len(found),
            "start_line": mark_of(first),
            "end_line": mark_of(first + len(found) - 1),
        }
        return filled(f"GET {API}/ai_task/log", data, QIZHI)

    def results(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """C2NetClusterAdapter.GetOutput (69505670173) by GetModelScheduleStatus (69624742814); 启智's are always there."""
        task, parent = self.tasks[task_id], query.get("parent_dir", "")
        if not self.is_known_to_cluster(task_id):
            return self.refuse(500)  # GetModelScheduleStatus of no id
        is_terminal = self.word(task_id) in TERMINAL
        status = 0
        if task["cluster"] != QIZHI:
            status = self.moving(task) if is_terminal else 3
        names = self.listing(join(self.results_url, task_id, parent))[:MOST_NAMES] if status == 0 else []
        data = {"status": status, "path": parent, "file_list": names, "is_task_terminal": is_terminal}
        return filled(f"GET {API}/ai_task/output", {"output": data})

    def moving(self, task: dict[str, Any]) -> int:
        """Waiting, then being moved, then there."""
        if self.moving_fails:
            return 2
        if not task["moves"]:
            return 0
        task["moves"] -= 1
        return 3 if task["moves"] else 1

    def listing(self, url: str) -> list[dict[str, Any]]:
        store, key = locate(as_folder(url))
        return [
            {
                "FileName": entry.key.rstrip("/").rpartition("/")[2],
                "IsDir": entry.is_folder,
                "Size": entry.size,
            }
            for entry in store.scan(key)
        ]

    def download(self, task_id: str, query: Mapping[str, str]) -> Answer:
        call = f"GET {API}/ai_task/output/download"
        if not self.is_known_to_cluster(task_id):
            return as_recorded(call, "nothing")
        url = join(self.results_url, task_id, query.get("parent_dir", ""))
        answer = as_recorded(call, "sample")
        answer.headers["Location"] = self.store.sign(join(url, query["file_name"]))
        return answer

    def reschedule(self, task_id: str, query: Mapping[str, str]) -> Answer:
        call = f"POST {API}/ai_task/output/reschedule"
        if self.word(task_id) not in TERMINAL:
            return as_recorded(call, "still running")
        self.moving_fails = False
        return as_recorded(call, "sample")
