"""The doctor's last line: what works here, what does not, what to change."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from mindlift.doctor.finding import PROBLEM, WARNING, Finding

FOR_JOBS = ("yaml", "boto3", "requests")  # what `mindlift submit` imports
WHERE = "what to change stands behind ->"


def can_submit() -> bool:
    return all(importlib.util.find_spec(name) for name in FOR_JOBS)


def conclusion(found: Sequence[Finding], submits: bool) -> str:
    """From the findings alone; `submits`: whether the packages for submitting jobs are there."""
    problems = [item.name for item in found if item.level == PROBLEM]
    warnings = [item.name for item in found if item.level == WARNING]
    also = (
        "Submitting jobs works."
        if submits
        else "Submitting jobs does not: it needs boto3, PyYAML and requests."
    )
    if problems:
        return f"Training does not work here: {', '.join(problems)} ({WHERE}). {also}"
    if warnings:
        return f"Training works here, with warnings about {', '.join(warnings)} ({WHERE}). {also}"
    return f"Training works here. {also}"
