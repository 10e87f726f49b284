"""What the doubles of services answer: records, each with its source. A double may fill a record in, not invent one.

A file of `records/<service>/` is a list of records:

    - call: GET /v2/{project_id}/training-jobs/{training_job_id}
      case: sample            # several records of a call have several cases
      source: OTC modelarts@1ba1873 api-ref/source/training_management/querying_the_details....rst, Example Responses
      seen: document          # document, sdk, code (the service's own source), or service (answered to a user)
      status: 200
      body: {...}             # or text, for answers that are no JSON

and `errors.yaml` a list of `{code, status, name, message, source, seen}`. Where a list has a code twice, with two
meanings, `errors` holds the second one as "CODE (STATUS)".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SEEN = ("document", "sdk", "code", "service")


@dataclass(frozen=True)
class Record:
    """One answer of one call."""

    call: str
    source: str
    seen: str
    status: int
    case: str = "sample"
    body: Any = None
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def fresh(self) -> Any:
        return copy.deepcopy(self.body)


@dataclass(frozen=True)
class Error:
    """A code of the service's list."""

    code: str
    status: int
    name: str
    message: str
    source: str
    seen: str


@dataclass(frozen=True)
class Records:
    """All that is known of one service."""

    service: str
    records: tuple[Record, ...]
    errors: Mapping[str, Error]

    def of(self, call: str, case: str = "sample") -> Record:
        """KeyError for a call that no source tells of."""
        for record in self.records:
            if (record.call, record.case) == (call, case):
                return record
        raise KeyError(f"no record of {call} ({case}) in {HERE / self.service}")

    def filled(self, call: str, values: Mapping[str, Any], case: str = "sample") -> Any:
        """The record's body with `values` in place of its own; see `fill`."""
        return fill(self.of(call, case).fresh(), values, call)


def fill(sample: Any, values: Any, where: str) -> Any:
    """`sample` with `values` in the places that it has; AssertionError for a place that it lacks.

    A list is filled by its first item: each value has that item's form. A value replaces one of the same kind,
    or null.
    """
    if isinstance(sample, dict) and isinstance(values, Mapping):
        unknown = set(values) - set(sample)
        assert not unknown, f"{where}: no source names {sorted(unknown)}"
        return {
            name: fill(value, values[name], f"{where}.{name}") if name in values else value
            for name, value in sample.items()
        }
    if isinstance(sample, list) and isinstance(values, (list, tuple)) and sample:
        return [fill(copy.deepcopy(sample[0]), value, f"{where}[]") for value in values]
    numbers = (int, float)
    is_alike = (
        sample is None
        or values is None
        or type(sample) is type(values)
        or (isinstance(sample, numbers) and isinstance(values, numbers))
        or (isinstance(sample, list) and isinstance(values, (list, tuple)))
    )
    assert is_alike, f"{where} is {values!r}, but its source has {sample!r}"
    return values


@cache
def load(service: str) -> Records:
    """The records of `records/<service>/`."""
    records: list[Record] = []
    errors: dict[str, Error] = {}
    for path in sorted((HERE / service).glob("*.yaml")):
        for item in yaml.safe_load(path.read_text(encoding="utf-8")):
            if "call" in item:
                record = Record(**item)
                assert record.seen in SEEN, f"{path.name}: seen is {record.seen!r}"
                assert record.source, f"{path.name}: {record.call} names no source"
                records.append(record)
            else:
                error = Error(**item)
                assert error.source, f"{path.name}: {error.code} names no source"
                again = error.code in errors
                errors[f"{error.code} ({error.status})" if again else error.code] = error
    return Records(service, tuple(records), errors)
