"""What OpenI answers, as far as this client reads it, and the routes by which it is asked.

Any key may be missing, and any value null: its server's source promises few of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypedDict, TypeVar

Answer = TypeVar("Answer")


class User(TypedDict, total=False):
    login: str


class Spec(TypedDict, total=False):
    id: int | str
    acc_cards_num: int
    acc_card_type: str
    unit_price: float


class Specs(TypedDict, total=False):
    all: list[Spec]


class Image(TypedDict, total=False):
    image_id: str
    image_name: str
    image_url: str


class Images(TypedDict, total=False):
    images: list[Image]


class PointAccount(TypedDict, total=False):
    balance: float


class Required(TypedDict, total=False):
    """What can be created now."""

    specs: Specs
    images: list[Image]
    pay_switch: bool
    point_account: PointAccount
    allowed_worker_num: list[int]
    code_size_limit: float  # GB
    wait_count: int
    not_stop_task_count: int
    limit_count: int
    can_create_more: bool


class Task(TypedDict, total=False):
    """Those of a list have neither nodes nor cards nor a reason."""

    id: int
    display_job_name: str
    status: str
    detailed_status: str
    failed_reason: str
    created_unix: float
    start_time: float
    end_time: float
    work_server_number: int
    spec: Spec


class Item(TypedDict, total=False):
    """A job of a list, with its repository."""

    task: Task
    owner_name: str
    repo_name: str


class Items(TypedDict, total=False):
    tasks: list[Item]
    total: int


class Details(TypedDict, total=False):
    task: Task


class Created(TypedDict, total=False):
    id: int


class Event(TypedDict, total=False):
    message: str


class Events(TypedDict, total=False):
    events: list[Event]


class Node(TypedDict, total=False):
    id: int
    log_file_name: str


class Nodes(TypedDict, total=False):
    nodes: list[Node]


class Log(TypedDict, total=False):
    content: str
    start_line: str
    end_line: str


class File(TypedDict, total=False):
    FileName: str
    IsDir: bool
    Size: int


class Results(TypedDict, total=False):
    status: int  # of the move into the store; 0: done
    is_task_terminal: bool
    file_list: list[File]


class Output(TypedDict, total=False):
    output: Results


class Branches(TypedDict, total=False):
    branches: list[str]


class Commit(TypedDict, total=False):
    id: str


class Branch(TypedDict, total=False):
    commit: Commit


class Named(TypedDict, total=False):
    """A data set or a model."""

    id: int | str


class Nothing(TypedDict):
    """The answer is not looked at."""


@dataclass(frozen=True)
class Route(Generic[Answer]):
    """A path below /api/v1, `{parts}` in it open. `kind` is one of cloud/codes.py: it decides what a code means."""

    template: str
    kind: str = "show"
    parts: Mapping[str, str] = field(default_factory=dict)

    def at(self, **parts: str) -> Route[Answer]:
        return replace(self, parts=parts)

    @property
    def path(self) -> str:
        return self.template.format(**self.parts)


USER: Route[User] = Route("/user", "look up")
REQUIRED: Route[Required] = Route("/ai_task/creation/required", "look up")
IMAGES: Route[Images] = Route("/ai_task/creation/image_by_spec", "look up")
DATASET: Route[Named] = Route("/dataset", "look up")
MODEL: Route[Named] = Route("/aimodel", "look up")
CREATE: Route[Created] = Route("/{owner}/{repo}/ai_task/create", "create")
LIST: Route[Items] = Route("/ai_task/my_list", "list")
BRIEF: Route[Nothing] = Route("/ai_task/brief")
SHOW: Route[Details] = Route("/ai_task")
EVENTS: Route[Events] = Route("/ai_task/operation_profile")
STOP: Route[Nothing] = Route("/ai_task/stop", "cancel")
NODES: Route[Nodes] = Route("/ai_task/node_info", "log")
LOG: Route[Log] = Route("/ai_task/log", "log")
OUTPUT: Route[Output] = Route("/ai_task/output", "output")
MOVE_OUTPUT: Route[Nothing] = Route("/ai_task/output/reschedule", "output")
DOWNLOAD: Route[Nothing] = Route("/ai_task/output/download", "output")
BRANCHES: Route[Branches] = Route("/{owner}/{repo}/ai_task/repo_branch", "look up")
BRANCH: Route[Branch] = Route("/repos/{owner}/{repo}/branches/{branch}", "look up")
