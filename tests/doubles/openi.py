"""OpenI's REST API as far as training tasks go. What it answers are records/openi, filled in; jobs run by a Runner.

Rules and their order are those of the server's source, aiforge; see openi_answers.py.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from mindlift.cloud.platforms.request import Request
from mindlift.storage.url import join
from tests.doubles import records
from tests.doubles.openi_answers import (
    API,
    CREATE,
    DESCRIPTION_BYTES,
    DROPPED,
    NAME,
    NOT_FINAL,
    PARENTS,
    QIZHI,
    RECORDS,
    TERMINAL,
    WORDS,
    Coded,
    ResultStore,
    as_recorded,
    coded,
    escaped,
    filled,
)
from tests.doubles.openi_results import LogsAndResults
from tests.doubles.runner import Runner
from tests.doubles.service import Answer, Call, Double


class OpenIDouble(LogsAndResults, Double):
    """`runner` carries the jobs out; code is at `code_url`, results go below `results_url`. Tests edit the rest.

    What a client should never send is kept for tests: `unknown_fields` of creations, `collapsed` parameters,
    `refused_lines` of logs, and `store.leaks` of the token.
    """

    token = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, runner: Runner, code_url: str = "", results_url: str = ""):
        super().__init__()
        self.runner, self.code_url, self.results_url = runner, code_url, results_url
        self.store = ResultStore()
        self.repos = {"me/code": ["main"]}
        self.commits: dict[tuple[str, str], str] = {}  # by repository and branch; zeros
        self.specs: list[dict[str, Any]] = [
            {"id": number, "acc_cards_num": cards, "acc_card_type": "ASCEND910", "unit_price": cards}
            for number, cards in ((11, 1), (12, 2), (13, 8))
        ]
        self.images = [
            {"image_id": "1", "image_name": "mindspore_2.3"},
            {"image_id": "2", "image_name": "pytorch_2.1"},
        ]
        self.datasets: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.files_of_branch = {"train.py", "eval.py"}
        self.limit = 1  # task.GetUserMultiLimitNum (69816740485)
        self.points, self.pays, self.is_bound = 100, True, True
        self.code_size_limit_gb, self.worker_numbers = 0, [1]
        self.fails_creation = ""
        self.preparing = 1  # looks at a job until the cluster was told of it
        self.moves = 2  # answers until the results of an ended job are there
        self.moving_fails = False
        self.log_fails = False  # C2Net: the cluster gives no log for the moment
        self.exit_diagnostics = ""
        self.log_ends_in_newline = True  # of C2Net; not known
        self.tasks: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count(101)
        self.unknown_fields: list[str] = []
        self.collapsed: list[str] = []
        self.refused_lines: list[str] = []

    def __enter__(self):
        self.store.__enter__()
        return super().__enter__()

    def __exit__(self, *about: object) -> None:
        super().__exit__(*about)
        self.store.__exit__(*about)

    def fail_next_code(self, code: int, times: int = 1) -> None:
        """The next answers are the business error `code`, whatever is asked."""
        self.failures += [coded(code)] * times

    def refuse(self, status: int) -> Answer:
        return Answer(status, {"message": "the service is busy"})  # not known

    def changes(self, call: Call) -> bool:
        return call.path.endswith(("/create", "/stop"))

    def respond(self, call: Call) -> Answer:
        path = call.path[len(API) :]
        is_open = path in ("/dataset", "/aimodel")  # without reqToken (69454651554)
        if not is_open and call.headers.get("authorization") != f"token {self.token}":
            return as_recorded("any", "no token")
        try:
            return self.route(call, path)
        except Coded as err:
            return err.answer

    def route(self, call: Call, path: str) -> Answer:
        plain = {
            "/user": self.user,
            "/ai_task/creation/required": self.required,
            "/ai_task/my_list": self.my_list,
            "/ai_task/creation/image_by_spec": self.image_by_spec,
            "/dataset": self.dataset,
            "/aimodel": self.aimodel,
        }
        if path in plain:
            return plain[path](call.query)
        if found := re.fullmatch(r"/repos/([^/]+/[^/]+)/branches/(.+)", path):
            return self.branch(found[1], unquote(found[2]))
        if found := re.fullmatch(r"/([^/]+/[^/]+)/ai_task/(create|repo_branch)", path):
            if found[1] not in self.repos:
                return as_recorded("any", "no such repository")
            self.need_wechat()
            return (
                self.branches(found[1]) if found[2] == "repo_branch" else self.create(found[1], call.json())
            )
        if path.startswith("/ai_task"):
            return self.of_task(call.method, path, call.query)
        return as_recorded("any", "no such repository")

    def need_wechat(self) -> None:
        """reqWeChatStandard (69454651554)."""
        if not self.is_bound:
            raise Coded(9002)

    # Before there is a job.

    def user(self, query: Mapping[str, str]) -> Answer:
        return Answer(200, RECORDS.filled(f"GET {API}/user", {"login": "me"}))

    def branches(self, repo: str) -> Answer:
        names = self.repos[repo]
        data = {"branches": names, "default_branch": names[0] if names else ""}
        return filled(f"GET {API}/{{owner}}/{{repo}}/ai_task/repo_branch", data)

    def branch(self, repo: str, name: str) -> Answer:
        if name not in self.repos.get(repo, ()):
            return as_recorded("any", "no such repository")
        values = {"name": name, "commit": {"id": self.commits.get((repo, name), "0" * 40)}}
        return Answer(200, RECORDS.filled(f"GET {API}/repos/{{owner}}/{{repo}}/branches/{{branch}}", values))

    def active(self) -> list[str]:
        return [task_id for task_id in self.tasks if self.word(task_id) in NOT_FINAL]

    def required(self, query: Mapping[str, str]) -> Answer:
        self.need_wechat()
        data = {
            "specs": {"all": self.specs, "has_internet": self.specs, "no_internet": []},
            "images": self.images,
            "not_stop_task_count": len(self.active()),
            "limit_count": self.limit,
            "can_create_more": len(self.active()) < self.limit,
            "pay_switch": self.pays,
            "point_account": {"balance": self.points},
            "allowed_worker_num": self.worker_numbers,
            "code_size_limit": self.code_size_limit_gb,
        }
        return filled(f"GET {API}/ai_task/creation/required", data)

    def image_by_spec(self, query: Mapping[str, str]) -> Answer:
        """GetImageInfoBySelectedSpec (69887776776) looks for a spec of cluster_type; specs are of the parent cluster."""
        self.need_wechat()
        is_parent = PARENTS.get(query.get("cluster_type", "")) == query.get("cluster_type")
        if not is_parent or int(query["spec_id"]) not in [spec["id"] for spec in self.specs]:
            raise Coded(2003)
        return filled(f"GET {API}/ai_task/creation/image_by_spec", {"images": self.images})

    def dataset(self, query: Mapping[str, str]) -> Answer:
        return self.named(f"GET {API}/dataset", self.datasets, query.get("dataset_name", ""))

    def aimodel(self, query: Mapping[str, str]) -> Answer:
        return self.named(f"GET {API}/aimodel", self.models, query.get("aimodel_name", ""))

    def named(self, call: str, known: Mapping[str, str], name: str) -> Answer:
        """datasetAssignment and aimodelAssignment (69454651554)."""
        if name not in known:
            raise Coded(9004 if name else 9001)
        return filled(call, {"id": f"uuid-{name}", "name": name.rpartition("/")[2]})

    def create(self, repo: str, body: dict[str, Any]) -> Answer:
        """GrampusTrainTaskTemplate.Create (69594342402): its checks in their order; the cluster is told afterwards.

        启智's is not known, and taken to be the same.
        """
        fields = RECORDS.of(CREATE, "request").fresh()
        self.unknown_fields += sorted(set(body) - set(fields))
        body = records.fill(fields, {name: body[name] for name in fields if name in body}, CREATE)
        taken = [task["display_job_name"] for task in self.tasks.values() if task["repo"] == repo]
        parameters = json.loads(body["params"]).get("parameter", [])
        selected = [item for item in body["dataset_uuid_str"].split(";") if item]
        models = [item for item in body["pretrain_model_id_str"].split(";") if item]
        spec = next((spec for spec in self.specs if spec["id"] == body["spec_id"]), None)
        nodes = body["work_server_number"] or 1
        # account.IsPointBalanceEnough (69469839516)
        price = (spec or {}).get("unit_price", 0) * nodes
        rules = [
            (NAME.fullmatch(body["display_job_name"]), 9001),
            (len(body["description"].encode()) <= DESCRIPTION_BYTES, 9001),
            (not body["branch_name"] or body["branch_name"] in self.repos[repo], 2020),
            (body["boot_file"], 9001),
            (body["boot_file"].endswith(".py"), 2015),
            (body["boot_file"] in self.files_of_branch, 2014),
            (nodes in self.worker_numbers or nodes == 1, 2016),
            (len(self.active()) < self.limit, 2004),
            (body["display_job_name"] not in taken, 2005),
            (spec, 2003),
            (not self.pays or not price or self.points >= price, 2006),
            (all(item[5:] in self.datasets for item in selected), 2007),
            (all(item[5:] in self.models for item in models), 2008),
        ]
        for is_right, code in rules:
            if not is_right:
                raise Coded(code)
        task_id = str(next(self.numbers))
        has_image = body["image_id"] in [image["image_id"] for image in self.images]
        reason = self.fails_creation or ("" if has_image else "image not available")
        self.tasks[task_id] = {
            **body,
            "id": int(task_id),
            "spec": spec,
            "created_unix": int(self.now()),
            "repo": repo,
            "nodes": nodes,
            "failed_reason": reason,
            "seen": 0,
            "moves": self.moves,
        }
        if not reason:
            given = self.kept(body["cluster"], parameters)
            self.runner.start(task_id, self.request_of(body, spec or {}, given, selected, models, task_id))
        return filled(CREATE, {"id": int(task_id)})

    def kept(self, cluster: str, parameters: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
        """HandleReqParameters (69426866292); convertParameters2Grampus makes a map (69505670173)."""
        given = [(item["label"].replace(" ", ""), item["value"].strip()) for item in parameters]
        labels = [label for label, _ in given]
        dropped = DROPPED.get(cluster, ())
        self.collapsed += [
            label for number, label in enumerate(labels) if label in labels[:number] or label in dropped
        ]
        if cluster == QIZHI:
            return tuple((label, value) for label, value in given if label not in dropped)
        return tuple(dict(given).items())

    def request_of(self, body, spec, given, selected, models, task_id) -> Request:
        is_qizhi = body["cluster"] == QIZHI
        is_own = "enable_modelarts" in dict(given)
        device = (("device_target", "CPU"),) if is_own else ()
        return Request(
            platform="openi-qizhi" if is_qizhi else "openi-c2net",
            name=body["display_job_name"],
            code_url=self.code_url,
            boot_file=body["boot_file"],
            is_own=is_own,
            arguments=tuple(f"--{name}={value}" for name, value in (*given, *device)),
            outputs=(("train_url", join(self.results_url, task_id, "")),),
            inputs=tuple((item[5:].rpartition("/")[2], self.datasets[item[5:]]) for item in selected),
            models=tuple((item[5:].rpartition("/")[2], self.models[item[5:]]) for item in models),
            cards=spec["acc_cards_num"],
        )

    # Jobs.

    def word(self, task_id: str) -> str:
        """PREPARING first, as the cluster is told later."""
        task = self.tasks[task_id]
        if task["seen"] < self.preparing:
            return "PREPARING"
        if task["failed_reason"]:
            return "CREATED_FAILED"
        phase = self.runner.state(task_id).phase
        return WORDS[task["cluster"]].get(phase, phase.upper())

    def is_known_to_cluster(self, task_id: str) -> bool:
        return self.word(task_id) not in ("PREPARING", "CREATED_FAILED")

    def times(self, task_id: str) -> dict[str, int]:
        if not self.is_known_to_cluster(task_id):
            return {"start_time": 0, "end_time": 0}
        state = self.runner.state(task_id)
        return {"start_time": int(state.started_at), "end_time": int(state.ended_at)}

    def brief(self, task_id: str) -> dict[str, Any]:
        """ConvertCloudbrainToAITaskBriefInfo (69722563307)."""
        task = self.tasks[task_id]
        return {
            "id": task["id"],
            "status": self.word(task_id),
            "display_job_name": task["display_job_name"],
            "created_unix": task["created_unix"],
            "cluster": PARENTS[task["cluster"]],
            "acc_card_type": task["spec"]["acc_card_type"],
            "image_id": task["image_id"],
            "image_name": task["image_name"],
            **self.times(task_id),
        }

    def my_list(self, query: Mapping[str, str]) -> Answer:
        """task.GetMyAITaskList (69662055853), ai_task.GetMyAITaskList (69887776776), models.Cloudbrains (69733640158)."""
        size, page = int(query.get("pageSize") or 0), max(1, int(query.get("page") or 1))
        size = size if 0 < size <= 100 else 10
        word = query.get("q", "").strip().lower()
        found = [
            task_id
            for task_id in reversed(self.tasks)
            if word in self.tasks[task_id]["display_job_name"].lower() or word in "me"  # or the user's name
        ]
        items = []
        for task_id in found[(page - 1) * size :][:size]:
            owner, name = self.tasks[task_id]["repo"].split("/")
            items.append({"task": self.brief(task_id), "owner_name": owner, "repo_name": name})
        data = {"tasks": items, "total": len(found), "page": page, "page_size": size}
        return filled(f"GET {API}/ai_task/my_list", data)

    def of_task(self, method: str, path: str, query: Mapping[str, str]) -> Answer:
        task_id = query.get("id", "")
        if task_id not in self.tasks:
            return as_recorded("any", "no such job")
        answers = {
            "GET /ai_task/brief": self.brief_of,
            "GET /ai_task": self.details,
            "GET /ai_task/operation_profile": self.events,
            "GET /ai_task/node_info": self.nodes,
            "GET /ai_task/log": self.log,
            "POST /ai_task/stop": self.stop,
            "GET /ai_task/output": self.results,
            "GET /ai_task/output/download": self.download,
            "POST /ai_task/output/reschedule": self.reschedule,
        }
        answer = answers.get(f"{method} {path}")
        return answer(task_id, query) if answer else as_recorded("any", "no such repository")

    def brief_of(self, task_id: str, query: Mapping[str, str]) -> Answer:
        self.tasks[task_id]["seen"] += 1
        return filled(f"GET {API}/ai_task/brief", self.brief(task_id))

    def details(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """buildAITaskInfo (69816740485); DefaultAITaskTemplate.Query looks at the cluster first (69853146377)."""
        task = self.tasks[task_id]
        task["seen"] += 1
        owner, name = task["repo"].split("/")
        word, reason = self.word(task_id), ""
        if word == "CREATED_FAILED":
            reason = task["failed_reason"]
        elif word == "FAILED":
            reason = self.runner.state(task_id).reason
        values = {
            "id": task["id"],
            "status": word,
            "cluster": task["cluster"],
            "display_job_name": task["display_job_name"],
            "boot_file": task["boot_file"],
            "work_server_number": task["nodes"],
            "spec": task["spec"],
            "parameters": json.loads(task["params"]),
            "created_unix": task["created_unix"],
            "description": escaped(task["description"]),
            "branch_name": task["branch_name"],
            "image_id": task["image_id"],
            "image_name": task["image_name"],
            "failed_reason": escaped(reason),
            "repo_name": name,
            "repo_owner_name": owner,
            "dataset_list": [],
            "pretrain_model_list": [],
            **self.times(task_id),
        }
        return filled(f"GET {API}/ai_task", {"task": values})

    def events(self, task_id: str, query: Mapping[str, str]) -> Answer:
        found = [{"message": "waiting for a machine"}] if self.is_known_to_cluster(task_id) else []
        return filled(f"GET {API}/ai_task/operation_profile", {"events": found})

    def stop(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """task.StopTask (69816740485): nothing happens to a job that the cluster does not know yet."""
        if self.is_known_to_cluster(task_id) and self.word(task_id) not in TERMINAL:
            self.runner.stop(task_id)
        return filled(f"POST {API}/ai_task/stop", self.brief(task_id))
