"""What ModelArts answers, as far as this client reads it, and the calls by which it is asked.

Any key may be missing, and any value null: the API reference promises few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypedDict, TypeVar

Answer = TypeVar("Answer")


class Unit(TypedDict, total=False):
    unit_num: int


class FlavorInfo(TypedDict, total=False):
    max_num: int
    npu: Unit
    gpu: Unit


class Billing(TypedDict, total=False):
    code: str
    unit_num: int


class Flavor(TypedDict, total=False):
    flavor_id: str
    flavor_info: FlavorInfo
    max_num: int
    billing: Billing


class Flavors(TypedDict, total=False):
    flavors: list[Flavor]


class Engine(TypedDict, total=False):
    engine_name: str
    engine_version: str
    v1_compatible: bool
    run_user: str


class Engines(TypedDict, total=False):
    items: list[Engine]


class Quota(TypedDict, total=False):
    resource: str
    quota: int
    used: int


class Quotas(TypedDict, total=False):
    quotas: list[Quota]


class NameCheck(TypedDict, total=False):
    is_duplicate: bool


class Metadata(TypedDict, total=False):
    id: str
    name: str
    create_time: int  # ms


class TaskStatus(TypedDict, total=False):
    task: str
    exit_code: int
    message: str


class RunningRecord(TypedDict, total=False):
    end_reason: str
    end_related_task: str
    end_recover: str


class JobStatus(TypedDict, total=False):
    phase: str
    secondary_phase: str
    start_time: int  # ms
    duration: int  # ms
    running_records: list[RunningRecord]
    task_statuses: list[TaskStatus]


class FlavorDetail(TypedDict, total=False):
    flavor_info: FlavorInfo


class Resource(TypedDict, total=False):
    flavor_id: str
    flavor_detail: FlavorDetail
    node_count: int


class Spec(TypedDict, total=False):
    resource: Resource


class ObsRemote(TypedDict, total=False):
    obs_url: str


class Remote(TypedDict, total=False):
    obs: ObsRemote


class Channel(TypedDict, total=False):
    name: str
    remote: Remote


class Parameter(TypedDict, total=False):
    name: str
    value: str


class Algorithm(TypedDict, total=False):
    outputs: list[Channel]
    parameters: list[Parameter]
    environments: dict[str, str]
    command: str


class TrainingJob(TypedDict, total=False):
    metadata: Metadata
    status: JobStatus
    algorithm: Algorithm
    spec: Spec


class TrainingJobs(TypedDict, total=False):
    items: list[TrainingJob]


class Event(TypedDict, total=False):
    level: str
    message: str


class Events(TypedDict, total=False):
    events: list[Event]
    total: int


class Log(TypedDict, total=False):
    """A page of lines between two marks, or a preview of the whole with its sizes in bytes."""

    content: str
    start_line: str
    end_line: str
    current_size: int
    full_size: int


class Nothing(TypedDict):
    """The answer is not looked at."""


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A call by the SDK's names of its method and its request. `kind` is one of cloud/codes.py: it decides what
    an error code means."""

    method: str
    request: str
    kind: str = "look up"


CREATE: Call[TrainingJob] = Call("create_training_job", "CreateTrainingJobRequest", "create")
STOP: Call[Nothing] = Call("stop_training_job", "StopTrainingJobRequest", "cancel")
SHOW: Call[TrainingJob] = Call("show_training_job_details", "ShowTrainingJobDetailsRequest", "show")
EVENTS: Call[Events] = Call("list_training_job_events", "ListTrainingJobEventsRequest", "show")
LIST: Call[TrainingJobs] = Call("list_training_jobs", "ListTrainingJobsRequest", "list")
LOG_PAGE: Call[Log] = Call("show_training_job_logs_from_aom", "ShowTrainingJobLogsFromAomRequest", "log")
LOG_PREVIEW: Call[Log] = Call("show_training_job_logs_preview", "ShowTrainingJobLogsPreviewRequest", "log")
FLAVORS: Call[Flavors] = Call("show_training_job_flavors", "ShowTrainingJobFlavorsRequest")
ENGINES: Call[Engines] = Call("show_training_job_engines", "ShowTrainingJobEnginesRequest")
QUOTAS: Call[Quotas] = Call("show_training_quotas", "ShowTrainingQuotasRequest")
VALIDATE_NAME: Call[NameCheck] = Call("validate_training_job_name", "ValidateTrainingJobNameRequest")
