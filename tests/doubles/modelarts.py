"""ModelArts' REST v2 as far as training jobs go: signatures, validation, phases, logs. Jobs run by a Runner.

Every answer is a record of tests/doubles/records/modelarts, filled in; every code has the HTTP status and the
message of its list. Rules name their source: REF is the public API reference of the same service (at Open
Telekom Cloud: opentelekomcloud-docs/modelarts@1ba1873, api-ref/source), GUIDE its user manual (umn/source), SDK
the model classes of huaweicloudsdkmodelarts 3.1.219. Where no source tells what the service does, the double is
strict, and the line says "not documented".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

from tests.doubles import records
from tests.doubles.modelarts_jobs import FINAL, WORDS, matches, placed, pruned, request_of, status_of
from tests.doubles.modelarts_rules import (
    POOL_FLAVORS,
    Refusal,
    body_of,
    check_fields,
    require,
    unauthorized,
    validate,
)
from tests.doubles.runner import Runner
from tests.doubles.service import Answer, Call, Double

ENGINE = "Ascend-Powered-Engine/mindspore_2.8.0-test"
FLAVORS = {
    "modelarts.kat1.xlarge": 1,
    "modelarts.kat1.2xlarge": 2,
    "modelarts.kat1.4xlarge": 4,
    "modelarts.kat1.8xlarge": 8,
}
PHASES = (*WORDS.values(), "Abnormal")  # SDK Status.phase
MAY_END = ("Creating", "Pending", "Running")  # SDK stop_training_job: only these can be terminated
SKEW_S = 15 * 60  # https://support.huaweicloud.com/en-us/devg-apisign/api-sign-0001.html
JOB = "/v2/{project_id}/training-jobs/{training_job_id}"
QUERIES = {  # the query parameters of each call: REF, and the SDK's *Request classes where REF has no page
    "POST /v2/{project_id}/training-jobs": (),
    "POST /v2/{project_id}/training-job-searches": (
        "limit",
    ),  # REF querying_a_training_job_list, Example Requests
    f"GET {JOB}": (),
    f"POST {JOB}/actions": (),
    f"GET {JOB}/events": ("offset", "limit", "order", "start_time", "end_time", "level", "pattern", "source"),
    f"GET {JOB}/logs/{{task_id}}": ("base_line", "lines", "order"),
    f"GET {JOB}/tasks/{{task_id}}/logs/preview": (),
    "GET /v2/{project_id}/training-job-flavors": ("flavor_type",),
    "GET /v2/{project_id}/training-job-engines": (),
    "GET /v2/{project_id}/training-quotas": ("user_id", "resource"),
    "GET /v2/{project_id}/training-job-names": ("job_name", "workspace_id"),
}
FILTERS = {  # the pairs of REF querying_a_training_job_list, Example Requests; others are not documented
    "name": "like",
    "create_time": "between",
    "phase": "in",
    "algorithm_name": "like",
    "kind": "in",
    "user_id": "in",
    "runtime_type": "in",
}
PLACE = re.compile(r"%[sd]|\{\d?\}")


class ModelArtsDouble(Double):
    """`runner` carries the jobs out. Tests may edit what the account has, what exists, and how logs come."""

    access_key, secret_key, project_id = "test-ak", "test-sk-hush", "0123456789abcdef"

    def __init__(self, runner: Runner):
        super().__init__()
        self.runner = runner
        self.records = records.load("modelarts")
        self.flavors, self.engines = dict(FLAVORS), [ENGINE]
        self.v1_engines: set[str] = set()
        self.most_nodes: dict[str, int] = {}  # of a flavor; else 16, as in the sample answer
        self.pools, self.workspaces = {"pool-1"}, {"0"}
        self.quota = 8
        self.exists: Callable[[str], bool] | None = None  # of obs:// URLs; None: everything is there
        self.forbidden: set[str] = set()  # listings that the account has no right to
        self.missing: set[str] = set()  # listings that this edition of the service does not have
        self.log_code = ""  # the code that every call for a log gets
        self.first_line, self.line_step = 1, 1  # how lines are numbered
        self.repeats_base_line = False
        self.has_log_lines = True  # else only the preview has text
        self.preview_bytes, self.ends_lines = 5 << 20, True
        self.projects = [{"id": self.project_id}]  # what IAM knows
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[tuple[str, str]]] = {}  # (level, message)

    def fail_next_code(self, code: str, times: int = 1) -> None:
        """Any code of the list, with its HTTP status and its message."""
        self.failures += [self.refused(Refusal(code))] * times

    def refuse(self, status: int) -> Answer:
        codes = {429: "ModelArts.2799", 500: "ModelArts.0010", 502: "APIGW.0202", 504: "APIGW.0203"}
        if status in codes:
            return self.refused(Refusal(codes[status]))
        return Answer(status, b"")  # not documented: no code of the lists has this status

    def refused(self, refusal: Refusal) -> Answer:
        error = self.records.errors[refusal.code]
        assert error.status >= 200, f"{refusal.code}: HTTP {error.status} is not the end of an answer"
        if error.status == 204:
            return Answer(204)
        details = iter(refusal.details)
        text = refusal.message or PLACE.sub(lambda _: str(next(details, "")), error.message)
        code = refusal.code.partition(" ")[0]
        case = "gateway" if code.startswith("APIGW.") else "refused"
        return Answer(error.status, self.records.filled("*", {"error_code": code, "error_msg": text}, case))

    def respond(self, call: Call) -> Answer:
        try:
            if call.path == "/":  # not documented; only the Date header of the answer is used
                raise Refusal("APIGW.0101")
            self.authenticate(call)
            return self.route(call)
        except Refusal as err:
            return self.refused(err)

    def changes(self, call: Call) -> bool:
        return not call.path.endswith("training-job-searches")

    def authenticate(self, call: Call) -> None:
        """The SDK's own signer makes the signature again, from what has come."""
        from huaweicloudsdkcore.auth.credentials import BasicCredentials
        from huaweicloudsdkcore.sdk_request import SdkRequest
        from huaweicloudsdkcore.signer.signer import Signer

        given = call.headers.get("authorization", "")
        match = re.fullmatch(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=(\w+)", given)
        if call.method == "HEAD" or not match:
            raise Refusal("APIGW.0301")
        if match[1] != self.access_key:
            raise unauthorized("unknown key", self, "ACCESS-KEY", match[1])
        sent = call.headers["x-sdk-date"]
        date = datetime.strptime(sent, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(date.timestamp() - self.now()) > SKEW_S:
            raise unauthorized("clock", self, "20211217T064303Z", sent)
        signed = {name: call.headers[name] for name in match[2].split(";")}
        again = SdkRequest(
            method=call.method,
            schema="http",
            host=call.headers["host"],
            resource_path=call.path,
            query_params=list(call.query.items()),
            header_params=dict(signed),
            body=call.body or None,
        )
        Signer(BasicCredentials(self.access_key, self.secret_key, self.project_id)).sign(again)
        if again.header_params["Authorization"].rpartition("=")[2] != match[3]:
            said = "Incorrect IAM authentication information: verify aksk signature fail"
            shown = "|".join(
                [call.method, call.path, "", f"authorization:{given}", *map(":".join, signed.items())]
            )
            # api-sign-0001 of the signing guide: the gateway repeats what it has computed
            raise Refusal("APIGW.0301", message=f"{said}, canonicalRequest:{shown}")

    def route(self, call: Call) -> Answer:
        if call.path == "/v3/projects":
            return self.answer("GET /v3/projects", {"projects": self.projects})
        match = re.fullmatch(r"/v2/([^/]+)/(.*)", call.path)
        if not match:
            raise Refusal("APIGW.0101")
        if match[1] != self.project_id:
            raise Refusal("ModelArts.2786", match[1], self.project_id)
        rest, job_id, node = match[2], "", 0
        if found := re.fullmatch(r"training-jobs/([^/]+)(.*)", rest):
            job_id, rest = found[1], "training-jobs/{training_job_id}" + found[2]
        if found := re.fullmatch(r"(.*/)(?:worker-(\d+))(/.*)?", rest):
            node, rest = int(found[2]), f"{found[1]}{{task_id}}{found[3] or ''}"
        name = f"{call.method} /v2/{{project_id}}/{rest}"
        if name not in QUERIES or rest in self.missing:
            raise Refusal("APIGW.0101")
        if rest in self.forbidden:
            raise Refusal("ModelArts.0108", f"{call.method} {rest}")
        for parameter in call.query:
            require(parameter in QUERIES[name], "2764", parameter)
        if job_id:
            return self.of_job(name, call, job_id, node)
        if name.endswith("training-jobs"):
            return self.create(name, body_of(call))
        if name.endswith("searches"):
            return self.search(name, body_of(call))
        case = "fields" if name.endswith("flavors") else "sample"
        return self.answer(name, getattr(self, rest.replace("-", "_"))(call.query), case)

    def answer(self, name: str, values: Any, case: str = "sample") -> Answer:
        """The record of a call, filled in; without what is None, as the service has it."""
        return Answer(self.records.of(name, case).status, pruned(self.records.filled(name, values, case)))

    def of_job(self, name: str, call: Call, job_id: str, node: int) -> Answer:
        if job_id not in self.jobs:
            raise Refusal("ModelArts.2775", job_id)
        if name == f"GET {JOB}":
            return self.answer(name, self.described(job_id), "fields")
        if name.endswith("/actions"):
            return self.terminate(name, job_id, body_of(call))
        if name.endswith("/events"):
            return self.answer(name, self.listed_events(job_id, call.query))
        known = self.log(job_id, node)
        if known is None:
            return Answer(self.records.of(name, "not ready").status)
        values = self.preview(known) if name.endswith("preview") else self.lines(known, call.query)
        return self.answer(name, values)

    def listed_events(self, job_id: str, query: dict[str, str]) -> dict[str, Any]:
        """Newest first (not documented for a call without `order`).

        REF obtaining_the_events: `offset` is that of an entry, limit 1 - 100. The sources differ: the SDK calls it
        the number of a page.
        """
        limit, offset, order = (
            int(query.get("limit", 50)),
            int(query.get("offset", 0)),
            query.get("order", "desc"),
        )
        require(
            1 <= limit <= 100 and offset >= 0 and order in ("asc", "desc"), "2788", "limit, offset or order"
        )
        level, pattern = query.get("level", ""), query.get("pattern", "")
        require(level in ("", "Info", "Error", "Warning") and len(pattern) <= 256, "2788", "level or pattern")
        require(("start_time" in query) == ("end_time" in query), "2788", "start_time and end_time")
        known = [event for event in self.events[job_id] if level in ("", event[0]) and pattern in event[1]]
        if order == "desc":
            known.reverse()
        found = [
            {"level": kind, "message": text, "source": "Job"} for kind, text in known[offset : offset + limit]
        ]
        return {"total": len(known), "limit": limit, "offset": offset, "order": order, "events": found}

    def cards(self, resource: dict[str, Any]) -> int:
        flavor = resource.get("flavor_id", "")
        return self.flavors.get(flavor) or POOL_FLAVORS.get(flavor) or 1

    def most(self, flavor: str) -> int:
        return self.most_nodes.get(flavor, 16)

    def training_job_flavors(self, query: dict[str, str]) -> dict[str, Any]:
        """As in the sample answer, only flavor_info has max_num."""
        require(query.get("flavor_type", "Ascend") in ("CPU", "GPU", "Ascend"), "2764", "flavor_type")
        items = [
            {
                "flavor_id": name,
                "flavor_name": name,
                "flavor_type": "Ascend",
                "max_num": None,
                "billing": {"code": f"{name}.code"},
                "flavor_info": {
                    "max_num": self.most(name),
                    "npu": {"unit_num": str(cards), "product_name": "Ascend 910"},
                },
            }
            for name, cards in self.flavors.items()
            if query.get("flavor_type", "Ascend") == "Ascend"
        ]
        return {"total_count": len(items), "flavors": items}

    def training_job_engines(self, query: dict[str, str]) -> dict[str, Any]:
        """run_user as in the sample answer: none in v1 mode, else 1102."""
        items = []
        for name in self.engines:
            engine, version = name.split("/", 1)
            is_v1 = name in self.v1_engines
            items.append(
                {
                    "engine_id": version,
                    "engine_name": engine,
                    "engine_version": version,
                    "v1_compatible": is_v1,
                    "run_user": "" if is_v1 else "1102",
                }
            )
        return {"total": len(items), "items": items}

    def training_quotas(self, query: dict[str, str]) -> dict[str, Any]:
        return {"quotas": [{"resource": "job-num", "quota": self.quota, "used": len(list(self.active()))}]}

    def training_job_names(self, query: dict[str, str]) -> dict[str, Any]:
        name = query.get("job_name", "")
        require(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name), "2788", "job_name")
        return {"is_duplicate": name in [job["metadata"]["name"] for job in self.jobs.values()]}

    def word(self, job_id: str) -> str:
        phase = self.runner.state(job_id).phase
        return WORDS.get(phase, phase)

    def active(self) -> Iterator[str]:
        return (job_id for job_id in self.jobs if self.word(job_id) not in FINAL)

    def create(self, name: str, body: dict[str, Any]) -> Answer:
        validate(body, self)
        job_id = str(uuid.uuid4())
        about = {**body["metadata"], "id": job_id, "create_time": int(self.now() * 1000)}
        self.jobs[job_id] = {**body, "metadata": about}
        self.events[job_id] = [("Info", "Training job created.")]
        self.runner.start(job_id, request_of(body, self))
        return self.answer(name, self.described(job_id), "fields")

    def described(self, job_id: str) -> dict[str, Any]:
        """The job in the fields of JobResponse: no other call and no answer has auto_stop."""
        body = self.jobs[job_id]
        metadata, algorithm, spec = body["metadata"], body["algorithm"], body["spec"]
        resource = spec["resource"]
        engine = {"engine_id": None, "engine_name": None, "engine_version": None, "image_url": None}
        flavor = resource.get("flavor_id")
        detail = {
            "flavor_type": "Ascend",
            "billing": {"code": f"{flavor}.code"},
            "flavor_info": {"npu": {"unit_num": str(self.cards(resource)), "product_name": "Ascend 910"}},
        }
        return {
            "metadata": {"workspace_id": "0", "description": "", "annotations": None, **metadata},
            "status": status_of(self.runner.state(job_id), self.word(job_id), resource.get("node_count", 1)),
            "algorithm": {
                **dict.fromkeys(("id", "name", "code_dir", "boot_file", "command", "environments")),
                "parameters": [],
                **algorithm,
                "engine": {**engine, **algorithm.get("engine", {})},
                "inputs": placed(algorithm, "inputs"),
                "outputs": placed(algorithm, "outputs"),
            },
            "spec": {
                "resource": {
                    "flavor_name": flavor,
                    "flavor_detail": None if resource.get("pool_id") else detail,
                    "pool_id": None,
                    **resource,
                },
                "log_export_path": spec.get("log_export_path"),
            },
        }

    def search(self, name: str, body: dict[str, Any]) -> Answer:
        check_fields(body, "JobSearches")
        limit, page, order = body.get("limit", 10), body.get("offset", 0), body.get("order", "desc")
        require(1 <= limit <= 50 and page >= 0 and order in ("asc", "desc"), "2788", "limit, offset or order")
        require(body.get("sort_by", "create_time") == "create_time", "2790")  # the one that REF names
        require(body.get("workspace_id", "0") in self.workspaces, "0102")
        found = [self.described(job_id) for job_id in self.jobs]
        total = len(found)
        for item in body.get("filters") or []:
            require(item.get("key") in FILTERS, "2807", item.get("key"))
            require(item.get("operator") == FILTERS[item["key"]], "2808", item.get("operator"))
            is_right = item["key"] != "phase" or set(item["value"]) <= {*PHASES, ""}
            require(is_right, "2809", item["value"])
            found = [job for job in found if matches(job, item)]
        if order == "desc":
            found.reverse()
        values = {"total": total, "count": len(found), "limit": limit, "offset": page, "order": order}
        return self.answer(name, {**values, "items": found[page * limit :][:limit]}, "fields")

    def terminate(self, name: str, job_id: str, body: dict[str, Any]) -> Answer:
        check_fields(body, "JobActionType")
        require(body.get("action_type") == "terminate", "2812", body.get("action_type"))
        require(self.word(job_id) in MAY_END, "2796")
        self.runner.stop(job_id)
        return self.answer(name, self.described(job_id), "fields")

    def log(self, job_id: str, node: int) -> list[str] | None:
        """None for a log that is not ready."""
        if self.log_code:
            raise Refusal(self.log_code)
        return self.runner.log(job_id, node) or None

    def lines(self, known: list[str], query: dict[str, str]) -> dict[str, Any]:
        """Lines behind `base_line`, of which each has a number; without one the newest (SDK).

        Not documented: whether the line `base_line` comes again, what "0" means, and the marks of no lines.
        """
        count, order = int(query.get("lines", 50)), query.get("order", "desc")
        require(1 <= count <= 500 and order in ("asc", "desc"), "2788", "lines or order")
        known = known if self.has_log_lines else []
        numbered = [(self.first_line + at * self.line_step, line) for at, line in enumerate(known)]
        if order == "desc":
            numbered.reverse()
        if base := query.get("base_line"):
            least = int(base) + (0 if self.repeats_base_line else 1)
            numbered = [item for item in numbered if item[0] >= least][:count]
        else:
            numbered = numbered[-count:]
        text = "".join(f"{line}\n" for _, line in numbered)
        ends = [str(numbered[at][0]) if numbered else "" for at in (0, -1)]
        return {"start_line": ends[0], "end_line": ends[1], "lines": len(numbered), "content": text}

    def preview(self, known: list[str]) -> dict[str, Any]:
        data = ("\n".join(known) + ("\n" if self.ends_lines else "")).encode()
        shown = data[-self.preview_bytes :]
        return {
            "content": shown.decode(errors="replace"),
            "current_size": len(shown),
            "full_size": len(data),
        }
