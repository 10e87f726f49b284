"""This computer's clock against a service's: signed requests are refused from 15 minutes on."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from mindlift.cloud.providers.base import Check

SKEW_S = 15 * 60


def clock_check(date: str | None, whose: str) -> Check:
    """By the Date header of any of its answers."""
    if not date:
        return Check("clock", None, f"{whose} does not say what time it is")
    skew = time.time() - parsedate_to_datetime(date).timestamp()
    seconds = f"{abs(skew):.0f}"
    says = f"{seconds} s ahead of {whose}" if skew > 0 else f"{seconds} s behind {whose}"
    return Check("clock", abs(skew) < SKEW_S, says, "set it right: requests from 15 minutes on are refused")
