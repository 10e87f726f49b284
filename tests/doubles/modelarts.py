"""ModelArts' REST v2 as far as training jobs go: signatures, validation, phases, logs. Jobs run by a Runner.

Codes and limits are those of the service's documents; where they are silent the double is strict.
"""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from cloud.providers.local.request import Request, State
from tests.doubles.runner import Runner
from tests.doubles.service import Answer, Call, Double

ENGINE = "Ascend-Powered-Engine/mindspore_2.8.0-test"
FLAVORS = {
    "modelarts.kat1.xlarge": 1,
    "modelarts.kat1.2xlarge": 2,
    "modelarts.kat1.4xlarge": 4,
    "modelarts.kat1.8xlarge": 8,
}
POOL_FLAVORS = {f"modelarts.pool.visual.{size}": cards for size, cards in (("xlarge", 1), ("2xlarge", 2), ("4xlarge", 4), ("8xlarge", 8))}  # fmt: skip
WORDS = {
    "queued": "Pending", "starting": "Creating", "running": "Running", "stopping": "Terminating", "succeeded": "Completed",
    "failed": "Failed", "stopped": "Terminated",
}  # fmt: skip
SKEW_S = 15 * 60


class Refusal(Exception):
    """An error of the API: HTTP status, code, message."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.answer = Answer(status, {"error_code": code, "error_msg": message})


class ModelArtsDouble(Double):
    """`runner` carries the jobs out. Tests may edit flavors, engines, the quota, and how lines of logs come."""

    access_key, secret_key, project_id = "test-ak", "test-sk-hush", "0123456789abcdef"

    def __init__(self, runner: Runner):
        super().__init__()
        self.runner = runner
        self.flavors, self.engines = dict(FLAVORS), [ENGINE]
        self.quota = 8
        self.forbidden: set[str] = set()  # listings that the account has no right to
        self.first_line, self.line_step = 1, 1  # how lines are numbered
        self.repeats_base_line = False
        self.has_log_lines = True  # else only the preview has text
        self.preview_bytes, self.ends_lines = 5 << 20, True
        self.projects = [{"id": self.project_id}]  # what IAM knows
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[tuple[str, str]]] = {}  # (level, message)

    def refuse(self, status: int) -> Answer:
        return Answer(
            status,
            {
                "error_code": f"ModelArts.{2799 if status == 429 else 2700}",
                "error_msg": "the service is busy",
            },
        )

    def respond(self, call: Call) -> Answer:
        try:
            self.authenticate(call)
            return self.route(call)
        except Refusal as err:
            return err.answer

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
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: no signature")
        if match[1] != self.access_key:
            raise Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: AK does not exist")
        date = datetime.strptime(call.headers["x-sdk-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(date.timestamp() - self.now()) > SKEW_S:
            raise Refusal(
                401, "APIGW.0301", "Incorrect IAM authentication information: signature expired, time skewed"
            )
        signed = {name: call.headers[name] for name in match[2].split(";")}
        again = SdkRequest(
            method=call.method, schema="http", host=call.headers["host"], resource_path=call.path,
            query_params=list(call.query.items()), header_params=dict(signed), body=call.body or None,
        )  # fmt: skip
        Signer(BasicCredentials(self.access_key, self.secret_key, self.project_id)).sign(again)
        if again.header_params["Authorization"].rpartition("=")[2] != match[3]:
            raise Refusal(
                401, "APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail"
            )

    def route(self, call: Call) -> Answer:
        if call.path == "/v3/projects":
            return Answer(200, {"projects": self.projects})
        match = re.fullmatch(rf"/v2/{self.project_id}/(.*)", call.path)
        if not match:
            raise Refusal(403, "ModelArts.2784", "the token does not belong to the project")
        rest = match[1]
        if call.method == "POST" and rest == "training-jobs":
            return self.create(call.json())
        if call.method == "POST" and rest == "training-job-searches":
            return self.search(call.json())
        if rest in self.forbidden:
            raise Refusal(403, "ModelArts.0102", f"no right to get {rest}")
        if rest == "training-job-names":
            names = [job["metadata"]["name"] for job in self.jobs.values()]
            return Answer(200, {"is_duplicate": call.query["job_name"] in names})
        if rest in ("training-job-flavors", "training-job-engines", "training-quotas"):
            return Answer(200, getattr(self, rest.replace("-", "_"))())
        found = re.fullmatch(r"training-jobs/([^/]+)(?:/(.*))?", rest)
        if not found:
            raise Refusal(404, "APIGW.0101", "The API does not exist")
        return self.of_job(call, found[1], found[2] or "")

    def of_job(self, call: Call, job_id: str, rest: str) -> Answer:
        if job_id not in self.jobs:
            raise Refusal(400, "ModelArts.2775", f"training job {job_id} not found")
        if not rest:
            return Answer(200, self.described(job_id))
        if rest == "actions":
            return self.terminate(job_id, call.json())
        if rest == "events":
            newest = list(reversed(self.events[job_id]))[: int(call.query.get("limit", 50))]
            found = [{"level": level, "message": text} for level, text in newest]
            return Answer(200, {"total": len(self.events[job_id]), "events": found})
        if match := re.fullmatch(r"logs/worker-(\d+)", rest):
            return self.lines(job_id, int(match[1]), call.query)
        if match := re.fullmatch(r"tasks/worker-(\d+)/logs/preview", rest):
            return self.preview(job_id, int(match[1]))
        raise Refusal(404, "APIGW.0101", "The API does not exist")

    def cards(self, resource: dict[str, Any]) -> int:
        flavor = resource.get("flavor_id", "")
        return self.flavors.get(flavor) or POOL_FLAVORS.get(flavor) or 1

    def training_job_flavors(self) -> dict[str, Any]:
        items = [
            {"flavor_id": name, "flavor_type": "Ascend", "flavor_info": {"npu": {"unit_num": str(cards), "product_name": "Ascend 910"}}}
            for name, cards in self.flavors.items()
        ]  # fmt: skip
        return {"total_count": len(items), "flavors": items}

    def training_job_engines(self) -> dict[str, Any]:
        items = [dict(zip(("engine_name", "engine_version"), name.split("/", 1))) for name in self.engines]
        return {"total": len(items), "items": items}

    def training_quotas(self) -> dict[str, Any]:
        return {"quotas": [{"resource": "job-num", "quota": self.quota, "used": len(list(self.active()))}]}

    def active(self) -> Iterator[str]:
        return (job_id for job_id in self.jobs if not self.runner.state(job_id).is_final)

    def create(self, body: dict[str, Any]) -> Answer:
        validate(body, self)
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = {
            **body,
            "metadata": {**body["metadata"], "id": job_id, "create_time": int(self.now() * 1000)},
        }
        self.events[job_id] = [("Info", "Training job created.")]
        self.runner.start(job_id, request_of(body, self))
        return Answer(201, self.described(job_id))

    def described(self, job_id: str) -> dict[str, Any]:
        body, state = self.jobs[job_id], self.runner.state(job_id)
        resource = body["spec"]["resource"]
        return {**body, "status": status_of(state, resource["node_count"])}

    def search(self, body: dict[str, Any]) -> Answer:
        limit, page = body.get("limit", 10), body.get("offset", 0)
        if not 1 <= limit <= 50:
            raise Refusal(400, "ModelArts.2788", "limit must be between 1 and 50")
        found = [self.described(job_id) for job_id in reversed(self.jobs)]
        for item in body.get("filters") or []:
            found = [job for job in found if matches(job, item)]
        return Answer(200, {"total": len(found), "count": len(found), "items": found[page * limit :][:limit]})

    def terminate(self, job_id: str, body: dict[str, Any]) -> Answer:
        if body.get("action_type") != "terminate":
            raise Refusal(400, "ModelArts.2788", "action_type must be terminate")
        if self.runner.state(job_id).is_final:
            raise Refusal(409, "ModelArts.2796", "the job can't be terminated in its phase")
        self.runner.stop(job_id)
        return Answer(202, {})

    def log(self, job_id: str, node: int) -> list[str]:
        lines = self.runner.log(job_id, node)
        if not lines:
            raise Refusal(400, "ModelArts.2776", "the log is not ready")
        return lines

    def lines(self, job_id: str, node: int, query: dict[str, str]) -> Answer:
        """Lines behind `base_line`, of which each has a number; without one the newest, as documented."""
        known, count = self.log(job_id, node), int(query.get("lines", 50))
        if not 1 <= count <= 500 or query.get("order", "desc") not in ("asc", "desc"):
            raise Refusal(400, "ModelArts.2788", "lines must be between 1 and 500")
        known = known if self.has_log_lines else []
        numbered = [(self.first_line + at * self.line_step, line) for at, line in enumerate(known)]
        if query.get("order", "desc") == "desc":
            numbered.reverse()
        if base := query.get("base_line"):
            least = int(base) + (0 if self.repeats_base_line else 1)
            numbered = [item for item in numbered if item[0] >= least][:count]
        else:
            numbered = numbered[-count:]
        text = "".join(f"{line}\n" for _, line in numbered)
        ends = [str(numbered[at][0]) if numbered else "" for at in (0, -1)]
        return Answer(
            200, {"start_line": ends[0], "end_line": ends[1], "lines": len(numbered), "content": text}
        )

    def preview(self, job_id: str, node: int) -> Answer:
        data = ("\n".join(self.log(job_id, node)) + ("\n" if self.ends_lines else "")).encode()
        shown = data[-self.preview_bytes :]
        return Answer(
            200,
            {"content": shown.decode(errors="replace"), "current_size": len(shown), "full_size": len(data)},
        )


def status_of(state: State, nodes: int) -> dict[str, Any]:
    end = state.ended_at or 0
    lasted = max(0.0, end - state.started_at) if state.started_at and end else 0
    code = state.exit_code or 0
    message = state.reason if code else ""
    records = [{"start_type": "init_or_rescheduled"}, *[{"start_type": "restarted"}] * state.restarts]
    return {
        "phase": WORDS.get(state.phase, state.phase), "secondary_phase": "Queuing" if state.phase == "queued" else "",
        "start_time": int(state.started_at * 1000), "duration": int(lasted * 1000),
        "tasks": [f"worker-{node}" for node in range(nodes)], "running_records": records,
        "task_statuses": [{"task": "worker-0", "exit_code": code, "message": message}] if state.is_final else [],
    }  # fmt: skip


def matches(job: dict[str, Any], item: dict[str, Any]) -> bool:
    value = job["status"]["phase"] if item["key"] == "phase" else job["metadata"].get(item["key"])
    if item["operator"] == "like":
        return any(part in str(value) for part in item["value"])
    if item["operator"] not in ("in", "not"):
        raise Refusal(400, "ModelArts.2788", f"operator {item['operator']} is not valid")
    return (value in item["value"]) is (item["operator"] == "in")


def validate(body: dict[str, Any], double: ModelArtsDouble) -> None:
    """The checks of the service, in the order of their codes."""
    metadata, algorithm, spec = (body.get(name) or {} for name in ("metadata", "algorithm", "spec"))
    name, resource = metadata.get("name", ""), spec.get("resource") or {}
    rules = [
        (body.get("kind") == "job", "2788", "kind is not valid"),
        (re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name), "2788", "name is not valid"),
        (len(metadata.get("description", "")) <= 256, "2788", "description is too long"),
        (name not in [job["metadata"]["name"] for job in double.jobs.values()], "2751", f"the job name {name} exists"),
        (re.fullmatch(r"/[\w.-]+/.*/", algorithm.get("code_dir", "")), "2757", "code_dir is not a folder of a bucket"),
        (algorithm.get("command") or algorithm.get("boot_file", "").endswith(".py"), "2758", "boot_file is not valid"),
        (algorithm.get("command") or algorithm.get("boot_file", "").startswith(algorithm.get("code_dir", "-")), "2758",
         "boot_file is not in code_dir"),
        (valid_engine(algorithm.get("engine") or {}, double), "2780", "the engine does not exist"),
        (resource.get("pool_id") or resource.get("flavor_id") in double.flavors, "2781", "the flavor does not exist"),
        (isinstance(resource.get("node_count"), int) and resource["node_count"] >= 1, "2793", "node_count is not valid"),
        (len(list(double.active())) < double.quota, "2798", "the quota of training jobs is used up"),
    ]  # fmt: skip
    for is_right, code, message in [*rules, *channel_rules(algorithm, double), *variable_rules(algorithm)]:
        if not is_right:
            raise Refusal(400, f"ModelArts.{code}", message)


def valid_engine(engine: dict[str, str], double: ModelArtsDouble) -> bool:
    if set(engine) == {"image_url"}:
        return "/" in engine["image_url"]
    return f"{engine.get('engine_name')}/{engine.get('engine_version')}" in double.engines


def channel_rules(algorithm: dict[str, Any], double: ModelArtsDouble) -> Iterator[tuple[Any, str, str]]:
    for kind in ("inputs", "outputs"):
        for channel in algorithm.get(kind) or []:
            url = channel.get("remote", {}).get("obs", {}).get("obs_url", "")
            yield re.fullmatch(r"/[\w.-]+/(.*/)?", url), "2753", f"{kind}: {url} is not a folder of a bucket"
            yield (
                channel.get("access_method") in ("parameter", "env"),
                "2753",
                f"{kind}: access_method is not valid",
            )
            if kind == "outputs":
                used = [
                    out["remote"]["obs"]["obs_url"]
                    for job_id in double.active()
                    for out in double.jobs[job_id]["algorithm"].get("outputs") or []
                ]
                yield url not in used, "2753", "Other running job contain train_url"


def variable_rules(algorithm: dict[str, Any]) -> Iterator[tuple[Any, str, str]]:
    variables = algorithm.get("environments") or {}
    yield len(variables) <= 100, "2788", "too many environments"
    for name, value in variables.items():
        yield not name.startswith("MA_") or name == "MA_RUN_METHOD", "2788", f"{name} is reserved"
        yield (
            "$" not in value and len(value) <= 4096,
            "2788",
            f"the value of {name}, {value[:64]}, is not valid",
        )
    for item in algorithm.get("parameters") or []:
        yield (
            re.fullmatch(r"[A-Za-z0-9_-]{1,64}", item.get("name", "")),
            "2788",
            "a parameter's name is not valid",
        )


def request_of(body: dict[str, Any], double: ModelArtsDouble) -> Request:
    """What the machines are told of a job. Cards are CPUs there, so the device is named."""
    algorithm, notes = body["algorithm"], body["metadata"].get("annotations") or {}
    channels = {item["name"]: item for kind in ("inputs", "outputs") for item in algorithm.get(kind) or []}
    urls = {name: "obs:/" + item["remote"]["obs"]["obs_url"] for name, item in channels.items()}
    given = {item["name"]: item["value"] for item in algorithm.get("parameters") or []}
    boot_file = algorithm.get("boot_file", "").rpartition("/")[2]
    if command := algorithm.get("command", ""):
        given = arguments_of(command)
        boot_file = next(word for word in shlex.split(command) if word.endswith(".py"))
    resume = given.pop("resume_url", "")
    access = next((item["access_method"] for item in channels.values()), "direct")
    if access == "direct":
        urls = {name: given.pop(name) for name in ("data_url", "train_url") if name in given}
    log = body["spec"].get("log_export_path", {}).get("obs_url", "")
    variables = dict(algorithm.get("environments") or {})
    method = variables.pop("MA_RUN_METHOD", "rank_table")
    assert not resume or resume == urls["train_url"]
    return Request(
        platform="modelarts-v2", name=body["metadata"]["name"], code_url="obs:/" + algorithm["code_dir"],
        boot_file=boot_file, parameters=(*given.items(), ("device_target", "CPU")),
        data_url=urls.get("data_url", ""), train_url=urls.get("train_url", ""), log_url="obs:/" + log if log else "",
        nodes=body["spec"]["resource"]["node_count"], cards=double.cards(body["spec"]["resource"]),
        run_method=method, access=access, environment=variables,
        retries=int(notes.get("fault-tolerance/job-retry-num", 0)),
        unconditional_retry=notes.get("fault-tolerance/job-unconditional-retry") == "true",
    )  # fmt: skip


def arguments_of(command: str) -> dict[str, str]:
    """What a command of one's own gives to the boot file."""
    words = shlex.split(command)
    behind = words[next(at for at, word in enumerate(words) if word.endswith(".py")) + 1 :]
    return {name: value for name, _, value in (word[2:].partition("=") for word in behind)}
