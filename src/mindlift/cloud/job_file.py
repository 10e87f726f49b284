"""Reading a job file, and the flags over it.

Strict: a key that does not exist, a value of another type and a secret that is written down are errors
of one line. Keys may stand below the heading of their section, `program:` or `rehearsal:`, or outside.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mindlift import yaml_text
from mindlift.cloud.errors import JobError
from mindlift.cloud.job import FIELDS, SECTIONS, Job
from mindlift.cloud.job_rules import finished
from mindlift.cloud.json_types import Json
from mindlift.errors import ConfigError
from mindlift.files import expanded
from mindlift.model_utils.config.options import Option, nearest
from mindlift.model_utils.config.recipes import read_yaml
from mindlift.model_utils.config.yaml_nodes import pairs, plain, text_of
from mindlift.sanitize import single_line
from mindlift.storage.url import is_remote

# keys whose values are texts: what YAML makes of `on` is not what was meant
TEXTS = (
    "environment",
    "secrets",
    "inputs",
    "outputs",
    "resume",
    "paths",
    "args",
    "exclude",
    "rehearsal_args",
    "command",
)
PROGRAM = [name for name in FIELDS if FIELDS[name].metadata["section"] == "program"]
SHARED = ("boot_file", "launcher")  # keys of a program that MindLift's own jobs have too
OWN = (
    "net",
    "dataset",
    "recipe",
    "pretrained",
    "data_url",
    "train_url",
    "wheels",
)  # keys that only those have


class Entry(NamedTuple):
    """A key with its value as it was written, and where: `--key`, or `file:line`."""

    place: str
    name: str
    raw: Json
    is_flag: bool = False


def read(path: str, flags: Mapping[str, Json], now: str) -> Job:
    """The job of a file ('' for none) with flags over it; `now` makes the name of a job without one."""
    entries = [*read_file(path), *(Entry(f"--{name}", name, raw, True) for name, raw in flags.items())]
    values: dict[str, Json] = {}
    for entry in entries:
        value = located(entry, parse_value(entry), Path(path).parent)
        earlier = values.get(entry.name)
        if isinstance(value, dict) and isinstance(earlier, dict):  # flags add to a mapping of the file
            value = {**earlier, **value}
        values[entry.name] = value
    if any(name in PROGRAM and name not in SHARED for name in values):
        clash = [entry for entry in entries if entry.name in OWN]
        if clash:
            raise JobError(
                f"{clash[0].place}: {clash[0].name} is a key of MindLift's own trainings, but the job runs a program; "
                "write its places as inputs and outputs, and its options as args"
            )
        values.setdefault("code", os.path.realpath(Path(path).parent))
    job = Job().replace(**values)
    return finished(job.replace(name=job.name or default_name(job, now)))


def default_name(job: Job, now: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", job.title.lower()).strip("-")
    return f"{name[: 63 - len(now)]}-{now}"


def located(entry: Entry, value: Json, folder: Path) -> Json:
    """`value` with local places in full: those of a job file are relative to it."""
    base = Path() if entry.is_flag else folder
    if entry.name == "code" and value:
        return os.path.realpath(base / expanded(str(value)))
    if entry.name == "inputs" and isinstance(value, dict):
        return {
            name: place
            if not place or is_remote(str(place))
            else os.path.realpath(base / expanded(str(place)))
            for name, place in value.items()
        }
    return value


def read_file(path: str) -> list[Entry]:
    if not path:
        return []
    file = Path(path)
    try:
        root = read_yaml(file)
        entries = list(entries_of(root, file.name)) if root else []
    except ConfigError as err:
        raise JobError(str(err).replace("configuration", "job file", 1)) from err
    for entry in entries:
        if entry.name not in FIELDS:
            hint = nearest(entry.name, FIELDS) or "; --help lists all keys"
            raise JobError(f"{entry.place}: unknown key {entry.name!r}{hint}")
    return entries


def entries_of(root: yaml.Node, file: str, section: str = "") -> Iterator[Entry]:
    for name, place, node in pairs(root, file):
        if name in SECTIONS and not section:
            if not isinstance(node, yaml.MappingNode):
                raise JobError(f"{place}: {name} is a heading; write its keys below it, indented")
            yield from entries_of(node, file, name)
            if name == "program" and not has_key(node, "code"):
                yield Entry(place, "code", ".")  # the folder of the file
            continue
        key = f"{section}_{name}" if f"{section}_{name}" in FIELDS else name
        if section and key in FIELDS and FIELDS[key].metadata["section"] != section:
            raise JobError(f"{place}: {name} is no key of {section}; write it outside of it")
        yield Entry(place, key, value_of(key, node, place))


def has_key(node: yaml.MappingNode, name: str) -> bool:
    return any(isinstance(key, yaml.ScalarNode) and key.value == name for key, _ in node.value)


def value_of(key: str, node: yaml.Node, place: str) -> Json:
    """The value of a key, one mapping deep."""
    read = text_of if key in TEXTS else plain
    if isinstance(node, yaml.SequenceNode) and key in TEXTS:
        return [read(item) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return read(node)
    return {name: read(value) for name, _, value in pairs(node, place.partition(":")[0])}


def parse_value(entry: Entry) -> Json:
    name, raw, place = entry.name, entry.raw, entry.place
    about = FIELDS[name].metadata
    if about["kind"] == "mapping":
        return parse_mapping(name, raw, place if entry.is_flag else f"{place}: {name}")
    if about["kind"] == "names":
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise JobError(f"{place}: {name} is {raw!r}, expected a list of owner/name")
        return tuple(part for item in items for part in re.split(r"[;,\s]+", item) if part)
    if about["kind"] == "words":
        return parse_words(name, raw, place)
    default: Any = FIELDS[name].default
    option = Option(name, "job", about["kind"], default, about["help"], about["choices"], about["low"])
    try:
        return option.parse(raw, place, text=entry.is_flag)
    except ConfigError as err:
        raise JobError(str(err)) from err


def parse_words(key: str, raw: Json, place: str) -> tuple[str, ...]:
    """A list of words, each as it is, or a line that a shell would split into them."""
    if isinstance(raw, (list, tuple)) and all(isinstance(item, str) for item in raw):
        return () if list(raw) == [""] else tuple(str(item) for item in raw)  # --args "": none of the file's
    if not isinstance(raw, str):
        raise JobError(f"{place}: {key} is {raw!r}, expected a list of words, or one line")
    try:
        return tuple(shlex.split(raw))
    except ValueError as err:
        raise JobError(f"{place}: {key} is {single_line(raw)[:60]!r}: {str(err).lower()}") from None


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
        value = yaml_text.parse(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, (bool, int, float, str, list)) else text
