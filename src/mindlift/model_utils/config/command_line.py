"""A command line in parts: flags with their words, as people and platforms write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mindlift.errors import ConfigError
from mindlift.language import N_
from mindlift.model_utils.config.options import BOOLS, Option, show
from mindlift.model_utils.config.schema import SWITCHES, Given, Schema, hint, is_platform
from mindlift.sanitize import single_line

COMMAND_LINE = N_("command line")
NUMBERS = re.compile(r"[-+\d.,eExX\[\]()]+")
PRINT_CONFIG = Option("print_config", "", "bool", False, SWITCHES["print_config"])
SECRET = re.compile(r"token|secret|passw|credential|key|^[as]k$", re.IGNORECASE)


@dataclass(frozen=True)
class Argument:
    """One flag with the words behind it; `flag` is as written, `key` without dashes, '' for a stray word."""

    flag: str
    key: str
    values: list[str]

    def __str__(self) -> str:
        return (
            f"{self.flag}={' '.join(self.values)}"
            if self.values and self.flag
            else self.flag or self.values[0]
        )

    def shown(self) -> str:
        """For a log: without a value that may be a secret."""
        return f"{self.flag}=..." if self.values and SECRET.search(self.key) else str(self)


@dataclass
class Line:
    """A command line, or a call, in parts: values of options, and what a cloud job ignores (`shown` is for the log)."""

    in_cloud: bool = False
    given: list[Given] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    prints_config: bool = False
    inputs: list[str] = field(default_factory=list)
    place: str = COMMAND_LINE


def unquoted(text: str) -> str:
    """Without the pair of quotes that a platform's shell line may leave around a word."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def split_flag(token: str) -> tuple[str, str | None] | None:
    """('--key', value or None) of a flag, None for any other word; -0.1 and -inf are values."""
    if re.fullmatch(r"""(['"])--[^'"]+\1""", token):
        token = unquoted(token)
    head, equals, tail = token.partition("=")
    head = unquoted(head)
    if not re.match(r"--['\"]?\w|-(?!inf|nan)[A-Za-z]", head):
        return None
    dashes = "--" if head.startswith("--") else "-"
    return dashes + unquoted(head[len(dashes) :]), unquoted(tail) if equals else None


def arguments(argv: Sequence[str]) -> Iterator[Argument]:
    """The flags of a command line, each with its `=value` or with all words up to the next flag."""
    current: Argument | None = None
    for token in argv:
        flag = split_flag(token)
        if flag:
            if current:
                yield current
            name, value = flag
            current = Argument(name, name.lstrip("-").replace("-", "_"), [] if value is None else [value])
            if value is not None:
                yield current
                current = None
        elif current:
            current.values.append(unquoted(token))
        else:
            yield Argument("", "", [token])
    if current:
        yield current


def words_and_inputs(argv: Sequence[str], schema: Schema) -> tuple[list[Argument], list[str]]:
    """The flags, each with the words that it takes, and all other words: the inputs of a program that has some.

    A list takes the numbers behind it and a switch a truth value. All words behind `--` are inputs.
    """
    end = argv.index("--") if "--" in argv else len(argv)
    flags: list[Argument] = []
    inputs: list[str] = []
    for word in arguments(argv[:end]):
        option = PRINT_CONFIG if word.key == "print_config" else schema.names.get(word.key)
        count = taken(option, word.values) if word.flag and option else len(word.values) if word.flag else 0
        if word.flag:
            flags.append(Argument(word.flag, word.key, word.values[:count]))
        inputs += word.values[count:]
    return flags, [*inputs, *argv[end + 1 :]]


def taken(option: Option, values: list[str]) -> int:
    """How many of the words behind a flag are its own."""
    if option.kind == "bool":
        return int(bool(values) and values[0].lower() in BOOLS)
    if option.is_list or option.kind == "size":
        return next((i for i, text in enumerate(values) if i and not NUMBERS.fullmatch(text)), len(values))
    return min(1, len(values))


def read_line(words: Iterable[Argument], schema: Schema, in_cloud: bool) -> Line:
    """Sort the arguments; ConfigError for an unknown one outside a cloud job."""
    line = Line(in_cloud)
    found: dict[str, Given] = {}
    texts: dict[str, list[str]] = {}
    settled: set[str] = set()
    for word in words:
        option = schema.names.get(word.key)
        if word.key == "print_config":
            line.prints_config = bool(
                PRINT_CONFIG.parse(one_text(PRINT_CONFIG, word), COMMAND_LINE, text=True)
            )
        elif option is None:
            ignore(word, schema, line)
        elif not (in_cloud and is_platform(option) and option.name in settled):
            settled.add(option.name)
            text = one_text(option, word)
            texts.setdefault(word.key, []).append(text)  # repeated flags of a list add up
            raw = texts[word.key] if option.is_list else text
            found[word.key] = Given(word.key, raw, COMMAND_LINE, text=True)
    line.given = list(found.values())
    return line


def ignore(word: Argument, schema: Schema, line: Line) -> None:
    """Keep an unknown argument of a cloud job for the warning; ConfigError elsewhere."""
    if line.in_cloud:
        line.extra.append(str(word))
        line.shown.append(word.shown())
    elif not word.flag:
        raise ConfigError(
            f"{COMMAND_LINE}: {show(word.values[0])} is no option; write --option value (see --help)"
        )
    else:
        raise ConfigError(
            f"{COMMAND_LINE}: unknown option '{single_line(word.flag)}'{hint(word.key, schema, '--')}"
        )


def one_text(option: Option, word: Argument) -> str:
    """The text behind one flag; a bare flag means true, or empty for what a platform passes."""
    if not word.values:
        if option.kind != "bool" and not option.platform:
            raise ConfigError(f"{COMMAND_LINE}: {word.flag} needs a value")
        return "true" if option.kind == "bool" else ""
    if len(word.values) > 1 and not option.is_list and option.kind != "size":
        raise ConfigError(
            f"{COMMAND_LINE}: {word.flag} takes one value, got {single_line(' '.join(word.values))}"
        )
    return " ".join(word.values)
