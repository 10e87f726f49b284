"""What submitting a job would do, without doing it: for people and, as JSON, for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from mindlift.cloud import platforms
from mindlift.cloud.job import Job
from mindlift.cloud.json_types import Json, JsonObject
from mindlift.cloud.platforms.container import place, rank_environment, ranks_of, working_directory
from mindlift.cloud.prepare.package import Package
from mindlift.cloud.providers.base import Check, Plan
from mindlift.cloud.providers.local.client import to_request
from mindlift.cloud.show import check_line, size
from mindlift.language import gettext, localized

HIDDEN = "***"
LARGEST = 5  # files that are shown


class CodeView(TypedDict):
    url: str
    files: int
    bytes: int
    revision: str
    dirty: bool
    sha256: str
    largest: list[str]  # files with their sizes
    left_out: list[str]
    untracked: list[str]


class RankView(TypedDict):
    working_directory: str
    environment: dict[str, str]


class NodeView(TypedDict, total=False):
    """What the processes of a node will see; without `ranks` where msrun starts them."""

    command: list[str]
    environment: dict[str, str]
    copied_before: dict[str, str]  # path: URL
    copied_after: dict[str, str]
    ranks: list[RankView]


class Described(TypedDict):
    """A plan, as `plan --json` prints it."""

    provider: str
    name: str
    outputs: dict[str, str]
    code: CodeView
    request: JsonObject
    platform: str
    nodes: list[NodeView]
    checks: list[dict[str, Json]]


def describe(job: Job, package: Package, plan: Plan, checks: Sequence[Check]) -> Described:
    """The whole plan. Secrets are shown as ***."""
    return {
        "provider": job.provider,
        "name": job.name,
        "outputs": job.results,
        "code": {
            "url": job.code_url,
            "files": len(package.files),
            "bytes": package.size_bytes,
            "revision": package.revision,
            "dirty": package.is_dirty,
            "sha256": package.sha256,
            "largest": [f"{name} {size(count)}" for name, count in package.largest(LARGEST)]
            if job.is_program
            else [],
            "left_out": list(package.left_out),
            "untracked": list(package.untracked),
        },
        "request": plan.request,
        "platform": plan.platform,
        "nodes": [node_view(job, plan.platform, n) for n in range(job.nodes if plan.platform else 0)],
        "checks": [vars(check) for check in checks],
    }


def node_view(job: Job, platform: str, node: int) -> NodeView:
    """What the processes of a node will see."""
    request = to_request(
        job.replace(platform=platform, code_url=job.code_url or job.repo),
        dict.fromkeys(job.secrets, HIDDEN),
        job.provider == "local",
    )
    container = platforms.container(request, job.name, node)
    view: NodeView = {
        "command": container.words("python"),
        "environment": dict(container.environment),
        "copied_before": {item.path: item.url for item in container.inputs},
        "copied_after": {item.path: item.url for item in container.outputs},
    }
    if job.launcher == "msrun":
        view["command"] = [
            "msrun",
            f"--worker_num={job.ranks}",
            f"--local_worker_num={job.cards}",
            *view["command"][1:],
        ]
        return view
    view["ranks"] = [
        {
            "working_directory": working_directory(container, rank),
            "environment": rank_environment(container, rank, job.name),
        }
        for rank in ranks_of(request, node)
    ]
    return view


def as_text(plan: Described, checks: Sequence[Check]) -> str:
    """The plan for people."""
    code = plan["code"]
    lines = [
        gettext(
            "job       {0} on {1} ({2})",
            plan["name"],
            plan["provider"],
            localized(plan["platform"] or "no platform of its own"),
        ),
        localized(
            f"code      {code['files']} files, {size(code['bytes'])}, revision {code['revision'][:12]}"
            + (" with uncommitted changes" if code["dirty"] else "")
            + (f" -> {code['url']}" if code["url"] else "")
        ),
        *(f"          {line}" for line in code["largest"]),
        *(" " * 10 + gettext("new to git: {0}", line) for line in code["untracked"]),
        *(" " * 10 + gettext("left out: {0}", line) for line in code["left_out"]),
        *results(plan["outputs"]),
        "",
        gettext("request"),
        *indented(json.dumps(plan["request"], indent=2, ensure_ascii=False, default=str)),
    ]
    for first in plan["nodes"][:1]:
        lines += [
            "",
            gettext("command of each process"),
            f"  {' '.join(first['command'])}",
            "",
            gettext("variables of each process"),
        ]
        lines += [f"  {name}={value}" for name, value in first["environment"].items()]
    for node, view in enumerate(plan["nodes"]):
        for rank in view.get("ranks", ()):
            lines.append(
                "  "
                + gettext("node {0}: {1} in {2}", node, place(rank["environment"]), rank["working_directory"])
            )
    lines += ["", gettext("checks"), *(f"  {check_line(check)}" for check in checks)]
    return "\n".join([*lines, *failures(checks)])


def failures(checks: Sequence[Check]) -> list[str]:
    """What failed once more, where somebody looks who has scrolled past it."""
    failed = [check for check in checks if check.ok is False]
    if not failed:
        return []
    return [
        "",
        gettext("{0} of {1} checks failed", len(failed), len(checks)),
        *(f"  {check_line(each)}" for each in failed),
    ]


def results(outputs: Mapping[str, str]) -> list[str]:
    if len(outputs) == 1:
        return [gettext("results   {0}", next(iter(outputs.values())))]
    return [gettext("results   {0} -> {1}", name, url) for name, url in outputs.items()] or [
        gettext("results   kept by the service")
    ]


def indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
