"""What goes wrong in a call of the SDK, in our words. Keys and secrets are taken out of every message."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from cloud.errors import NoAnswer, NoSuchJob, Overloaded, Refused, ServiceError, shortened

SERVICE = "ModelArts"
NO_SUCH_JOB = "ModelArts.2775"
HAS_ENDED = "ModelArts.2796"
NOT_READY = "ModelArts.2776"
ADVICE = {
    "ModelArts.2751": "choose another name, or leave name out",
    "ModelArts.2753": "train_url and data_url have to be folders of a bucket of this region, and no other job may write to train_url",
    "ModelArts.2757": "look at code_url", "ModelArts.2758": "look at boot_file",
    "ModelArts.2759": "keep data out of the repository", "ModelArts.2760": "keep data out of the repository",
    "ModelArts.2761": "keep data out of the repository", "ModelArts.2763": "the flavor does not fit the engine; see selfcheck",
    "ModelArts.2773": "look at the bucket's policy and at what ModelArts' agency may read", "ModelArts.2780": "selfcheck lists the engines",
    "ModelArts.2781": "selfcheck lists the flavors", "ModelArts.2784": "look at the keys and the project",
    "ModelArts.2785": "authorise ModelArts to use OBS (console: Settings, Authorization)",
    "ModelArts.2788": "a value of the request is not valid; `plan` shows the request", "ModelArts.2791": "paths are obs://bucket/folder/",
    "ModelArts.2793": "look at nodes", HAS_ENDED: "the job is not in a phase for that; see status",
}  # fmt: skip
CLOCK = "set this machine's clock right: requests from 15 minutes on are refused"
KEYS = "look at the access key, the secret key and the project"


def translated(what: str, request: Callable[[], Any], hidden: Sequence[str] = (), waits: Any = None) -> Any:
    """`request()`; its failures as Refused, Overloaded or NoAnswer, without a cause that could show a key.

    `waits()` is what the answer asked for in Retry-After, in seconds.
    """
    import requests
    from huaweicloudsdkcore.exceptions import exceptions as sdk

    def said(problem: object) -> str:
        return shortened(problem, hidden)

    try:
        return request()
    except sdk.ServiceResponseException as err:
        pause = waits() if waits else 0.0
        raise refusal(what, err.status_code or 0, err.error_code or "", said(err.error_msg), pause) from None
    except sdk.ConnectionException as err:
        raise NoAnswer(f"{what}: {SERVICE} does not answer: {said(err.error_msg)}") from None
    except sdk.SdkException as err:
        raise of_sdk(what, said(err.error_msg)) from None
    except requests.RequestException as err:
        raise NoAnswer(f"{what}: {SERVICE} does not answer: {said(err)}") from None
    except (ValueError, TypeError, AttributeError, KeyError) as err:  # the SDK trusts whatever comes
        raise NoAnswer(f"{what}: {SERVICE}'s answer can't be read ({type(err).__name__})") from None


def refusal(what: str, status: int, code: str, message: str, pause_s: float = 0.0) -> ServiceError:
    """The error of an answer with a status of 400 or more."""
    code = code or str(status)
    if status == 429 or status >= 500 or code in ("429", "ModelArts.2799"):
        return Overloaded(SERVICE, what, code, message, "", status, pause_s)
    if code == NO_SUCH_JOB:
        return NoSuchJob(SERVICE, what, code, message, "`list` shows your jobs", status)
    hint = ADVICE.get(code, "")
    if status == 401:
        hint = CLOCK if re.search(r"expired|skew|time", message, re.IGNORECASE) else KEYS
    elif status == 403 and not hint:
        hint = "the account needs the right to do this; look at its policies and at the project"
    return Refused(SERVICE, what, code, message, hint, status)


def of_sdk(what: str, message: str) -> ServiceError:
    """What the SDK says by itself: it asks IAM for the project, and packs IAM's answer into a text."""
    found = re.search(r"status_code:(\d+)", message)
    status = int(found[1]) if found else 0
    code = re.search(r"error_code:([^,}\s]+)", message)
    if status == 429 or status >= 500:
        return Overloaded("IAM", what, code[1] if code else str(status), message, "", status)
    hint = KEYS if status in (401, 403) else "name the project: --project_id or HUAWEICLOUD_SDK_PROJECT_ID"
    return Refused("IAM", what, code[1] if code else str(status or "project"), message, hint, status)
