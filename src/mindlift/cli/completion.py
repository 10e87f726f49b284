"""What the word at the cursor of a command line can become; scripts/complete.py prints it for a shell.

No candidates mean that the shell offers files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mindlift.checkout import ROOT
from mindlift.model_utils.config import programs
from mindlift.model_utils.config.command_line import split_flag
from mindlift.model_utils.config.declared import read_schema
from mindlift.model_utils.config.options import Option
from mindlift.model_utils.config.recipes import recipes
from mindlift.model_utils.config.schema import DEFAULTS, SWITCHES

BREAKS = "=:"  # where bash ends a word and begins another
TRUTHS = ("true", "false")


def candidates(prog: str, words: Sequence[str], root: Path = ROOT) -> list[str]:
    """For the last of `words`, which follow the program's name: options, or the values of one; whole words."""
    schema = read_schema(root / DEFAULTS)
    flag, value, prefix = at_cursor(words)
    option = schema.names.get(flag.lstrip("-").replace("-", "_"))
    if flag and option:
        return [prefix + each for each in values_of(option, words, root) if each.startswith(value)]
    used = [each for each in schema.options.values() if programs.has_use(prog, each)]
    wants_file = programs.takes_inputs(prog) and not value
    names = [] if wants_file else [each.name for each in used] + [name for name in SWITCHES if len(name) > 1]
    found = [f"--{name}" for name in names if f"--{name}".startswith(value)]
    # other programs' names are offered to those who begin to write one
    return found or [name for each in used for name in aliases_of(each) if value and name.startswith(value)]


def aliases_of(option: Option) -> list[str]:
    return [f"--{alias}" for alias in option.aliases]


def at_cursor(words: Sequence[str]) -> tuple[str, str, str]:
    """The flag whose value is being written or '', what is written of the word, and what comes before it in it."""
    current, before = words[-1], words[-2] if len(words) > 1 else ""
    flag = split_flag(current)
    if flag and flag[1] is not None:
        name, _, value = current.partition("=")
        return name, value, f"{name}="
    is_value = not current.startswith("-") and split_flag(before) is not None and "=" not in before
    return (before, current, "") if is_value else ("", current, "")


def values_of(option: Option, words: Sequence[str], root: Path) -> Iterable[str]:
    """All values of an option that has a list of them; networks and data sets are those that there are recipes for."""
    if option.name == "net":
        return sorted({net for net, _ in recipes(root)})
    if option.name == "dataset":
        net = given(words, "--net")
        return [str(each) for each in option.choices if net is None or (net, each) in recipes(root)]
    return TRUTHS if option.kind == "bool" else [str(each) for each in option.choices if each != ""]


def given(words: Sequence[str], flag: str) -> str | None:
    """The value of a flag that is written before the cursor."""
    for word, following in zip(words, [*words[1:-1], ""]):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and following:
            return following
    return None


def joined(words: Sequence[str]) -> list[str]:
    """The words as they were typed, of those that bash has cut at `=` and `:`."""
    found: list[str] = []
    glue = False
    for word in words:
        is_break = bool(word) and not word.strip(BREAKS)
        if found and (is_break or glue):
            found[-1] += word
        else:
            found.append(word)
        glue = is_break
    return found


def after_break(candidate: str, current: str) -> str:
    """What bash has to put in place of the part that it takes for the word."""
    return candidate[max(current.rfind(mark) for mark in BREAKS) + 1 :]
