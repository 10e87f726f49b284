"""What ModelArts refuses in the body of a request; REF, GUIDE and SDK as in tests/doubles/modelarts.py."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.doubles.service import Call

if TYPE_CHECKING:
    from tests.doubles.modelarts import ModelArtsDouble

SIZES = (("xlarge", 1), ("2xlarge", 2), ("4xlarge", 4), ("8xlarge", 8), ("16xlarge", 16))
POOL_FLAVORS = {
    f"modelarts.pool.visual.{size}": cards for size, cards in SIZES
}  # REF creating_a_training_job, Table 44
ANNOTATIONS = {  # SDK JobMetadata.annotations: names, and a pattern of the values that it shows
    "job_template": ".+",
    "fault-tolerance/job-retry-num": "[1-3]",
    "fault-tolerance/job-unconditional-retry": "true|false",
    "fault-tolerance/hang-retry": "true|false",
    "jupyter-lab/enable": "true|false",
    "tensorboard/enable": "true|false",
    "mindstudio-insight/enable": "true|false",
    "fault-tolerance/hccl_op_retry": "true|false",
    "performance_diagnosis_enabled": "true|false",
    "record/code-dir": ".+",
    "fault-tolerance/pod-retry-num": "[1-3]",
}
FOLDER = r"/[\w.-]+/(.*/)?"
Rules = Iterable[tuple[Any, ...]]


class Refusal(Exception):
    """An error of the API by its code; `details` go into its documented message, which `message` replaces."""

    def __init__(self, code: str, *details: object, message: str = ""):
        super().__init__(code)
        self.code, self.details, self.message = code, details, message


def require(is_right: object, code: str, *details: object) -> None:
    if not is_right:
        raise Refusal(f"ModelArts.{code}", *details)


def check_fields(value: dict[str, Any], model: str, where: str = "") -> None:
    """The fields and types that the SDK's class knows. What the service does with others is not documented."""
    import huaweicloudsdkmodelarts.v1 as sdk

    known = getattr(sdk, model)
    names = {shown: name for name, shown in known.attribute_map.items()}
    for name, item in value.items():
        require(name in names, "2788", f"{where}{name} is no field of {model}")
        kind = known.openapi_types[names[name]]
        many = re.fullmatch(r"list\[(.*)\]", kind)
        for part in item if many and isinstance(item, list) else [item]:
            check_type(part, many[1] if many else kind, f"{where}{name}")


def check_type(value: Any, kind: str, where: str) -> None:
    simple = {"str": str, "int": int, "bool": bool, "float": float, "object": object}
    if kind.startswith("dict"):
        is_right = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    elif kind in simple:
        is_right = isinstance(value, simple[kind]) and not (kind == "int" and isinstance(value, bool))
    else:
        is_right = isinstance(value, dict)
    require(is_right, "2825", where)
    if is_right and kind not in simple and not kind.startswith("dict"):
        check_fields(value, kind, f"{where}.")


def validate(body: dict[str, Any], double: ModelArtsDouble) -> None:
    """What the service checks. Which of several faults it names is not documented."""
    check_fields(body, "Job")
    metadata, algorithm, spec = (body.get(name) or {} for name in ("metadata", "algorithm", "spec"))
    rules = (
        metadata_rules(metadata, double),
        code_rules(algorithm, double),
        engine_rules(algorithm, double),
        parameter_rules(algorithm),
        channel_rules(algorithm, double),
        variable_rules(algorithm),
        resource_rules(spec.get("resource") or {}, double),
        spec_rules(spec, double),
    )
    require(body.get("kind") == "job", "2788", "kind")
    for found in rules:
        for is_right, code, *details in found:
            require(is_right, code, *details)


def metadata_rules(metadata: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """REF creating_a_training_job, Table 3; annotations: SDK JobMetadata."""
    name = metadata.get("name", "")
    yield re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name), "2788", "name"
    yield len(metadata.get("description", "")) <= 256, "2788", "description"
    yield metadata.get("workspace_id", "0") in double.workspaces, "0102"
    yield name not in [job["metadata"]["name"] for job in double.jobs.values()], "2751", name
    for key, value in (metadata.get("annotations") or {}).items():
        yield (
            key in ANNOTATIONS and re.fullmatch(ANNOTATIONS[key], value),
            "2788",
            f"annotation {key}: {value}",
        )


def there(double: ModelArtsDouble, path: str) -> bool:
    return double.exists is None or double.exists(f"obs:/{path}")


def code_rules(algorithm: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """Table 4: a boot file stands in the code directory. GUIDE, Creating a Training Job: it is a .py file, and a
    command has no line break."""
    folder, boot, command = (algorithm.get(name, "") for name in ("code_dir", "boot_file", "command"))
    yield re.fullmatch(FOLDER, folder), "2757"
    yield command or (boot.endswith(".py") and boot.startswith(folder)), "2758"
    yield "\n" not in command, "2788", "command"
    yield there(double, folder), "2802", folder
    yield command or there(double, boot), "2758"


def engine_rules(algorithm: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """Table 14: name and version, an image, or both; an image is "Organization name/Image name:tag"."""
    engine = algorithm.get("engine") or {}
    name, image = f"{engine.get('engine_name')}/{engine.get('engine_version')}", engine.get("image_url", "")
    has_preset = "engine_name" in engine or "engine_version" in engine
    yield has_preset or (image and algorithm.get("command")), "2806"
    yield not has_preset or name in double.engines, "2780", name
    yield not image or re.fullmatch(r"[a-z0-9_-]+/[\w./-]+:[\w.-]+", image), "2810"


def parameter_rules(algorithm: dict[str, Any]) -> Rules:
    """error_codes.rst, 2767: a key that comes twice. A channel's path comes as a parameter, too."""
    names = [item.get("name", "") for item in algorithm.get("parameters") or []]
    channels = [channel for kind in ("inputs", "outputs") for channel in algorithm.get(kind) or []]
    given = [item.get("name") for item in channels if item.get("access_method", "parameter") == "parameter"]
    for name in names:  # not documented for jobs; of algorithms: 1 to 64 letters, digits, - and _
        yield re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name), "2788", f"parameter {name}"
    yield max(Counter([*names, *given]).values(), default=1) == 1, "2767"


def channel_rules(algorithm: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """SDK Input, Output. GUIDE: the output folder has been created. That no two jobs write to one: the guide's
    troubleshooting page modelarts_13_0029, with its message."""
    names = []
    for kind in ("inputs", "outputs"):
        for channel in algorithm.get(kind) or []:
            url = channel.get("remote", {}).get("obs", {}).get("obs_url", "")
            names.append(channel.get("name"))
            yield re.fullmatch(FOLDER, url), "2753"
            yield channel.get("access_method", "parameter") in ("parameter", "env"), "2753"
            yield there(double, url), "2791", url, "it does not exist"
            if kind == "outputs" and url in used_outputs(double):
                raise Refusal("ModelArts.2753", message="Other running job contain train_url")
    yield len(set(names)) == len(names), "2753"


def used_outputs(double: ModelArtsDouble) -> list[str]:
    jobs = [double.jobs[job_id]["algorithm"] for job_id in double.active()]
    return [out["remote"]["obs"]["obs_url"] for job in jobs for out in job.get("outputs") or []]


def variable_rules(algorithm: dict[str, Any]) -> Rules:
    """Table 4, environments. GUIDE, Viewing Environment Variables: names of one's own do not begin with MA_."""
    variables = algorithm.get("environments") or {}
    yield len(variables) <= 100, "2816", "environments", 100
    for name, value in variables.items():
        yield (
            re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and len(name) <= 8192,
            "2788",
            f"the name {name[:64]}",
        )
        yield not name.startswith("MA_") or name == "MA_RUN_METHOD", "2788", f"{name} is reserved"
        is_right = "$" not in value and len(value) <= 4096
        yield is_right, "2788", f"the value of {name}, {value[:64]}, is not valid"


def resource_rules(resource: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """Table 44; error_codes.rst: 2793, 2815, 2890."""
    flavor, pool, nodes = (
        resource.get("flavor_id", ""),
        resource.get("pool_id", ""),
        resource.get("node_count", 1),
    )
    yield not pool or pool in double.pools, "2890", pool
    yield flavor in (POOL_FLAVORS if pool else double.flavors) or (pool and not flavor), "2781", flavor
    yield nodes >= 1, "2788", "node_count"
    yield pool or nodes <= double.most(flavor), "2793", nodes, double.most(flavor)
    yield len(list(double.active())) < double.quota, "2815", "job-num"


def spec_rules(spec: dict[str, Any], double: ModelArtsDouble) -> Rules:
    """Tables 49 and 50: hours alone, one at least. GUIDE: the log path is there."""
    stop, log = spec.get("auto_stop"), (spec.get("log_export_path") or {}).get("obs_url", "")
    yield not stop or (stop.get("time_unit") == "HOURS" and stop.get("duration", 0) >= 1), "2788", "auto_stop"
    yield not log or re.fullmatch(FOLDER, log), "2791", log, "it is no folder"
    yield not log or there(double, log), "2791", log, "it does not exist"


def body_of(call: Call) -> dict[str, Any]:
    try:
        found = call.json()
    except ValueError:
        raise Refusal("ModelArts.2787") from None
    require(isinstance(found, dict), "2787")
    return found  # type: ignore[no-any-return]


def unauthorized(case: str, double: ModelArtsDouble, instead_of: str, value: str) -> Refusal:
    """An answer of the gateway that a user has shown, with this call's value."""
    said = double.records.of("*", case).body["error_msg"]
    return Refusal("APIGW.0301", message=said.replace(instead_of, value))
