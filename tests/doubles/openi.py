"""OpenI's REST API as far as training tasks go: envelope, codes, both clusters. Jobs run by a Runner.

Routes, checks and their order are those of the server's source. Results are moved after the end, as on C2Net.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from cloud.providers.local.request import Request
from src.model_utils.moxing_shim.places import locate
from src.model_utils.moxing_shim.url import as_folder, join
from tests.doubles.runner import Runner
from tests.doubles.service import Answer, Call, Double

QIZHI = "OpenICloudbrainTwo"
WORDS = {
    "C2Net": {"queued": "WAITING", "starting": "WAITING", "running": "RUNNING", "stopping": "STOPPING", "succeeded": "SUCCEEDED",
              "failed": "FAILED", "stopped": "STOPPED"},
    QIZHI: {"queued": "WAITING", "starting": "INIT", "running": "RUNNING", "stopping": "KILLING", "succeeded": "COMPLETED",
            "failed": "FAILED", "stopped": "KILLED"},
}  # fmt: skip
NAME = re.compile(r"^[a-z0-9][a-z0-9-_]{1,34}[a-z0-9-]$")


class Coded(Exception):
    """An error in the envelope."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.answer = Answer(200, {"code": code, "msg": message, "data": None})


class OpenIDouble(Double):
    """`runner` carries the jobs out; code is at `code_url`, results go below `results_url`. Tests edit the rest."""

    token = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, runner: Runner, code_url: str = "", results_url: str = ""):
        super().__init__()
        self.runner, self.code_url, self.results_url = runner, code_url, results_url
        self.repos = {"me/code": ["main"]}
        self.specs = [
            {"id": number, "acc_cards_num": cards, "acc_card_type": "ASCEND910", "unit_price": cards}
            for number, cards in ((11, 1), (12, 2), (13, 8))
        ]  # fmt: skip
        self.images = [
            {"image_id": "1", "image_name": "mindspore_2.3"},
            {"image_id": "2", "image_name": "pytorch_2.1"},
        ]
        self.datasets: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.files_of_branch = {"train.py", "eval.py"}
        self.limit, self.points, self.is_bound = 3, 100, True
        self.fails_creation = ""
        self.moves = 2  # answers until the results of an ended job are there
        self.tasks: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(101)

    def refuse(self, status: int) -> Answer:
        return Answer(status, {"message": "the service is busy"})

    def changes(self, call: Call) -> bool:
        return call.path.endswith(("/create", "/stop"))

    def respond(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"token {self.token}":
            return Answer(401, {"message": "token is invalid"})
        try:
            data = self.route(call, call.path[len("/api/v1") :])
        except Coded as err:
            return err.answer
        return data if isinstance(data, Answer) else Answer(200, {"code": 0, "msg": "", "data": data})

    def route(self, call: Call, path: str) -> Any:
        plain = {"/user": self.user, "/ai_task/creation/required": self.required, "/ai_task/my_list": self.my_list,
                 "/ai_task/creation/image_by_spec": self.image_by_spec, "/dataset": self.dataset, "/aimodel": self.aimodel}  # fmt: skip
        if path in plain:
            return plain[path](call.query)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/ai_task/(create|repo_branch)", path):
            if found[1] not in self.repos:
                return Answer(404, {"message": "repository does not exist"})
            return (
                {"branch_name": self.repos[found[1]]}
                if found[2] == "repo_branch"
                else self.create(found[1], call.json())
            )
        if path.startswith("/ai_task"):
            return self.of_task(path[len("/ai_task") :], call.query)
        return Answer(404, {"message": "not found"})

    def user(self, query: dict[str, str]) -> Any:
        return Answer(200, {"login": "me"})

    def active(self) -> list[str]:
        return [task_id for task_id in self.tasks if self.word(task_id) not in FINAL]

    def required(self, query: dict[str, str]) -> dict[str, Any]:
        return {
            "specs": {"all": self.specs}, "images": self.images, "wait_count": 0, "not_stop_task_count": len(self.active()),
            "limit_count": self.limit, "can_create_more": len(self.active()) < self.limit, "pay_switch": True,
            "point_account": {"balance": self.points}, "allowed_worker_num": [1], "code_size_limit": 100 << 20,
        }  # fmt: skip

    def image_by_spec(self, query: dict[str, str]) -> dict[str, Any]:
        return {"images": self.images if int(query["spec_id"]) in [spec["id"] for spec in self.specs] else []}

    def dataset(self, query: dict[str, str]) -> dict[str, Any]:
        return self.known(self.datasets, query["dataset_name"])

    def aimodel(self, query: dict[str, str]) -> dict[str, Any]:
        return self.known(self.models, query["aimodel_name"])

    def known(self, names: dict[str, str], name: str) -> dict[str, Any]:
        if name not in names:
            raise Coded(9004, "not exist or no permission")
        return {"id": f"uuid-{name}", "name": name}

    def my_list(self, query: dict[str, str]) -> dict[str, Any]:
        size, page = int(query.get("pageSize", 10)), int(query.get("page", 1))
        found = [
            task_id
            for task_id in reversed(self.tasks)
            if query.get("q", "") in self.tasks[task_id]["display_job_name"]
        ]
        shown = [{"task": self.described(task_id)} for task_id in found[(page - 1) * size :][:size]]
        return {"tasks": shown, "total": len(found), "page": page, "page_size": size}

    def create(self, repo: str, body: dict[str, Any]) -> dict[str, Any]:
        """The checks before acceptance, in their order; the cluster is told afterwards."""
        names = [task["display_job_name"] for task in self.tasks.values()]
        parameters = json.loads(body["params"])["parameter"]
        selected = [item for item in body["dataset_uuid_str"].split(";") if item]
        models = [item for item in body["pretrain_model_id_str"].split(";") if item]
        spec = next((spec for spec in self.specs if spec["id"] == body["spec_id"]), None)
        rules = [
            (self.is_bound, 9002, "please bind your wechat account"),
            (NAME.match(body["display_job_name"]), 9001, "the name is not valid"),
            (
                str(body["image_id"]) in [image["image_id"] for image in self.images],
                2027,
                "the image is not available",
            ),
            (body["branch_name"] in self.repos[repo], 2020, "the branch does not exist"),
            (body["boot_file"].endswith(".py"), 2015, "the boot file is no python file"),
            (body["boot_file"] in self.files_of_branch, 2014, "the boot file does not exist"),
            (body["work_server_number"] == 1, 2016, "no right for several nodes"),
            (len(self.active()) < self.limit, 2004, "you have a running or waiting task already"),
            (body["display_job_name"] not in names, 2005, "the job name already used"),
            (spec, 2003, "the specification is not available"),
            (self.points > 0, 2006, "insufficient points balance"),
            (all(item[5:] in self.datasets for item in selected), 2007, "the dataset does not exist"),
            (all(item[5:] in self.models for item in models), 2008, "the model does not exist"),
        ]
        for is_right, code, message in rules:
            if not is_right:
                raise Coded(code, message)
        task_id = str(next(self.numbers))
        owner, name = repo.split("/")
        self.tasks[task_id] = {
            **body, "id": int(task_id), "spec": spec, "created_unix": int(self.now()), "repo_owner_name": owner, "repo_name": name,
            "failed_reason": self.fails_creation, "seen": 0, "moves": self.moves,
        }  # fmt: skip
        if not self.fails_creation:
            given = tuple((item["label"], item["value"]) for item in parameters)
            self.runner.start(task_id, self.request_of(body, spec or {}, given, selected, models, task_id))
        return {"id": int(task_id), "status": "PREPARING"}

    def request_of(self, body, spec, given, selected, models, task_id) -> Request:
        platform = "openi-qizhi" if body["cluster"] == QIZHI else "openi-c2net"
        return Request(
            platform=platform, name=body["display_job_name"], code_url=self.code_url, boot_file=body["boot_file"],
            parameters=(*given, ("device_target", "CPU")), train_url=join(self.results_url, task_id, ""),
            datasets=tuple((item[5:].rpartition("/")[2], self.datasets[item[5:]]) for item in selected),
            models=tuple((item[5:].rpartition("/")[2], self.models[item[5:]]) for item in models),
            cards=spec["acc_cards_num"],
        )  # fmt: skip

    def word(self, task_id: str) -> str:
        """PREPARING first, as the cluster is told later."""
        task = self.tasks[task_id]
        if task["seen"] == 0:
            return "PREPARING"
        if task["failed_reason"]:
            return "CREATED_FAILED"
        phase = self.runner.state(task_id).phase
        return WORDS[task["cluster"]].get(phase, phase.upper())

    def described(self, task_id: str) -> dict[str, Any]:
        task, kept = (
            self.tasks[task_id],
            ("id", "display_job_name", "spec", "created_unix", "repo_owner_name", "repo_name"),
        )
        found = {
            **{name: task[name] for name in kept},
            "status": self.word(task_id),
            "failed_reason": "",
            "work_server_number": 1,
        }
        if task["failed_reason"]:
            return {**found, "failed_reason": task["failed_reason"] if task["seen"] else ""}
        state = self.runner.state(task_id)
        reason = state.reason if state.phase == "failed" else ""
        return {
            **found,
            "failed_reason": reason,
            "start_time": int(state.started_at),
            "end_time": int(state.ended_at),
        }

    def of_task(self, path: str, query: dict[str, str]) -> Any:
        task_id = query.get("id", "")
        if task_id not in self.tasks:
            raise Coded(2001, "no such task")
        if path == "/brief":
            self.tasks[task_id]["seen"] += 1
            return {"id": int(task_id), "status": self.word(task_id)}
        if path == "":
            return {"task": self.described(task_id)}
        if path == "/operation_profile":
            return {"events": [{"message": "waiting for a machine"}]}
        if path == "/node_info":
            return {"nodes": [{"id": 0, "log_file_name": "train.log"}]}
        if path == "/log":
            return self.log(task_id, query)
        if path == "/stop":
            return self.stop(task_id)
        return self.results(path, task_id, query)

    def log(self, task_id: str, query: dict[str, str]) -> dict[str, Any]:
        """启智 by lines; C2Net always all of it."""
        lines = self.runner.log(task_id, 0)
        if self.tasks[task_id]["cluster"] == QIZHI:
            first = int(query.get("base_line") or 0)
            found = lines[first : first + int(query.get("lines") or 50)]
            start = str(first + 1) if found else ""
            return {
                "content": "".join(f"{line}\n" for line in found),
                "start_line": start,
                "end_line": str(first + len(found)),
            }
        return {
            "content": "".join(f"{line}\n" for line in lines),
            "start_line": "",
            "end_line": "",
            "can_log_download": True,
        }

    def stop(self, task_id: str) -> dict[str, Any]:
        if self.word(task_id) == "PREPARING":
            raise Coded(2024, "can not stop a creating job")
        self.runner.stop(task_id)
        return {"id": int(task_id), "status": self.word(task_id)}

    def results(self, path: str, task_id: str, query: dict[str, str]) -> Any:
        task, url = self.tasks[task_id], join(self.results_url, task_id, query.get("parent_dir", ""))
        if path == "/output":
            if not self.runner.state(task_id).is_final:
                return {"output": {"status": 3, "file_list": []}}
            if task["moves"]:
                task["moves"] -= 1
                return {"output": {"status": 1 if task["moves"] else 3, "file_list": []}}
            return {"output": {"status": 0, "file_list": self.listing(url)}}
        if path == "/output/download":
            store, key = locate(join(url, query["file_name"]))
            return Answer(200, store.read(key), {"Content-Disposition": "attachment"})
        if path == "/output/reschedule":
            return {}
        return Answer(404, {"message": "not found"})

    def listing(self, url: str) -> list[dict[str, Any]]:
        store, key = locate(as_folder(url))
        return [
            {"FileName": entry.key.rstrip("/").rpartition("/")[2], "IsDir": entry.is_folder, "Size": entry.size}
            for entry in store.scan(key)
        ]  # fmt: skip


FINAL = ("SUCCEEDED", "COMPLETED", "FAILED", "STOPPED", "KILLED", "CREATED_FAILED")
