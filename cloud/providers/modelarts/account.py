"""What an account can do: its quota, flavors and engines, and whether its clock is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloud.clock import clock_check
from cloud.job import Job
from cloud.providers.base import Check
from cloud.providers.modelarts.session import SERVICE, Session

SHOWN = 6  # names in one line


def account_checks(session: Session, job: Job) -> Iterator[Check]:
    """Raises what the service refuses: the first call shows whether keys and project are right."""
    yield clock(session)
    yield check_flavor(flavors(session), job)
    yield check_engine(engines(session), job)
    yield check_quota(session)


def clock(session: Session) -> Check:
    """This machine's clock against the service's, by the date of any answer."""
    import requests

    url = session.client._endpoints[0]
    try:
        date = requests.head(url, timeout=10, allow_redirects=False).headers.get("Date")
    except requests.RequestException as err:
        return Check("clock", None, f"{url} does not answer: {' '.join(str(err).split())[:200]}")
    return clock_check(date, SERVICE)


def flavors(session: Session) -> list[dict[str, Any]]:
    answer = session.call(
        "list flavors", "show_training_job_flavors", "ShowTrainingJobFlavorsRequest", flavor_type="Ascend"
    )
    return answer.get("flavors") or []


def engines(session: Session) -> list[dict[str, Any]]:
    answer = session.call("list engines", "show_training_job_engines", "ShowTrainingJobEnginesRequest")
    return answer.get("items") or []


def check_flavor(known: list[dict[str, Any]], job: Job) -> Check:
    names = [item.get("flavor_id", "") for item in known]
    if not job.flavor or job.pool_id:
        return Check(
            "flavors", None if job.pool_id else True, "of the pool" if job.pool_id else listed(names)
        )
    found = next((item for item in known if item.get("flavor_id") == job.flavor), None)
    if found is None:
        return Check("flavor", False, f"the service has no {job.flavor}", f"it has {listed(names)}")
    count = str(((found.get("flavor_info") or {}).get("npu") or {}).get("unit_num") or "")
    if count.isdigit() and int(count) != job.cards:
        return Check(
            "flavor",
            False,
            f"{job.cards} cards asked of {job.flavor}, which has {count}",
            "choose another flavor or number of cards",
        )
    return Check("flavor", True, f"{job.flavor} is there")


def check_engine(known: list[dict[str, Any]], job: Job) -> Check:
    names = [f"{item.get('engine_name')}/{item.get('engine_version')}" for item in known]
    if not job.engine:
        ascend = [name for name in names if name.startswith("Ascend")]
        if job.image:
            return Check("image", None, f"{job.image}: SWR is asked when the job starts, not before")
        return Check("engines", True, listed(ascend))
    return Check(
        "engine",
        job.engine in names,
        f"{job.engine} is {'' if job.engine in names else 'not '}there",
        f"there is {listed(names)}",
    )


def check_quota(session: Session) -> Check:
    answer = session.call("show quotas", "show_training_quotas", "ShowTrainingQuotasRequest")
    full = [item for item in answer.get("quotas") or [] if is_full(item)]
    says = ", ".join(f"{item['resource']}: {item['used']} of {item['quota']} in use" for item in full)
    return Check("quota", not full, says or "there is room", "wait for a job to end, or ask for more")


def is_full(item: dict[str, Any]) -> bool:
    quota, used = item.get("quota"), item.get("used")
    return isinstance(quota, int) and isinstance(used, int) and 0 <= quota <= used


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"
