"""The last line follows from the findings."""

from __future__ import annotations

import pytest

from mindlift.doctor.finding import OK, PROBLEM, WARNING, Finding
from mindlift.doctor.summary import conclusion

FINE, OLD, ODD = (
    Finding("python", OK, "3.11"),
    Finding("mindspore", PROBLEM, "1.7", "x"),
    Finding("cpus", WARNING, "1", "y"),
)


@pytest.mark.parametrize(
    ("found", "submits", "says"),
    [
        ([FINE], True, "Training works here. Submitting jobs works."),
        (
            [FINE, ODD],
            True,
            "Training works here, with warnings about cpus (what to change stands behind ->).",
        ),
        ([FINE, OLD, ODD], True, "Training does not work here: mindspore (what to change stands behind ->)."),
        ([OLD], False, "Submitting jobs does not: it needs boto3, PyYAML and requests."),
    ],
)
def test_the_last_line(found, submits, says):
    assert says in conclusion(found, submits)
