"""The configuration of a job: default_config.yaml < recipe < platform arguments < command line.

Everything is strict: an unknown key or a value of another type is an error that names the place, the
key, the value and what is allowed. mindspore is not imported.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from src.model_utils.errors import ConfigError
from src.model_utils.options import Option, as_yaml, declare, nearest

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = "default_config.yaml"
APPENDED_TOO = "device_target"  # OpenI appends it unless the user set it


class Config:
    """Frozen values of all options, as attributes; `origin(name)` says which layer set one."""

    def __init__(
        self,
        schema: Mapping[str, Option],
        values: Mapping[str, Any],
        origins: Mapping[str, str],
        extra: tuple[str, ...] = (),
    ):
        object.__setattr__(self, "_parts", (dict(schema), dict(values), dict(origins)))
        object.__setattr__(self, "extra", extra)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        values = self._parts[1]
        if name not in values:
            raise AttributeError(f"no option '{name}'{nearest(name, values)}")
        return values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"the configuration is frozen; use cfg.replace({name}=...)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._parts[1] == other._parts[1]

    def __hash__(self) -> int:
        return hash(tuple(self._parts[1].items()))

    def __reduce__(self):
        return Config, (*self._parts, self.extra)

    def origin(self, name: str) -> str:
        """'default_config.yaml', the recipe's file name, 'platform', 'command line' or 'replaced'."""
        return self._parts[2][name]

    def to_dict(self) -> dict[str, Any]:
        return dict(self._parts[1])

    def replace(self, **changes: Any) -> Config:
        """A copy with other values, checked like any other layer."""
        schema, values, origins = self._parts
        for name, value in changes.items():
            if name not in schema:
                raise ConfigError(f"unknown option '{name}'{nearest(name, schema)}")
            values = {**values, name: schema[name].parse(value, "replace")}
            origins = {**origins, name: "replaced"}
        return Config(schema, values, origins, self.extra)

    def to_yaml(self, origins: bool = False) -> str:
        """All options by group; `--config_path` reads it back."""
        schema, values, froms = self._parts
        lines: list[str] = []
        group = ""
        for name, option in schema.items():
            if option.group != group:
                group = option.group
                lines.append(f"{group}:")
            line = f"  {name}: {as_yaml(values[name])}"
            lines.append(f"{line}  # from {froms[name]}" if origins else line)
        return "\n".join(lines) + "\n"


class Layer:
    """Raw values by option name of one file or command line, each with its place."""

    def __init__(self) -> None:
        self.raw: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.spelled: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def put(self, name: str, spelled: str, value: Any, place: str, origin: str) -> None:
        if name in self.raw and self.spelled[name] != spelled and self.raw[name] != value:
            raise ConfigError(
                f"{place}: '{self.spelled[name]}' and '{spelled}' are one option but differ: {self.raw[name]!r}, {value!r}"
            )
        self.raw[name], self.places[name], self.spelled[name], self.origins[name] = (
            value,
            place,
            spelled,
            origin,
        )


def names_of(schema: Mapping[str, Option]) -> dict[str, str]:
    """Every accepted spelling -> option name; raises ConfigError if two options share one."""
    names: dict[str, str] = {}
    for option in schema.values():
        for spelling in (option.name, *option.aliases):
            if spelling in names:
                raise ConfigError(f"{DEFAULTS}: '{spelling}' names both {names[spelling]} and {option.name}")
            names[spelling] = option.name
    return names


def read_mapping(path: Path) -> list[tuple[str, Any, yaml.Node, str]]:
    """(key, value, value node, place) of each top-level entry; raises ConfigError in one line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not UTF-8 text"
        raise ConfigError(f"can't read configuration {path}: {reason}") from err
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path.name}{line}: not valid YAML: {getattr(err, 'problem', None) or 'unreadable'}"
        ) from err
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path.name}: expected lines 'option: value', found a {root.id}")
    return list(entries(root, path.name))


def entries(node: yaml.MappingNode, name: str) -> Iterator[tuple[str, Any, yaml.Node, str]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key, place = str(key_node.value), f"{name}:{key_node.start_mark.line + 1}"
        if key in seen:
            raise ConfigError(f"{place}: '{key}' is given twice")
        seen.add(key)
        yield key, construct(value_node, place), value_node, place


def construct(node: yaml.Node, place: str) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as err:
        raise ConfigError(f"{place}: {getattr(err, 'problem', None) or 'unreadable value'}") from err


def read_schema(root: Path) -> dict[str, Option]:
    """The options of default_config.yaml in its order."""
    schema: dict[str, Option] = {}
    for group, _, node, place in read_mapping(root / DEFAULTS):
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{place}: group '{group}' must hold options")
        for name, entry, _, at in entries(node, DEFAULTS):
            if name in schema:
                raise ConfigError(f"{at}: option '{name}' is declared twice")
            schema[name] = declare(name, group, entry, at)
    names_of(schema)
    return schema


def read_recipe(path: Path, schema: Mapping[str, Option]) -> Layer:
    """A recipe: flat `option: value` lines, or the same below group names as `to_yaml` writes."""
    layer, names = Layer(), names_of(schema)
    groups = {option.group for option in schema.values()}
    for key, value, node, place in read_mapping(path):
        grouped = key in groups and isinstance(node, yaml.MappingNode)
        found = entries(node, path.name) if grouped else [(key, value, node, place)]  # type: ignore[arg-type]
        for spelled, one, _, at in found:
            if spelled not in names:
                raise ConfigError(f"{at}: unknown option '{spelled}'{nearest(spelled, names)}")
            layer.put(names[spelled], spelled, one, at, path.name)
    return layer


def unquoted(text: str) -> str:
    """Without the matching quotes that a platform's shell line leaves around a key or a value."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def is_flag(token: str) -> bool:
    return token.startswith("--") and len(token) > 2


def tokens_of(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(key, values) of `--key=value`, `--key value ...` and bare `--key`."""
    position = 0
    while position < len(argv):
        token = argv[position]
        position += 1
        if not is_flag(token):
            raise ConfigError(
                f"command line: '{token}' is no option; options look like --lr 0.1 (see --help)"
            )
        key, equals, value = token[2:].partition("=")
        values = [value] if equals else []
        while not equals and position < len(argv) and not is_flag(argv[position]):
            values.append(argv[position])
            position += 1
        yield unquoted(key), [unquoted(value) for value in values]


def read_command_line(
    argv: Sequence[str], schema: Mapping[str, Option], in_cloud: bool
) -> tuple[Layer, list[str]]:
    """The command line as a layer, and the unknown arguments that a cloud job may have."""
    layer, extra, names = Layer(), [], names_of(schema)
    for key, values in tokens_of(argv):
        spelled = key if key in names else key.replace("-", "_")
        if spelled not in names:
            if not in_cloud:
                raise ConfigError(
                    f"command line: unknown option '--{key}'{nearest(key, names)} (--help lists all)"
                )
            extra.append(f"--{key}" + (f"={' '.join(values)}" if values else ""))
            continue
        option = schema[names[spelled]]
        appended = option.platform or option.name == APPENDED_TOO
        if in_cloud and appended and option.name in layer.raw:
            continue  # platforms append theirs behind the user's
        value = joined(option, values, layer.raw.get(option.name))
        layer.put(
            option.name,
            spelled,
            value,
            "command line",
            "platform" if in_cloud and appended else "command line",
        )
    return layer, extra


def joined(option: Option, values: list[str], earlier: Any) -> Any:
    if not values:
        if option.kind == "bool":
            return True
        raise ConfigError(f"command line: --{option.name} needs a value")
    if option.kind in ("ints", "floats"):
        return [*(earlier if isinstance(earlier, list) else []), *values]
    if len(values) > 1:
        raise ConfigError(f"command line: --{option.name} takes one value, got {' '.join(values)}")
    return values[0]


def recipes(root: Path) -> dict[tuple[str, str], Path]:
    """(net, dataset) -> recipe file, from the names of the files."""
    found = sorted(root.glob("src/models/*/recipes/*_*.yaml"))
    return {(path.stem.rpartition("_")[0], path.stem.rpartition("_")[2]): path for path in found}


def find_recipe(root: Path, net: str, dataset: str) -> Path:
    known = recipes(root)
    if (net, dataset) in known:
        return known[net, dataset]
    nets = sorted({name for name, _ in known})
    if net not in nets:
        raise ConfigError(f"unknown net '{net}'{nearest(net, nets)}; known: {', '.join(nets)}")
    datasets = sorted(data for name, data in known if name == net)
    raise ConfigError(
        f"no recipe for net '{net}' on dataset '{dataset}'; there is --dataset {' or '.join(datasets)}, or name one with --config_path"
    )


def load(
    argv: Sequence[str] | None = None, *, root: Path = ROOT, in_cloud: bool = False, prog: str = "train.py"
) -> Config:
    """The configuration of this command line; `--help` and `--print_config` print and exit 0.

    Inside a cloud job (`in_cloud`) unknown arguments are a warning, and of repeated platform arguments the
    first counts. Raises ConfigError in one line for everything else that is wrong.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    flags = {token for token in argv if token in ("-h", "--help", "--print_config")}
    schema = read_schema(root)
    line, extra = read_command_line([token for token in argv if token not in flags], schema, in_cloud)

    def chosen(name: str) -> Any:
        return (
            schema[name].parse(line.raw[name], line.places[name])
            if name in line.raw
            else schema[name].default
        )

    path = (
        Path(chosen("config_path"))
        if chosen("config_path")
        else find_recipe(root, chosen("net"), chosen("dataset"))
    )
    values = {name: option.default for name, option in schema.items()}
    origins = dict.fromkeys(schema, DEFAULTS)
    for layer in (read_recipe(path, schema), line):
        for name, raw in layer.raw.items():
            values[name] = schema[name].parse(raw, layer.places[name])
            origins[name] = layer.origins[name]
    cfg = Config(schema, values, origins, tuple(extra))
    if extra:
        print(f"warning: ignored unknown arguments {' '.join(extra)}", file=sys.stderr)
    if flags:
        print(help_text(cfg, prog) if flags & {"-h", "--help"} else cfg.to_yaml(origins=True), end="")
        raise SystemExit(0)
    return cfg


def help_text(cfg: Config, prog: str) -> str:
    """All options by group with the defaults that this net's recipe gives them."""
    schema, values, _ = cfg._parts
    width = min(shutil.get_terminal_size().columns, 120)
    lines = [
        f"usage: {prog} [--option value ...]", "",
        "  python train.py                                  train on the embedded digits",
        "  python train.py --net densenet121 --dataset imagenet --data_dir DIR",
        "  python eval.py --pretrained output/<run>         evaluate its checkpoints", "",
        f"defaults below: {cfg.net} on {cfg.dataset}; --print_config shows where each comes from",
    ]  # fmt: skip
    group = ""
    for name, option in schema.items():
        if option.group != group:
            group = option.group
            lines += ["", f"{group}:"]
        shown = "not set" if values[name] is None else as_yaml(values[name])
        notes = [f"choices: {', '.join(map(str, option.choices))}"] * bool(option.choices)
        notes += [f"also: {', '.join('--' + alias for alias in option.aliases)}"] * bool(option.aliases)
        text = f"{option.help} [{shown}]" + "".join(f"; {note}" for note in notes)
        lines += textwrap.wrap(text, width, initial_indent=f"  --{name:<22} ", subsequent_indent=" " * 27)
    return "\n".join(lines) + "\n"
