"""What goes wrong in a call of the SDK, in our words. Keys and secrets are taken out of every message."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from mindlift.cloud import codes
from mindlift.cloud.errors import (
    Answer,
    LogNotThere,
    NoAnswer,
    NoSuchJob,
    Overloaded,
    Refused,
    ServiceError,
    shortened,
)
from mindlift.cloud.providers.modelarts.codes import (
    CODES,
    KEYS,
    LOG_NOT_THERE,
    NO_SUCH_JOB,
)

SERVICE = "ModelArts"
Result = TypeVar("Result")
CLOCK = "set this machine's clock right: requests from 15 minutes on are refused"
RIGHT = "the account needs the right to do this; look at its policies and at the project"
BY_STATUS = {401: KEYS, 403: RIGHT}


def translated(
    what: str,
    request: Callable[[], Result],
    hidden: Sequence[str] = (),
    waits: Callable[[], float] = lambda: 0.0,
    call: str = "look up",
) -> Result:
    """`request()`; its failures as ServiceError or NoAnswer, without a cause that could show a key.

    `waits()` is what the answer asked for in Retry-After, in seconds; `call` is the kind of call.
    """
    import requests
    from huaweicloudsdkcore.exceptions import exceptions as sdk

    def said(problem: object) -> str:
        return shortened(problem, hidden)

    try:
        return request()
    except sdk.ServiceResponseException as err:
        status = err.status_code or 0
        answer = Answer(SERVICE, what, err.error_code or str(status), said(err.error_msg), http=status)
        raise refusal(answer, call, waits()) from None
    except sdk.ConnectionException as err:
        text = f"{what}: {SERVICE} does not answer: {said(err.error_msg)}"
        raise NoAnswer(text, was_sent=not is_unsent(err.__context__)) from None
    except sdk.SdkException as err:
        raise of_sdk(what, said(err.error_msg)) from None
    except requests.RequestException as err:
        text = f"{what}: {SERVICE} does not answer: {said(err)}"
        raise NoAnswer(text, was_sent=not is_unsent(err)) from None
    except (ValueError, TypeError, AttributeError, KeyError) as err:  # the SDK trusts whatever comes
        raise NoAnswer(f"{what}: {SERVICE}'s answer can't be read ({type(err).__name__})") from None


def is_unsent(problem: BaseException | None) -> bool:
    """Whether there was no connection to send anything on: refused, without a route, without an address."""
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    if isinstance(problem, requests.ConnectTimeout):
        return True
    reasons = [getattr(part, "reason", None) for part in getattr(problem, "args", ())]
    return any(isinstance(reason, (NewConnectionError, ConnectTimeoutError)) for reason in reasons)


def refusal(answer: Answer, call: str, pause_s: float = 0.0) -> ServiceError:
    """The error of an answer with a status of 400 or more, or of a 204 to a request for a log."""
    code, status = answer.code, answer.http
    known = codes.of(CODES, code)
    answer = replace(answer, hint=known.advice if known else "")
    if call == "log" and code in LOG_NOT_THERE:
        return LogNotThere(answer, LOG_NOT_THERE[code])
    if code == NO_SUCH_JOB:
        return NoSuchJob(answer)
    if status == 429 or code == "429" or status >= 500 or (known and known.is_passing(call)):
        leaves_doubt = status != 429 and (known.leaves_doubt if known else status >= 500)
        nothing = code == "429" or not (leaves_doubt or status >= 500)
        return Overloaded(replace(answer, hint=""), pause_s, created_nothing=nothing)
    if status == 401 and re.search(r"signature expired|skew", answer.message, re.IGNORECASE):
        return Refused(replace(answer, hint=CLOCK))
    return Refused(replace(answer, hint=answer.hint or BY_STATUS.get(status, "")))


def of_sdk(what: str, message: str) -> ServiceError:
    """What the SDK says by itself: it asks IAM for the project, and packs IAM's answer into a text."""
    found = re.search(r"status_code:(\d+)", message)
    status = int(found[1]) if found else 0
    code = re.search(r"error_code:([^,}\s]+)", message)
    if status == 429 or status >= 500:
        answer = Answer("IAM", what, code[1] if code else str(status), message, http=status)
        return Overloaded(answer, created_nothing=True)
    hint = KEYS if status in (401, 403) else "name the project: --project_id or HUAWEICLOUD_SDK_PROJECT_ID"
    return Refused(Answer("IAM", what, code[1] if code else str(status or "project"), message, hint, status))
