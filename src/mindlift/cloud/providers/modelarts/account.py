"""What an account can do: its keys, quota, flavors and engines, and whether this clock is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mindlift.cloud.errors import Refused
from mindlift.cloud.job import Job
from mindlift.cloud.prepare.clock import clock_check
from mindlift.cloud.providers.base import Check
from mindlift.cloud.providers.modelarts.answers import LIST, QUOTAS, Billing, Engine, Flavor
from mindlift.cloud.providers.modelarts.failures import SERVICE
from mindlift.cloud.providers.modelarts.session import Session
from mindlift.cloud.providers.modelarts.view import unit_count
from mindlift.storage import trust

SHOWN = 6  # names in one line
PRESET = "Ascend-Powered-Engine"


def account_checks(session: Session, job: Job) -> Iterator[Check]:
    """What keys of few rights may not ask for is None. The first call shows whether the keys are right at all."""
    yield clock(session)
    session.call("use the keys", LIST, body={"offset": 0, "limit": 1})
    yield Check("credentials", True, f"accepted for project {session.project} at {session.place}")
    yield asked("flavor", lambda: check_flavor(session.flavors(), job))
    if not job.pool_id and job.flavor:
        yield asked("price", lambda: billing(session.flavors(), job))
    yield asked("engine", lambda: check_engine(session.engines(), job))
    if job.image:
        yield Check(
            "image", None, f"{job.image}: SWR is not asked; a tag that is missing shows when the job starts"
        )
    yield asked("quota", lambda: check_quota(session))


def asked(name: str, question: Callable[[], Check]) -> Check:
    """The check; None if the account may not ask."""
    try:
        return question()
    except Refused as err:
        return Check(name, None, str(err))


def clock(session: Session) -> Check:
    """This machine's clock against the service's, by the date of any answer."""
    import requests

    try:
        answer = requests.get(
            session.address, timeout=session.timeout_s, allow_redirects=False, verify=trust.for_requests()
        )
    except requests.RequestException as err:
        return Check("clock", None, f"{session.address} does not answer ({type(err).__name__})")
    return clock_check(answer.headers.get("Date"), SERVICE)


def check_flavor(known: list[Flavor], job: Job) -> Check:
    names = [described(item) for item in known]
    if job.pool_id:
        return Check("flavor", None, f"a flavor of pool {job.pool_id}: the service lists only public ones")
    if not job.flavor:
        return Check(
            "flavor", bool(names), f"for Ascend there is {listed(names)}", "ask for access to Ascend flavors"
        )
    found = next((item for item in known if item.get("flavor_id") == job.flavor), None)
    if found is None:
        return Check("flavor", False, f"the service has no {job.flavor}", f"it has {listed(names)}")
    about = found.get("flavor_info") or {}
    count, most = unit_count(about), found.get("max_num") or about.get("max_num") or 0
    if count and count != job.cards:
        says = f"{job.cards} cards asked of {job.flavor}, which has {count}"
        return Check("flavor", False, says, "choose another flavor or number of cards")
    if most and job.nodes > most:
        says = f"{job.nodes} nodes asked of {job.flavor}, which gives {most}"
        return Check("flavor", False, says, "use fewer")
    return Check("flavor", True, f"{job.flavor} is there")


def billing(known: list[Flavor], job: Job) -> Check:
    """The service tells a code and a number of units of a flavor, but no amount of money."""
    found = next((item for item in known if item.get("flavor_id") == job.flavor), None)
    about: Billing = (found.get("billing") if found else None) or {}
    if not about.get("code"):
        return Check("price", None, "the service tells no price")
    says = f"the service tells no amount: it bills {about.get('unit_num') or 1} x {about['code']} per node"
    return Check("price", None, says, "the price list of the region has the amount of that code")


def described(flavor: Flavor) -> str:
    count = unit_count(flavor.get("flavor_info") or {})
    return f"{flavor.get('flavor_id')}" + (f" ({count} cards)" if count else "")


def name_of(engine: Engine) -> str:
    return f"{engine.get('engine_name')}/{engine.get('engine_version')}"


def about_engine(engine: Engine) -> str:
    """NAME/VERSION, in which mode it runs and as whom, as far as the service tells."""
    user = str(engine.get("run_user") or "")
    notes = [*(["v1"] if engine.get("v1_compatible") else []), *([f"user {user}"] if user else [])]
    return name_of(engine) + (f" ({', '.join(notes)})" if notes else "")


def check_engine(known: list[Engine], job: Job) -> Check:
    ascend = [about_engine(item) for item in known if item.get("engine_name") == PRESET]
    if not job.engine:
        is_well = bool(ascend) or bool(job.image)
        return Check("engine", is_well, f"of {PRESET} there is {listed(ascend)}", "use an own image")
    found = next((item for item in known if name_of(item) == job.engine), None)
    if found is None:
        return Check("engine", False, f"{job.engine} is not there", f"there is {listed(ascend)}")
    platform = "modelarts-v1" if found.get("v1_compatible") else "modelarts-v2"
    return Check("engine", True, f"{about_engine(found)} is there: the job meets {platform}")


def check_quota(session: Session) -> Check:
    answer = session.call("show quotas", QUOTAS)
    items = [item for item in answer.get("quotas") or [] if isinstance(item.get("quota"), int)]
    says = ", ".join(
        f"{item.get('resource')}: {item.get('used') or 0} of {item['quota']} in use" for item in items
    )
    is_full = any(0 <= item["quota"] <= (item.get("used") or 0) for item in items)
    return Check("quota", not is_full, says or "none is set", "wait for a job to end, or ask for more")


def listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"
