"""What a service answers to every question that this client asks, written down without anything private.

A probe changes nothing: it asks what `selfcheck`, `list`, `status`, `logs` and `fetch` ask. Its file is a list of
records in the form of tests/doubles/records, which `python -m tests.doubles.records FILE` takes over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import yaml

from mindlift.cloud.json_types import Json, Scalar
from mindlift.errors import MindLiftError

PUBLIC = frozenset(
    "accept_mode acc_card_type action_type arch available_cluster billing case cluster code code_type compute_resource "
    "compute_source core_num cpu_core_num default_branch detailed_status end_line engine_name engine_type engine_version "
    "error_code error_type flavor_id flavor_type gpu_mem_gi_b id_of_flavor image_name job_type key kind level lines "
    "memory order order_by phase product_name reason_code resource run_user secondary_phase size start_line "
    "start_type status tags tasks task time_unit type unit unit_num v1_compatible".split()
)  # names of fields whose texts are the service's own words
PRIVATE_NUMBERS = re.compile(r"(^|_)(id|uid|balance|total_earned|total_consumed)$")
MESSAGES = ("error_msg", "error_message", "message", "msg")
LOGS = ("content", "context")
HOW = frozenset(
    "base_line lines order limit offset page pageSize flavor_type cluster_type compute_source job_type".split()
)
MOST = 20  # items of a list, and lines of a log
LONGEST = 200  # letters of a message


class Record(TypedDict):
    """An exchange in the form of tests/doubles/records."""

    call: str
    case: str
    source: str
    seen: str
    status: int
    body: Json


@dataclass(frozen=True)
class Exchange:
    """One question and its answer. `call` is the method and the route, its variable parts in braces."""

    call: str
    query: Mapping[str, object]
    status: int
    body: Json  # None for an answer that is no JSON


@dataclass
class Redactor:
    """Takes out of answers what belongs to somebody. Equal values become equal names, so answers still fit together."""

    hidden: Iterable[str] = ()  # keys, tokens, ids: never shown, wherever they stand
    names: dict[tuple[str, Scalar], Scalar] = field(default_factory=dict)

    def body(self, value: Json, key: str = "") -> Json:
        if isinstance(value, dict):
            return {self.key(name): self.body(item, self.key(name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.body(item, key) for item in value[:MOST]]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            return self.placeholder(key, value) if PRIVATE_NUMBERS.search(key) else value
        return self.text(str(value), key)

    def key(self, name: str) -> str:
        """Names of fields are the service's; keys of a map of variables, say, are not."""
        return (
            name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) and not self.is_hidden(name) else "name"
        )

    def is_hidden(self, text: str) -> bool:
        return any(secret and secret in text for secret in self.hidden)

    def text(self, value: str, key: str) -> str:
        if key in LOGS:
            return self.log(value)
        if key in MESSAGES:
            return self.message(value)
        if not value or (key in PUBLIC and len(value) <= LONGEST and not self.is_hidden(value)):
            return value
        return str(self.placeholder(key, value))

    def log(self, value: str) -> str:
        """As many lines, ended as they were, up to 20 of them."""
        lines = value.split("\n")
        shown = [f"line {at + 1}" if line else "" for at, line in enumerate(lines)]
        return "\n".join(shown if len(lines) <= MOST else [*shown[: MOST // 2], *shown[-MOST // 2 :]])

    def message(self, value: str) -> str:
        """The service's sentence without paths, addresses, quoted names and long words with digits."""
        for secret in sorted(filter(None, self.hidden), key=len, reverse=True):
            value = value.replace(secret, "***")
        value = re.sub(r"\S*[/@:]\S+|['\"(\[][^'\")\]]*['\")\]]|\S*\d\S{7,}", "***", value)
        return value[:LONGEST]

    def placeholder(self, key: str, value: Scalar) -> Scalar:
        """The same for the same value, of the same kind."""
        of_key = [known for (name, _), known in self.names.items() if name == key]
        if (key, value) not in self.names:
            number = len(of_key) + 1
            self.names[key, value] = (
                number if isinstance(value, (int, float)) else f"{key or 'text'}-{number}"
            )
        return self.names[key, value]


@dataclass
class Probe:
    """Collects exchanges as records; asked again, the same question with the same form of answer is kept once."""

    service: str
    when: str
    redactor: Redactor = field(default_factory=lambda: Redactor())
    records: list[Record] = field(default_factory=list)
    answers: int = 0  # all that came, those that were known already too

    def note(self, exchange: Exchange) -> None:
        self.answers += 1
        method, _, _ = exchange.call.partition(" ")
        body = self.redactor.body(exchange.body)
        count = sum(record["call"] == exchange.call for record in self.records)
        if any(
            (known["call"], known["status"], known["body"]) == (exchange.call, exchange.status, body)
            for known in self.records
        ):
            return
        self.records.append(
            {
                "call": exchange.call,
                "case": "seen" if not count else f"seen {count + 1}",
                "source": f"{self.service} as it answered on {self.when}, asked with {asked_with(exchange.query)}",
                "seen": "service",
                "status": exchange.status,
                "body": body,
            }
        )


def asked_with(query: Mapping[str, object]) -> str:
    """The parameters of a question; the values of those that say how it was asked."""
    shown = (f"{name}={value}" if name in HOW else name for name, value in query.items())
    return ", ".join(shown) or "nothing"


def as_text(probe: Probe) -> str:
    """The file: YAML with the records."""
    found = {"service": probe.service, "asked_on": probe.when, "records": probe.records}
    return yaml.safe_dump(found, allow_unicode=True, sort_keys=False, width=110)


def asked(name: str, question: Callable[[], object], probe: Probe) -> str:
    """A line for people. A refusal is an answer, too."""
    before, answers = len(probe.records), probe.answers
    try:
        question()
        says = "answered" if probe.answers > answers else "no answer"
    except MindLiftError as err:
        says = f"refused: {err}"
    return f"{name}: {says}; {len(probe.records) - before} new records"
