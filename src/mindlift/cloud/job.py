"""What is to run, where, and on how much: every key of a job file.

A job is one of MindLift's own trainings (net, dataset, recipe), or a program of the user's (code). job_file.py reads
it, job_rules.py checks it, arguments.py has the words that its program gets.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mindlift.cloud.handle import PARTS
from mindlift.cloud.json_types import Json
from mindlift.cloud.platforms import PLATFORMS
from mindlift.storage.url import is_remote, parse

SECTIONS = ("program", "rehearsal")  # headings of a job file: their keys may also stand outside
OWN_PROGRAMS = ("train.py", "eval.py")


def key(
    kind: str,
    default: object,
    text: str,
    choices: Sequence[str] = (),
    low: float | None = None,
    section: str = "",
) -> Any:
    """A field of Job: `kind` is one of Option's, or mapping, names or words."""
    about = {"kind": kind, "help": text, "choices": tuple(choices), "low": low, "section": section}
    if kind == "mapping":
        return dataclasses.field(default_factory=dict, metadata=about)
    return dataclasses.field(default=() if kind in ("names", "words") else default, metadata=about)


@dataclass(frozen=True)
class Job:
    """Every key of a job file; each is also a flag of cloud/submit.py."""

    provider: str = key("str", "local", "where it runs", tuple(sorted(PARTS)))
    platform: str = key(
        "str",
        "modelarts-v2",
        "the contract that --provider local rehearses",
        tuple(PLATFORMS),
        section="rehearsal",
    )
    name: str = key("str", "", "the job's name; '': made of net, dataset and the time")
    description: str = key("str", "", "a line for people")
    boot_file: str = key(
        "str",
        "train.py",
        "the program: train.py or eval.py of MindLift, or a file below `code`",
        section="program",
    )
    code: str = key(
        "str", "", "your own program: the folder of its code; '': the job file's", section="program"
    )
    exclude: tuple[str, ...] = key(
        "words",
        (),
        "files that are not sent, as in .gitignore, beside those of .mindliftignore",
        section="program",
    )
    command: str = key("str", "", "a line for a shell in place of the boot file", section="program")
    args: tuple[str, ...] = key(
        "words",
        (),
        "arguments of the program, word for word; on a command line they stand behind --",
        section="program",
    )
    requirements: str = key("str", "", "file below `code` that the job installs with pip", section="program")
    inputs: Mapping[str, str] = key(
        "mapping", {}, "data by name, NAME=obs://bucket/folder/ or NAME=FOLDER", section="program"
    )
    outputs: Mapping[str, str] = key(
        "mapping",
        {},
        "results by name, NAME=obs://bucket/folder/; NAME= for a folder named after the job",
        section="program",
    )
    resume: Mapping[str, str] = key(
        "mapping", {}, "an earlier output as an input, INPUT=OUTPUT", section="program"
    )
    keep: bool = key(
        "bool",
        False,
        "`mindlift run` brings inputs and keeps outputs in the store while the program runs, so that a killed job loses "
        "nothing",
        section="program",
    )
    paths: Mapping[str, str] = key(
        "mapping",
        {},
        "keep: where an input or output is in the container, NAME=/cache/ckpt, for programs with a path written into them",
        section="program",
    )
    net: str = key("str", "densenet100", "--net of train.py")
    dataset: str = key("str", "digits", "--dataset of train.py")
    recipe: Mapping[str, Json] = key("mapping", {}, "other options of train.py, as KEY=VALUE")
    data_url: str = key("str", "", "where the data is, obs://bucket/folder/")
    train_url: str = key("str", "", "where results go; the same again continues the run")
    pretrained: str = key("str", "", "checkpoint to start from, or to evaluate: obs://...")
    code_url: str = key(
        "str",
        "",
        "where code goes, each version to a folder of its own; '': code/ in the bucket of train_url",
    )
    log_url: str = key(
        "str", "", "where the platform keeps logs; '': logs/<name>/ in the bucket of train_url"
    )
    cards: int = key("int", 1, "cards of each node", low=1)
    nodes: int = key("int", 1, "nodes", low=1)
    launcher: str = key(
        "str",
        "rank_table",
        "how ranks are started: a process per card by the platform (rank_table), by MindSpore's msrun or "
        "PyTorch's torchrun on each node, or one process per node (none)",
        ("rank_table", "msrun", "torchrun", "none"),
        section="program",
    )
    access: str = key(
        "str",
        "parameter",
        "ModelArts: the platform copies data and results and says where by argument "
        "(parameter), variable (env) or not at all (none), or the job does it itself (direct)",
        ("parameter", "env", "none", "direct"),
    )
    retries: int = key("int", 0, "times the platform starts a failed job again, up to 3", low=0)
    restart: str = key(
        "str",
        "in_place",
        "rehearsal: a retry keeps the container's disk or not",
        ("in_place", "reschedule"),
        section="rehearsal",
    )
    python: str = key(
        "str",
        "",
        "rehearsal: Python that plays the container's, such as ~/venvs/ms20/bin/python; '': this one",
        section="rehearsal",
    )
    isolation: str = key(
        "str",
        "auto",
        "rehearsal: a file system of its own for each node (namespace), or platform paths mapped in variables "
        "and arguments (mapping); auto: namespace where this computer allows it",
        ("auto", "namespace", "mapping"),
        section="rehearsal",
    )
    rehearsal_args: tuple[str, ...] = key(
        "words",
        (),
        "rehearsal: arguments behind the program's own, such as --device_target=CPU",
        section="rehearsal",
    )
    max_hours: float = key("float", 0.0, "the platform ends the job after this; 0: never", low=0)
    max_cost: float = key(
        "float", 0.0, "submit nothing that may cost more, in the service's unit; 0: no limit", low=0
    )
    environment: Mapping[str, str] = key("mapping", {}, "variables of the job, NAME=VALUE")
    secrets: Mapping[str, str] = key(
        "mapping", {}, "variables by reference, NAME=env:VARIABLE or NAME=file:PATH"
    )
    annotations: Mapping[str, Json] = key(
        "mapping", {}, "ModelArts: metadata.annotations beside those of retries"
    )
    allow_dirty: bool = key("bool", False, "send uncommitted changes too")
    wheels: bool = key(
        "bool", False, "send the packages that the image lacks along, for machines without a network"
    )
    # modelarts
    region: str = key("str", "", "ModelArts: region, such as cn-north-4")
    endpoint: str = key("str", "", "address of the service instead of the region's or OpenI's")
    project_id: str = key("str", "", "ModelArts: project id")
    workspace_id: str = key("str", "0", "ModelArts: workspace")
    flavor: str = key("str", "", "ModelArts: machine, such as modelarts.kat1.8xlarge; `selfcheck` lists them")
    pool_id: str = key("str", "", "ModelArts: dedicated pool")
    engine: str = key("str", "", "ModelArts: preset engine, NAME/VERSION")
    image: str = key("str", "", "own image: organisation/image:tag of SWR; OpenI: name of an image")
    # openi
    repo: str = key("str", "", "OpenI: owner/name of the repository that holds the code")
    branch: str = key("str", "", "OpenI: pushed branch; '': the current one")
    cluster: str = key(
        "str", "C2Net", "OpenI: C2Net, or OpenICloudbrainTwo (启智)", ("C2Net", "OpenICloudbrainTwo")
    )
    spec: str = key("str", "", "OpenI: machine, such as '8 x Ascend 910'; '': by the number of cards")
    datasets: tuple[str, ...] = key("names", (), "OpenI: data sets, owner/name")
    models: tuple[str, ...] = key("names", (), "OpenI: models, owner/name")

    def replace(self, **changes: object) -> Job:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @property
    def ranks(self) -> int:
        return self.cards * self.nodes

    @property
    def is_program(self) -> bool:
        """Whether it runs a program of the user's, not MindLift's own."""
        return bool(self.code)

    @property
    def is_openi(self) -> bool:
        """Whether OpenI runs it, or a rehearsal of OpenI."""
        return self.provider == "openi" or (self.provider == "local" and self.platform.startswith("openi"))

    @property
    def sources(self) -> dict[str, str]:
        """Where each input is, by the name of its channel."""
        if not self.is_program:
            return {"data_url": self.data_url} if self.data_url else {}
        return {**self.inputs, **{name: self.outputs[output] for name, output in self.resume.items()}}

    @property
    def results(self) -> dict[str, str]:
        """Where each output goes, by the name of its channel."""
        if not self.is_program:
            return {"train_url": self.train_url} if self.train_url else {}
        return dict(self.outputs)

    @property
    def title(self) -> str:
        """What it is about, in a word or two that may be part of a name."""
        if not self.is_program:
            return f"{self.net}-{self.dataset}"
        stem = posixpath.splitext(posixpath.basename(self.boot_file))[0]
        return f"{posixpath.basename(self.code)}-{'command' if self.command else stem}"

    @property
    def bucket(self) -> str:
        """That of its results, else of its data; '' without one."""
        places = [parse(url) for url in (*self.results.values(), *self.sources.values()) if is_remote(url)]
        return next((place.bucket for place in places if place), "")

    def in_bucket(self, folder: str) -> str:
        """`folder` in the job's bucket; '' without a bucket."""
        return f"obs://{self.bucket}/{folder}/" if self.bucket else ""


FIELDS = {field.name: field for field in dataclasses.fields(Job)}
