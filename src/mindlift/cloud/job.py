"""What is to run, where, and on how much: a job file and the flags over it.

Strict: a key that does not exist, a value of another type and a secret that is written down are errors
of one line. Values of `secrets` are references only: `env:NAME` or `file:PATH`, looked up when the job is sent.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mindlift.cloud.errors import JobError
from mindlift.cloud.handle import PARTS
from mindlift.cloud.json_types import Json
from mindlift.cloud.platforms import PLATFORMS
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.model_utils.config import config
from mindlift.model_utils.config.options import Option, nearest, single_line
from mindlift.model_utils.config.yaml_nodes import pairs, plain, text_of
from mindlift.storage.url import as_folder, is_remote, parse

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TEXTS = (
    "environment",
    "secrets",
)  # keys whose values are texts: what YAML makes of `on` is not what was meant
SECRET_NAME = re.compile(r"token|secret|passw|credential|(^|_)key($|_id$)|access_?key|^[as]k$", re.IGNORECASE)
REFERENCE = re.compile(r"(env|file):(.+)")


def key(kind: str, default: object, text: str, choices: Sequence[str] = (), low: float | None = None) -> Any:
    """A field of Job: `kind` is one of Option's, or mapping or names."""
    about = {"kind": kind, "help": text, "choices": tuple(choices), "low": low}
    if kind == "mapping":
        return dataclasses.field(default_factory=dict, metadata=about)
    return dataclasses.field(default=() if kind == "names" else default, metadata=about)


@dataclass(frozen=True)
class Job:
    """Every key of a job file; each is also a flag of cloud/submit.py."""

    provider: str = key("str", "local", "where it runs", tuple(sorted(PARTS)))
    platform: str = key(
        "str", "modelarts-v2", "the contract that --provider local rehearses", tuple(PLATFORMS)
    )
    name: str = key("str", "", "the job's name; '': made of net, dataset and the time")
    description: str = key("str", "", "a line for people")
    boot_file: str = key("str", "train.py", "the program", ("train.py", "eval.py"))
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
    run_method: str = key("str", "rank_table", "how ranks are started", ("rank_table", "msrun"))
    access: str = key(
        "str",
        "parameter",
        "ModelArts: the platform copies data and results and says where by argument "
        "(parameter) or variable (env), or the job does it itself (direct)",
        ("parameter", "env", "direct"),
    )
    retries: int = key("int", 0, "times the platform starts a failed job again, up to 3", low=0)
    restart: str = key(
        "str", "in_place", "rehearsal: a retry keeps the container's disk or not", ("in_place", "reschedule")
    )
    python: str = key(
        "str",
        "",
        "rehearsal: Python that plays the container's, such as ~/venvs/ms20/bin/python; '': this one",
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

    def in_bucket(self, folder: str) -> str:
        """`folder` in the bucket of train_url; '' without a bucket."""
        place = parse(self.train_url) if is_remote(self.train_url) else None
        return f"obs://{place.bucket}/{folder}/" if place else ""


FIELDS = {field.name: field for field in dataclasses.fields(Job)}


def read(path: str, flags: Mapping[str, Json], now: str) -> Job:
    """The job of a file ('' for none) with flags over it; `now` makes the name of a job without one."""
    values: dict[str, Json] = {}
    for place, name, raw, is_text in [
        *read_file(path),
        *((f"--{name}", name, raw, True) for name, raw in flags.items()),
    ]:
        value = parse_value(name, raw, place, is_text)
        earlier = values.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):  # flags add to a mapping of the file
            value = {**earlier, **value}
        values[name] = value
    job = Job().replace(**values)
    return finished(job.replace(name=job.name or default_name(job, now)))


def default_name(job: Job, now: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", f"{job.net}-{job.dataset}-{now}".lower())


def read_file(path: str) -> list[tuple[str, str, Json, bool]]:
    """(place, key, value, False) of each entry of a job file."""
    if not path:
        return []
    file = Path(path)
    try:
        root = config.read_yaml(file)
        entries = (
            [(place, name, value_of(name, node, place)) for name, place, node in pairs(root, file.name)]
            if root
            else []
        )
    except ConfigError as err:
        raise JobError(str(err).replace("configuration", "job file", 1)) from err
    for place, name, _ in entries:
        if name not in FIELDS:
            raise JobError(
                f"{place}: unknown key {name!r}{nearest(name, FIELDS) or '; --help lists all keys'}"
            )
    return [(place, name, raw, False) for place, name, raw in entries]


def value_of(key: str, node: yaml.Node, place: str) -> Json:
    """The value of a key, one mapping deep."""
    if not isinstance(node, yaml.MappingNode):
        return plain(node)
    read = text_of if key in TEXTS else plain
    return {name: read(value) for name, _, value in pairs(node, place.partition(":")[0])}


def parse_value(name: str, raw: Json, place: str, is_text: bool) -> Json:
    about = FIELDS[name].metadata
    if about["kind"] == "mapping":
        return parse_mapping(name, raw, f"{place}: {name}" if not is_text else place)
    if about["kind"] == "names":
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise JobError(f"{place}: {name} is {raw!r}, expected a list of owner/name")
        return tuple(part for item in items for part in re.split(r"[;,\s]+", item) if part)
    default: Any = FIELDS[name].default
    option = Option(name, "job", about["kind"], default, about["help"], about["choices"], about["low"])
    try:
        return option.parse(raw, place, text=is_text)
    except ConfigError as err:
        raise JobError(str(err)) from err


def parse_mapping(key: str, raw: Json, place: str) -> dict[str, Json]:
    """A mapping of YAML, or a list of KEY=VALUE, whose values are read as YAML where they are not texts."""
    read = str if key in TEXTS else scalar
    if isinstance(raw, dict):
        items = list(raw.items())
    elif isinstance(raw, list) and all(isinstance(item, str) and "=" in item for item in raw):
        items = [(item.partition("=")[0], read(item.partition("=")[2])) for item in raw]
    else:
        raise JobError(
            f"{place} is {single_line(str(raw))[:60]!r}, expected KEY=VALUE, or a mapping in a job file"
        )
    for name, value in items:
        is_one = isinstance(value, str) if key in TEXTS else not isinstance(value, dict)
        if not isinstance(name, str) or not is_one:
            raise JobError(f"{place}: {name!r} has to be one name with one value")
    return dict(items)


def scalar(text: str) -> Json:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, (bool, int, float, str, list)) else text


def finished(job: Job) -> Job:
    """`job` checked as far as that needs no service, with its derived places filled in."""
    if not NAME.fullmatch(job.name):
        raise JobError(f"name is {job.name!r}; expected 1 to 64 letters, digits, - and _")
    if job.retries > 3:
        raise JobError(f"retries is {job.retries}, but ModelArts starts a job again at most 3 times")
    check_variables(job)
    check_places(job)
    return job.replace(
        code_url=as_folder_url(job.code_url) or job.in_bucket("code"),
        log_url=as_folder_url(job.log_url) or job.in_bucket(f"logs/{job.name}"),
        train_url=as_folder_url(job.train_url),
        data_url=job.data_url,
    )


def as_folder_url(url: str) -> str:
    place = parse(url) if is_remote(url) else None
    return str(place.folder()) if place else url


def check_variables(job: Job) -> None:
    for name in [*job.environment, *job.secrets]:
        if not VARIABLE.fullmatch(name):
            raise JobError(f"environment: {name!r} is not the name of a variable")
    for name, value in job.environment.items():
        if SECRET_NAME.search(name):
            raise JobError(
                f"environment.{name} looks like a secret: write it as secrets.{name}: env:{name}, and export {name}"
            )
        if "$" in value:
            raise JobError(f"environment.{name} is {value!r}, but platforms expand no $: write the value out")
    for name, value in job.secrets.items():
        if not isinstance(value, str) or not REFERENCE.fullmatch(value):
            raise JobError(
                f"secrets.{name} has to be a reference: env:VARIABLE or file:PATH, never the secret itself"
            )
    for name, given in job.recipe.items():
        if SECRET_NAME.search(name):
            raise JobError(
                f"recipe.{name} looks like a secret, and arguments are shown to everybody; use secrets"
            )
        if isinstance(given, str) and single_line(given) != given:
            raise JobError(f"recipe.{name} holds a line break or another control character")


def check_places(job: Job) -> None:
    try:
        places = {
            name: parse(getattr(job, name))
            for name in ("data_url", "train_url", "code_url", "log_url")
            if is_remote(getattr(job, name))
        }
    except ConfigError as err:
        raise JobError(str(err)) from err
    data, train = places.get("data_url"), places.get("train_url")
    if data and train and data.bucket == train.bucket:
        inner, outer = as_folder(train.key), as_folder(data.key)
        if inner.startswith(outer):
            raise JobError(
                f"train_url {job.train_url} is inside data_url {job.data_url}: results would become data; choose a folder beside it"
            )


def resolve_secrets(job: Job, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that `secrets` refers to; JobError for those that are not there."""
    env = os.environ if env is None else env
    found = {}
    for name, reference in job.secrets.items():
        kind, _, what = reference.partition(":")
        if kind == "env":
            if not env.get(what):
                raise JobError(f"secrets.{name} refers to the variable {what}, which is not set: export it")
            found[name] = env[what]
        else:
            try:
                found[name] = Path(expanded(what)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as err:
                raise JobError(f"secrets.{name} refers to {what}, which can't be read: {err}") from err
    return found


def repeated(job: Job) -> list[str]:
    """Options of `recipe` that the job or its platform gives as well, each as a line that says what to do.

    A service refuses an option that comes twice, or keeps one of the two without a word.
    """
    declared = config.own_schema().options
    found = []
    for name in job.recipe:
        option = name.replace("-", "_").replace(" ", "")  # OpenI drops spaces
        is_platforms = option in declared and declared[option].platform
        if option in declared and option in FIELDS and not is_platforms:
            found.append(f"recipe.{name} comes twice: write it as {option}, outside of recipe")
        elif option == "enable_modelarts":
            found.append(f"recipe.{name} comes twice: every job has it already")
        elif is_platforms:
            found.append(
                f"recipe.{name} is the platform's: leave it out, and set data_url, train_url, pretrained "
                "(OpenI: datasets, models)"
            )
    options = [name.replace("-", "_") for name in job.recipe]
    return found + [f"recipe.{name} comes twice" for name in sorted(set(options)) if options.count(name) > 1]


def as_text(value: Json) -> str:
    """A value as train.py reads it on a command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(as_text(item) for item in value)
    return str(value)


def parameters(job: Job) -> list[tuple[str, str]]:
    """The options of train.py that the job is about, in their order; where data is comes from the platform."""
    found = [("net", job.net), ("dataset", job.dataset), ("enable_modelarts", "True")]
    if job.pretrained:
        found.append(("pretrained", job.pretrained))
    return found + [(name, as_text(value)) for name, value in job.recipe.items()]
