"""OpenI's REST API as far as training tasks go. What it answers are records/openi, filled in; jobs run by a Runner.

Rules and their order are those of the server's source, aiforge; numbers in brackets are its files in a public index
of code. Where the source was not to be had, `# not known` says so.
"""

from __future__ import annotations

import itertools
import json
import mimetypes
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cloud.providers.local.request import Request
from src.model_utils.moxing_shim.places import locate
from src.model_utils.moxing_shim.url import as_folder, join
from tests.doubles import records
from tests.doubles.runner import Runner
from tests.doubles.service import Answer, Call, Double

RECORDS = records.load("openi")
API = "/api/v1"
QIZHI = "OpenICloudbrainTwo"
CREATE = f"POST {API}/{{owner}}/{{repo}}/ai_task/create"
PHASES = ("queued", "starting", "running", "stopping", "succeeded", "failed", "stopped")
WORDS = {
    "C2Net": dict(zip(PHASES, "WAITING WAITING RUNNING STOPPING SUCCEEDED FAILED STOPPED".split())),
    QIZHI: dict(zip(PHASES, "WAITING INIT RUNNING KILLING COMPLETED FAILED KILLED".split())),
}
PARENTS = {"C2Net": "C2Net", QIZHI: "OpenI"}  # ClusterType.GetParentCluster (69479037404)
# models.AllTerminalStatus (69733640158)
TERMINAL = frozenset(
    "COMPLETED FAILED KILLED STOPPED CREATE_FAILED START_FAILED SUCCEEDED CREATED_FAILED".split()
)
# cloudbrainTask.AlleNotFinalStatuses (69567547931), the words of training: a job that is stopping is not counted
NOT_FINAL = frozenset(
    "WAITING RUNNING INIT IMAGE_CREATING SUBMIT_TRYING SCALING CHECK_INIT CHECK_RUNNING "
    "CHECK_RUNNING_COMPLETED PENDING PREPARING CONNECTING".split()
)
NAME = re.compile(r"[a-z0-9][a-z0-9-_]{1,34}[a-z0-9-]")  # task.jobNamePattern (69426866292)
DESCRIPTION_BYTES = 1000  # DefaultCreationHandler.CheckParamFormat (69426866292)
MOST_LINES = 500  # OTC modelarts_03_0149
MOST_NAMES = 101  # setting.OUTPUT_SHOW_MAX_KEY + 1 (69396383815, 69683892949)
FIRST_MARK = 1551252759254000002  # OTC modelarts_03_0149
MARK_STEP = 7  # not known; no client may count with marks
DROPPED = {QIZHI: ("train_url", "data_url")}  # handleCloudbrainTwoParameter (69733840638)


class Coded(Exception):
    """A business error in the envelope."""

    def __init__(self, code: int, message: str = ""):
        super().__init__(f"{code} {message}")
        self.answer = coded(code, message)


def coded(code: int, message: str = "") -> Answer:
    known = RECORDS.errors[str(code)]
    values = {"code": code, "msg": message or known.message}
    return Answer(known.status, RECORDS.filled("any", values, "business error"))


def filled(call: str, data: Any, case: str = "sample") -> Answer:
    """The record of `call` with `data` in its envelope."""
    record = RECORDS.of(call, case)
    return Answer(record.status, RECORDS.filled(call, {"data": data}, case), dict(record.headers))


def as_recorded(call: str, case: str) -> Answer:
    record = RECORDS.of(call, case)
    data = record.text.encode() if record.body is None else record.fresh()
    return Answer(record.status, data, dict(record.headers))


class ResultStore(Double):
    """Where results are downloaded from: another host, whose URLs are signed. A token sent here is a leak."""

    def __init__(self) -> None:
        super().__init__()
        self.signed: dict[str, str] = {}
        self.leaks = 0

    def sign(self, url: str) -> str:
        signature = f"s{len(self.signed)}"
        self.signed[signature] = url
        return f"{self.endpoint}/bucket/object?Signature={signature}"

    def refuse(self, status: int) -> Answer:
        return Answer(status, b"<Error/>", {"Content-Type": "application/xml"})

    def respond(self, call: Call) -> Answer:
        if "authorization" in call.headers:
            self.leaks += 1
            return self.refuse(400)
        url = self.signed.get(call.query.get("Signature", ""))
        if url is None:
            return self.refuse(403)
        store, key = locate(url)
        try:
            data = store.read(key)
        except FileNotFoundError:
            return self.refuse(404)
        return Answer(200, data, {"Content-Type": mimetypes.guess_type(url)[0] or "application/octet-stream"})


class OpenIDouble(Double):
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
        self.need_wechat()
        if int(query["spec_id"]) not in [spec["id"] for spec in self.specs]:
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
        return Request(
            platform="openi-qizhi" if is_qizhi else "openi-c2net",
            name=body["display_job_name"],
            code_url=self.code_url,
            boot_file=body["boot_file"],
            parameters=(*given, ("device_target", "CPU")),
            train_url=join(self.results_url, task_id, ""),
            datasets=tuple((item[5:].rpartition("/")[2], self.datasets[item[5:]]) for item in selected),
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

    def stop(self, task_id: str, query: Mapping[str, str]) -> Answer:
        """task.StopTask (69816740485): nothing happens to a job that the cluster does not know yet."""
        if self.is_known_to_cluster(task_id) and self.word(task_id) not in TERMINAL:
            self.runner.stop(task_id)
        return filled(f"POST {API}/ai_task/stop", self.brief(task_id))

    # Results.

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


NO_LINES = {
    "content": "",
    "lines": 0,
    "start_line": "",
    "end_line": "",
    "can_log_download": False,
}  # marks: not known


def mark_of(line: int) -> str:
    return str(FIRST_MARK + MARK_STEP * line)


def escaped(text: str) -> str:
    """Go's html.EscapeString."""
    for sign, word in (("&", "&amp;"), ("'", "&#39;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;")):
        text = text.replace(sign, word)
    return text
