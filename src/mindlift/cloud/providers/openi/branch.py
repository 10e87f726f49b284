"""Whether OpenI's own repository holds the code of this checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from mindlift.checkout import ROOT
from mindlift.cloud.errors import JobError, Refused
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.package import Package, git
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.openi import request
from mindlift.cloud.providers.openi.answers import BRANCH, BRANCHES
from mindlift.cloud.providers.openi.rest import Rest


def code_folder(job: Job) -> Path:
    """The checkout of what the job runs."""
    return Path(job.code) if job.is_program else ROOT


def folder_checks(job: Job) -> Iterator[Check]:
    """OpenI runs a file of the repository, by its path from the top."""
    if not job.is_program:
        return
    try:
        top = git(Path(job.code), "rev-parse", "--show-toplevel").decode().strip()
    except JobError as err:
        yield Check(
            "code", False, str(err), "OpenI trains what was pushed: commit and push it as a repository"
        )
        return
    if Path(top).resolve() != Path(job.code).resolve():
        boot_file = (Path(job.code) / job.boot_file).resolve().relative_to(Path(top).resolve())
        says = f"{job.code} is below {top}, and OpenI starts files by their path in the repository"
        yield Check("code", False, says, f"set code: {top} and boot_file: {boot_file.as_posix()}")


def current_branch(folder: Path) -> str:
    """'' where no branch is checked out, or no repository."""
    try:
        found = git(folder, "rev-parse", "--abbrev-ref", "HEAD").decode().strip()
    except JobError:
        return ""
    return "" if found == "HEAD" else found


def branch_check(rest: Rest, job: Job, package: Package) -> Check:
    """OpenI trains what its repository holds, whatever other hosts of the same code do."""
    owner, name = request.repo_of(job)
    answer = rest.get("list branches", BRANCHES.at(owner=owner, repo=name))
    advice = f"git push {rest.endpoint}/{job.repo}.git HEAD:{job.branch}"
    if job.branch not in (answer.get("branches") or []):
        return Check("branch", False, f"{job.repo} has no branch {job.branch}", advice)
    tip, why = commit_of(rest, job)
    if not tip:
        return Check("branch", None, f"{job.branch} is there; whether it is this code can't be told: {why}")
    if tip != package.revision:
        says = f"{job.branch} of {job.repo} is {tip[:12]}, this code is {package.revision[:12]}"
        return Check("branch", False, says, f"commit and {advice}")
    if package.is_dirty:
        says = f"{job.branch} is pushed, but changes that are not committed are not in it"
        return Check("branch", None, says, f"commit and {advice}")
    return Check("branch", True, f"{job.branch} is pushed")


def commit_of(rest: Rest, job: Job) -> tuple[str, str]:
    """The branch's commit by Gitea's own route, and why there is none."""
    owner, name = request.repo_of(job)
    route = BRANCH.at(owner=owner, repo=name, branch=quote(job.branch))
    try:
        commit = rest.get(f"look at branch {job.branch}", route).get("commit") or {}
    except Refused as err:
        return "", str(err)
    return str(commit.get("id") or ""), "OpenI names no commit of it"
